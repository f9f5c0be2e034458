"""Objects: YOLOX, and any detector whose ONNX file comes in one of the usual YOLO layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.backends.onnx import OnnxModel
from inference.backends.providers import CPU
from inference.backends.settings import OnnxSettings
from inference.backends.yolo_layouts import Floats, cells_of, decoded, expected_shape
from inference.models.manifest import Layout
from inference.models.store import LocalModel
from proto.errors import FeatureMissing

Objects = Floats
"""(objects, 6): left, top, right, bottom in pixels of the picture, score 0-1, class index; best score first."""

MIN_SCORE = 0.2
"""Far below where anything is decided: what is half hidden is still reported, and told apart by its score."""

CERTAIN = 0.6
"""A find below it is looked at again in the mirror. Seen with YOLOX-nano: a phone in a hand rose from 0.22-0.62 to
0.35-0.63 over the frames of a clip; a wall taken for a television fell from 0.55 to 0.28."""

NEVER_DOUBTED = frozenset({"person"})
"""Faces tell who is there: people in the background are worth no second look."""

MAX_OVERLAP = 0.45
SAME_THING = 0.3
"""Intersection over union from which a box in the mirror is the same thing."""

MAX_OBJECTS = 50

CPU_BATCH = 4
"""On a CPU a larger batch takes as long a picture, and memory: with YOLOX-nano 10 MiB for each picture in it."""

_FITS = ("stretch", "letterbox", "letterbox_top_left")


class Placed(NamedTuple):
    """How a picture lies in the model's input: input px = picture px * scale + offset, by (x, y)."""

    scale: tuple[float, float]
    offset_px: tuple[int, int]


class YoloBackend:
    """The model's card says in its layout what goes in and what comes out. What it is unsure of it looks at twice: the
    second time mirrored, the score is the mean of both.

    Raises:
        FeatureMissing: the card has no layout for a detector.
    """

    def __init__(
        self,
        model: LocalModel,
        onnx: OnnxSettings,
        *,
        min_score: float = MIN_SCORE,
        certain: float = CERTAIN,
        max_overlap: float = MAX_OVERLAP,
        max_objects: int = MAX_OBJECTS,
    ) -> None:
        self.name = model.name
        self.labels = model.labels
        self._feature = model.card.feature
        self._layout = _layout_of(model)
        self._doubtable = np.array([label.casefold() not in NEVER_DOUBTED for label in model.labels], dtype=bool)
        self._min_score = min_score
        self._certain = certain
        self._max_overlap = max_overlap
        self._max_objects = max_objects
        self._max_batch = self._largest_batch = onnx.max_batch
        self._cells = cells_of(self._layout)
        self._onnx = OnnxModel(model.path, onnx, name=model.name, feature=self._feature, fp16=model.card.half_precision)

    def load(self) -> None:
        """Run once on an empty picture, and see that what comes out is what the layout says.

        Raises:
            FeatureMissing: the file is absent or broken, or is no model of this layout.
        """
        self._onnx.load()
        most = min(self._max_batch, CPU_BATCH) if self._onnx.provider == CPU else self._max_batch
        self._largest_batch = self._onnx.fixed_batch or most
        if self._layout.input and self._layout.input not in self._onnx.inputs:
            raise self._unlike(f"has the inputs {', '.join(self._onnx.inputs)}, no {self._layout.input!r}")
        width_px, height_px = self._layout.width_px, self._layout.height_px
        try:
            got = self._infer([np.zeros((height_px, width_px, 3), dtype=np.uint8)])[0].shape
        except Exception as error:  # ONNX Runtime has errors of its own for a feed that a graph does not take
            raise self._unlike(f"does not take pictures of {width_px}x{height_px}") from error
        wanted = expected_shape(self._layout.decode, len(self.labels), len(self._cells.at))
        if len(got) != len(wanted) or any(want not in (None, have) for want, have in zip(wanted, got, strict=True)):
            raise self._unlike(f"gives {_times(got)} numbers a picture, not {_times(wanted)}")

    def run(self, batch: Sequence[Image]) -> list[Objects]:
        """Objects of each picture (RGB); at most `max_objects` each."""
        found = self._look(batch)
        doubtful = [index for index, objects in enumerate(found) if self._in_doubt(objects).any()]
        mirrored = self._look([np.ascontiguousarray(batch[index][:, ::-1]) for index in doubtful])
        for index, objects in zip(doubtful, mirrored, strict=True):
            found[index] = self._agreed(found[index], _turned_back(objects, batch[index].shape[1]))
        return found

    def close(self) -> None:
        self._onnx.close()

    def _look(self, batch: Sequence[Image]) -> list[Objects]:
        found: list[Objects] = []
        for start in range(0, len(batch), self._largest_batch):
            part = batch[start : start + self._largest_batch]
            found += [self._objects(raw, image) for raw, image in zip(self._infer(part), part, strict=True)]
        return found

    def _infer(self, batch: Sequence[Image]) -> Floats:
        name = self._layout.input or self._onnx.inputs[0]
        return np.asarray(self._onnx.run({name: _input_of(batch, self._layout)})[0], dtype=np.float32)

    def _objects(self, raw: Floats, image: Image) -> Objects:
        found = decoded(raw, self._layout, self._cells, len(self.labels), self._min_score, self._max_overlap)
        best = np.argsort(-found.scores, kind="stable")[: self._max_objects]
        height_px, width_px = image.shape[:2]
        scale, offset_px = _placed(width_px, height_px, self._layout)
        boxes = (found.boxes[best] - np.tile(offset_px, 2)) / np.tile(scale, 2)
        boxes = np.clip(boxes, 0.0, np.tile((width_px, height_px), 2))
        return np.concatenate(
            [boxes, found.scores[best, None], found.classes[best, None]], axis=1, dtype=np.float32, casting="unsafe"
        )

    def _in_doubt(self, objects: Objects) -> npt.NDArray[np.bool_]:
        doubtable: npt.NDArray[np.bool_] = self._doubtable[objects[:, 5].astype(np.intp)]
        return doubtable & (objects[:, 4] < self._certain)

    def _agreed(self, objects: Objects, again: Objects) -> Objects:
        """`objects`, where in doubt with the mean of their score and that of the same thing seen `again`."""
        same = (_overlaps(objects, again) >= SAME_THING) & (objects[:, None, 5] == again[None, :, 5])
        seen_again = np.where(same, again[None, :, 4], 0.0).max(axis=1, initial=0.0)
        scores = np.where(self._in_doubt(objects), (objects[:, 4] + seen_again) / 2, objects[:, 4])
        agreed = objects.copy()
        agreed[:, 4] = scores
        agreed = agreed[scores >= self._min_score]
        return agreed[np.argsort(-agreed[:, 4], kind="stable")]

    def _unlike(self, how: str) -> FeatureMissing:
        return FeatureMissing(self._feature, f"{self.name} {how}: its layout in the manifest does not fit it")


def _layout_of(model: LocalModel) -> Layout:
    layout, feature = model.card.layout, model.card.feature
    if layout is None or not layout.decode:
        raise FeatureMissing(feature, f"{model.name} has no layout.decode in the manifest")
    if layout.fit not in _FITS:
        raise FeatureMissing(feature, f"{model.name}: layout.fit is {layout.fit}, a detector takes {', '.join(_FITS)}")
    return layout


def _times(shape: Sequence[int | None]) -> str:
    return " x ".join("any" if side is None else str(side) for side in shape)


def _placed(width_px: int, height_px: int, layout: Layout) -> Placed:
    if layout.fit == "stretch":
        return Placed((layout.width_px / width_px, layout.height_px / height_px), (0, 0))
    scale = min(layout.width_px / width_px, layout.height_px / height_px)
    if layout.fit == "letterbox_top_left":
        return Placed((scale, scale), (0, 0))
    spare = (layout.width_px - round(width_px * scale), layout.height_px - round(height_px * scale))
    return Placed((scale, scale), (spare[0] // 2, spare[1] // 2))


def _input_of(batch: Sequence[Image], layout: Layout) -> Floats:
    """(n, 3, height, width) of pictures of any size, as the layout wants them."""
    fitted = np.full((len(batch), layout.height_px, layout.width_px, 3), layout.pad, dtype=np.uint8)
    for canvas, image in zip(fitted, batch, strict=True):
        height_px, width_px = image.shape[:2]
        scale, (left, top) = _placed(width_px, height_px, layout)
        size = (max(1, round(width_px * scale[0])), max(1, round(height_px * scale[1])))
        canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    feed = np.empty((len(batch), 3, layout.height_px, layout.width_px), dtype=np.float32)
    for channel in range(3):
        plane = feed[:, channel]
        plane[:] = fitted[..., channel if layout.colours == "rgb" else 2 - channel]
        factor, shift = layout.scale / layout.std[channel], layout.mean[channel] / layout.std[channel]
        if (factor, shift) != (1.0, 0.0):
            plane *= factor
            plane -= shift
    return feed


def _turned_back(objects: Objects, width_px: int) -> Objects:
    turned = objects.copy()
    turned[:, 0], turned[:, 2] = width_px - objects[:, 2], width_px - objects[:, 0]
    return turned


def _overlaps(one: Objects, other: Objects) -> Floats:
    """Intersection over union of each box of `one` with each of `other`: (n, m)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:4], other[None, :, 2:4])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    areas = [(boxes[:, 2:4] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-6), dtype=np.float32)

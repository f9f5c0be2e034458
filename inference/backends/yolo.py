"""Objects: YOLOX, and any detector whose ONNX file comes in one of the usual YOLO layouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.backends.onnx import OnnxModel
from inference.backends.settings import OnnxSettings
from inference.models.manifest import Layout
from inference.models.store import LocalModel
from proto.errors import FeatureMissing

Floats = npt.NDArray[np.float32]
Objects = Floats
"""(objects, 6): left, top, right, bottom in pixels of the picture, score 0-1, class index; best score first."""

MIN_SCORE = 0.25
"""Far below where anything is decided: what is half hidden is still reported, and told apart by its score."""

MAX_OVERLAP = 0.45
"""Boxes of one class whose intersection over union is larger are the same thing."""

MAX_CANDIDATES = 300
MAX_OBJECTS = 50
"""A desk has a dozen things on it; a picture made to hurt has thousands."""

_FITS = ("stretch", "letterbox", "letterbox_top_left")
_EXP_LIMIT = 10.0


class Candidates(NamedTuple):
    """Boxes (n, 4) as left, top, right, bottom in pixels of the model's input, scores (n,), class indices (n,)."""

    boxes: Floats
    scores: Floats
    classes: npt.NDArray[np.intp]


class Cells(NamedTuple):
    """YOLOX's cells in the order of its rows: column and row of each (n, 2), and its side in pixels (n, 1)."""

    at: Floats
    side_px: Floats


class Placed(NamedTuple):
    """How a picture lies in the model's input: input px = picture px * scale + offset, by (x, y)."""

    scale: tuple[float, float]
    offset_px: tuple[int, int]


class YoloBackend:
    """The model's card says in its layout what goes in and what comes out.

    Raises:
        FeatureMissing: the card has no layout for a detector.
    """

    def __init__(
        self,
        model: LocalModel,
        onnx: OnnxSettings,
        *,
        min_score: float = MIN_SCORE,
        max_overlap: float = MAX_OVERLAP,
        max_objects: int = MAX_OBJECTS,
    ) -> None:
        self.name = model.name
        self._feature = model.card.feature
        self._layout = _layout_of(model)
        self._labels = len(model.labels)
        self._min_score = min_score
        self._max_overlap = max_overlap
        self._max_objects = max_objects
        self._largest_batch = onnx.max_batch
        self._cells = _cells(self._layout)
        self._onnx = OnnxModel(model.path, onnx, name=model.name, feature=self._feature)

    def load(self) -> None:
        """Run once on an empty picture, and see that what comes out is what the layout says.

        Raises:
            FeatureMissing: the file is absent or broken, or is no model of this layout.
        """
        self._onnx.load()
        if self._onnx.fixed_batch == 1:
            self._largest_batch = 1
        if self._layout.input and self._layout.input not in self._onnx.inputs:
            raise self._unlike(f"has the inputs {', '.join(self._onnx.inputs)}, no {self._layout.input!r}")
        side = (self._layout.height_px, self._layout.width_px)
        raw = self._infer([np.zeros((*side, 3), dtype=np.uint8)])[0]
        expected = _expected(self._layout.decode, self._labels, len(self._cells.at))
        if len(raw.shape) != len(expected) or any(
            want not in (None, got) for want, got in zip(expected, raw.shape, strict=True)
        ):
            shape = " x ".join("any" if want is None else str(want) for want in expected)
            raise self._unlike(f"gives {' x '.join(map(str, raw.shape))} numbers a picture, not {shape}")

    def run(self, batch: Sequence[Image]) -> list[Objects]:
        """Objects of each picture (RGB); at most `max_objects` each."""
        found: list[Objects] = []
        for start in range(0, len(batch), self._largest_batch):
            part = batch[start : start + self._largest_batch]
            found += [self._objects(raw, image) for raw, image in zip(self._infer(part), part, strict=True)]
        return found

    def close(self) -> None:
        self._onnx.close()

    def _infer(self, batch: Sequence[Image]) -> Floats:
        feed = self._layout.input or self._onnx.inputs[0]
        return np.asarray(self._onnx.run({feed: _input_of(batch, self._layout)})[0], dtype=np.float32)

    def _objects(self, raw: Floats, image: Image) -> Objects:
        found = DECODERS[self._layout.decode](raw, self._cells, self._min_score)
        found = _sound(found, self._labels)
        if self._layout.decode != "yolo_end_to_end":
            found = _suppressed(found, self._min_score, self._max_overlap)
        best = np.argsort(-found.scores, kind="stable")[: self._max_objects]
        height_px, width_px = image.shape[:2]
        scale, offset_px = _placed(width_px, height_px, self._layout)
        boxes = (found.boxes[best] - np.tile(offset_px, 2)) / np.tile(scale, 2)
        boxes = np.clip(boxes, 0.0, np.tile((width_px, height_px), 2))
        return np.concatenate(
            [boxes, found.scores[best, None], found.classes[best, None]], axis=1, dtype=np.float32, casting="unsafe"
        )

    def _unlike(self, how: str) -> FeatureMissing:
        return FeatureMissing(self._feature, f"{self.name} {how}: its layout in the manifest does not fit it")


def _layout_of(model: LocalModel) -> Layout:
    layout, feature = model.card.layout, model.card.feature
    if layout is None or not layout.decode:
        raise FeatureMissing(feature, f"{model.name} has no layout.decode in the manifest")
    if layout.fit not in _FITS:
        raise FeatureMissing(feature, f"{model.name}: layout.fit is {layout.fit}, a detector takes {', '.join(_FITS)}")
    return layout


def _expected(decode: str, labels: int, cells: int) -> tuple[int | None, ...]:
    """Shape of one picture's output; None stands for any number."""
    shapes: dict[str, tuple[int | None, ...]] = {
        "yolox": (cells, 5 + labels),
        "yolo_v5": (None, 5 + labels),
        "yolo_v8": (4 + labels, None),
        "yolo_end_to_end": (None, 6),
    }
    return shapes[decode]


def _cells(layout: Layout) -> Cells:
    at, side_px = [], []
    for stride in layout.strides:
        columns, rows = np.meshgrid(np.arange(layout.width_px // stride), np.arange(layout.height_px // stride))
        at.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        side_px.append(np.full((columns.size, 1), stride))
    return Cells(np.concatenate(at).astype(np.float32), np.concatenate(side_px).astype(np.float32))


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


def _yolox(raw: Floats, cells: Cells, min_score: float) -> Candidates:
    """Rows (x, y, w, h, objectness, classes): centre from the cell's corner in cells, size as its logarithm in cells."""
    kept = raw[:, 4] >= min_score
    rows, side_px = raw[kept], cells.side_px[kept]
    centres = (rows[:, :2] + cells.at[kept]) * side_px
    sizes = np.exp(np.minimum(rows[:, 2:4], _EXP_LIMIT)) * side_px
    return _best_class(_corners(centres, sizes), rows[:, 5:] * rows[:, 4:5], min_score)


def _yolo_v5(raw: Floats, _cells: Cells, min_score: float) -> Candidates:
    rows = raw[raw[:, 4] >= min_score]
    return _best_class(_corners(rows[:, :2], rows[:, 2:4]), rows[:, 5:] * rows[:, 4:5], min_score)


def _yolo_v8(raw: Floats, _cells: Cells, min_score: float) -> Candidates:
    rows = raw[:, raw[4:].max(axis=0, initial=0.0) >= min_score].T
    return _best_class(_corners(rows[:, :2], rows[:, 2:4]), rows[:, 4:], min_score)


def _yolo_end_to_end(raw: Floats, _cells: Cells, min_score: float) -> Candidates:
    rows = raw[raw[:, 4] >= min_score]
    classes = np.where(np.isfinite(rows[:, 5]), rows[:, 5], -1.0)
    return Candidates(rows[:, :4], rows[:, 4], np.rint(np.clip(classes, -1.0, 1e6)).astype(np.intp))


Decoder = Callable[[Floats, Cells, float], Candidates]
DECODERS: dict[str, Decoder] = {
    "yolox": _yolox,
    "yolo_v5": _yolo_v5,
    "yolo_v8": _yolo_v8,
    "yolo_end_to_end": _yolo_end_to_end,
}


def _corners(centres: Floats, sizes: Floats) -> Floats:
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)


def _best_class(boxes: Floats, by_class: Floats, min_score: float) -> Candidates:
    classes = by_class.argmax(axis=1) if by_class.size else np.zeros(len(boxes), dtype=np.intp)
    scores = by_class[np.arange(len(boxes)), classes] if by_class.size else np.zeros(len(boxes), dtype=np.float32)
    kept = scores >= min_score
    return Candidates(boxes[kept], scores[kept], classes[kept])


def _sound(found: Candidates, labels: int) -> Candidates:
    """Without what is no number, no box or no class of the model's; of too many, the best."""
    kept = np.isfinite(found.boxes).all(axis=1) & (found.scores <= 1.0)
    kept &= (found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1) & (found.classes >= 0) & (found.classes < labels)
    (rows,) = np.nonzero(kept)
    if len(rows) > MAX_CANDIDATES:
        rows = rows[np.argsort(-found.scores[rows], kind="stable")[:MAX_CANDIDATES]]
    return Candidates(found.boxes[rows], found.scores[rows], found.classes[rows])


def _suppressed(found: Candidates, min_score: float, max_overlap: float) -> Candidates:
    """Of boxes of one class that overlap, the best (greedy non-maximum suppression)."""
    if not len(found.scores):
        return found
    sizes = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        sizes.tolist(), found.scores.tolist(), found.classes.tolist(), min_score, max_overlap
    )
    rows = np.asarray(kept, dtype=np.intp).reshape(-1)
    return Candidates(found.boxes[rows], found.scores[rows], found.classes[rows])

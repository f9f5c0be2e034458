"""What a face shows, as probabilities of a model's own classes: any face classifier whose card says how it is fed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.backends.face_embedding import prepared
from inference.backends.onnx import OnnxModel
from inference.backends.settings import OnnxSettings
from inference.models.manifest import Layout
from inference.models.store import LocalModel
from inference.signals.alignment import aligned
from inference.signals.expressions import OF_LABEL
from inference.signals.landmarks import Points, bounding_box
from proto.errors import FeatureMissing

Probabilities = npt.NDArray[np.float32]
"""(k,) of the classes in `labels`, which sum to 1."""

MARGIN = 1.1
"""A box this much larger than the mesh, chin to hairline, is about what a face detector draws."""


class ExpressionBackend:
    """`labels` are the model's classes, in the output's order.

    Raises:
        FeatureMissing: its card has no layout for faces, or classes that nothing here has a name for.
    """

    def __init__(self, model: LocalModel, onnx: OnnxSettings) -> None:
        self.name = model.name
        self.labels = model.labels
        self._feature = model.card.feature
        self._layout = _layout_of(model)
        self._model = OnnxModel(
            model.path, onnx, name=model.name, feature=self._feature, fp16=model.card.half_precision
        )

    @property
    def provider(self) -> str:
        """ONNX Runtime provider that runs it, once it is loaded."""
        return self._model.provider

    def load(self) -> None:
        """Run once on an empty face, and see that one number comes out for each class.

        Raises:
            FeatureMissing: the file is absent or broken, or is no model of this layout.
        """
        self._model.load()
        if self._layout.input and self._layout.input not in self._model.inputs:
            raise self._unlike(f"has the inputs {', '.join(self._model.inputs)}, no {self._layout.input!r}")
        width_px, height_px = self._layout.width_px, self._layout.height_px
        try:
            raw = self._infer([np.zeros((height_px, width_px, 3), dtype=np.uint8)])
        except Exception as error:  # ONNX Runtime has errors of its own for a feed that a graph does not take
            raise self._unlike(f"does not take faces of {width_px}x{height_px}") from error
        if raw.shape != (1, len(self.labels)):
            raise self._unlike(f"gives {raw.size} numbers a face, not the {len(self.labels)} of its labels")

    def crop(self, image: Image, points_px: Points) -> Image:
        """The face of a mesh (478, 3) in pixels of `image` (RGB), as `run` takes it.

        Raises:
            ValueError: the mesh is no face: its points fall together, or lie outside the picture.
        """
        if self._layout.fit == "align_5_points":
            return aligned(image, points_px, self._layout.width_px)
        return _squared(image, points_px, self._layout)

    def run(self, batch: Sequence[Image]) -> list[Probabilities]:
        """Probabilities of each face, cut out by `crop`.

        Raises:
            BadInput: a face is not of the layout's size.
        """
        if not batch:
            return []
        raw = self._infer(batch)
        return list(_softmax(raw) if self._layout.softmax else raw)

    def close(self) -> None:
        self._model.close()

    def _infer(self, batch: Sequence[Image]) -> npt.NDArray[np.float32]:
        feed = self._layout.input or self._model.inputs[0]
        raw = self._model.run({feed: prepared(batch, self._layout)})[0]
        return np.asarray(raw, dtype=np.float32).reshape(len(batch), -1)

    def _unlike(self, how: str) -> FeatureMissing:
        return FeatureMissing(self._feature, f"{self.name} {how}: its row in the manifest does not fit it")


def _layout_of(model: LocalModel) -> Layout:
    layout, feature = model.card.layout, model.card.feature
    if layout is None or layout.fit not in ("align_5_points", "square_crop") or layout.width_px != layout.height_px:
        raise FeatureMissing(
            feature, f'{model.name}: its layout must be square, with fit = "align_5_points" or "square_crop"'
        )
    unknown = [label for label in model.labels if label.lower() not in OF_LABEL]
    if unknown or not model.labels:
        what = f"has the class {unknown[0]!r}" if unknown else "has no labels"
        raise FeatureMissing(feature, f"{model.name} {what}; known are {', '.join(sorted(OF_LABEL))}")
    return layout


def _squared(image: Image, points_px: Points, layout: Layout) -> Image:
    """The face's box, made square with the layout's border colour and scaled to its size."""
    rows, columns = image.shape[:2]
    x, y, width, height = bounding_box(points_px, columns, rows)
    out_x, out_y = width * (MARGIN - 1.0) / 2.0, height * (MARGIN - 1.0) / 2.0
    left, right = round(max(0.0, x - out_x) * columns), round(min(1.0, x + width + out_x) * columns)
    top, bottom = round(max(0.0, y - out_y) * rows), round(min(1.0, y + height + out_y) * rows)
    cut = image[top:bottom, left:right]
    if not cut.size:
        raise ValueError("the face lies outside the picture")
    side_px = max(cut.shape[:2])
    square = np.full((side_px, side_px, 3), layout.pad, dtype=np.uint8)
    down, over = (side_px - cut.shape[0]) // 2, (side_px - cut.shape[1]) // 2
    square[down : down + cut.shape[0], over : over + cut.shape[1]] = cut
    how = cv2.INTER_AREA if side_px > layout.width_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (layout.width_px, layout.height_px), interpolation=how), dtype=np.uint8)


def _softmax(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)

"""Where faces are: BlazeFace (short range), converted from MediaPipe's package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.backends.anchors import Anchors
from inference.backends.base import Image
from inference.backends.converted import ConvertedBackend
from inference.backends.regions import letterboxed, tensor, whole
from inference.backends.settings import OnnxSettings
from inference.models.store import LocalModel

Detections = npt.NDArray[np.float32]
"""(faces, 17), best first: left, top, right, bottom, then x and y of right eye, left eye (the person's own), nose tip,
mouth and both ears, all in pixels of the picture; last the score, 0-1."""

SIDE_PX = 128

MIN_CONFIDENCE = 0.65
"""Score from which a find is a face. At MediaPipe's own 0.5 a blurred house front is one (0.61), and a second face is a
grave thing to say of somebody; real faces, profiles included, score 0.7 and more."""


class FaceDetectorBackend(ConvertedBackend):
    """For faces within about 2 m: the whole picture is seen at 128 pixels."""

    def __init__(self, model: LocalModel, onnx: OnnxSettings, *, min_confidence: float = MIN_CONFIDENCE) -> None:
        super().__init__(model, onnx)
        self._min_confidence = min_confidence
        self._anchors = Anchors(SIDE_PX)

    def run(self, batch: Sequence[Image]) -> list[Detections]:
        if not batch:
            return []
        crops = [letterboxed(image, SIDE_PX) for image in batch]
        boxes, scores = self._model.run({"input": tensor(crops, 2.0 / 255.0, -1.0)})
        return [self._one(whole(image), rows, logits) for image, rows, logits in zip(batch, boxes, scores, strict=True)]

    def _one(
        self, square: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]
    ) -> Detections:
        finds = self._anchors.finds(boxes, scores, self._min_confidence)
        side, corner = square[2], square[:2] - square[2] / 2
        rows = np.empty((len(finds.scores), 17), dtype=np.float32)
        rows[:, :4] = finds.boxes * side + np.tile(corner, 2)
        rows[:, 4:16] = (finds.points * side + corner).reshape(len(rows), 12)
        rows[:, 16] = finds.scores
        return rows

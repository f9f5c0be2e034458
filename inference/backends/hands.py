"""Hands: MediaPipe's palm detector and hand landmarks (lite), converted from its package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.backends.anchors import Anchors, Finds
from inference.backends.base import Image
from inference.backends.onnx import OnnxModel
from inference.backends.regions import Rois, cut_out, letterboxed, tensor, to_picture, whole
from inference.backends.settings import OnnxSettings
from inference.models.store import LocalModel

Hands = npt.NDArray[np.float32]
"""(hands, 21, 2): fractions of the picture's width and height."""

POINTS = 21
PALM_SIDE_PX = 192
HAND_SIDE_PX = 224
MIN_PRESENCE = 0.5

_WRIST, _MIDDLE_FINGER = 0, 2
"""Key points of a palm; the line between them points up the hand."""

_WIDER, _UP = 2.6, 0.5
"""A hand is so many times as large as its palm, and its middle lies half a palm further up."""


class HandsBackend:
    """`model` is the palm detector, `landmarks` the hand's. Costs several times a face mesh: for pictures with a reason
    to look."""

    def __init__(
        self,
        model: LocalModel,
        landmarks: LocalModel,
        onnx: OnnxSettings,
        *,
        max_hands: int = 4,
        min_confidence: float = 0.5,
    ) -> None:
        self.name = landmarks.path.stem
        self._models = tuple(
            OnnxModel(one.path, onnx, name=one.name, feature=one.card.feature, fp16=one.card.half_precision)
            for one in (model, landmarks)
        )
        self._max_hands = max_hands
        self._min_confidence = min_confidence
        self._anchors = Anchors(PALM_SIDE_PX)

    @property
    def provider(self) -> str:
        """Execution provider that runs it, once loaded."""
        return self._models[-1].provider

    def load(self) -> None:
        """Open both models and run each once.

        Raises:
            FeatureMissing: a file, or ONNX Runtime, is absent or broken.
        """
        for model in self._models:
            model.load()

    def run(self, batch: Sequence[Image]) -> list[Hands]:
        if not batch:
            return []
        palms, hands = self._models
        rois = self._rois(palms, batch)
        crops = [cut_out(image, roi, HAND_SIDE_PX) for image, some in zip(batch, rois, strict=True) for roi in some]
        if not crops:
            return [np.empty((0, POINTS, 2), dtype=np.float32) for _ in batch]
        points, presence = hands.run({"input": tensor(crops, 1.0 / 255.0)})
        placed = to_picture(points[..., :2], np.concatenate(rois), HAND_SIDE_PX)
        kept = presence[:, 0] > MIN_PRESENCE
        ends = np.cumsum([len(some) for some in rois])
        return [
            placed[end - len(some) : end][kept[end - len(some) : end]] / np.array(image.shape[1::-1], dtype=np.float32)
            for image, some, end in zip(batch, rois, ends, strict=True)
        ]

    def _rois(self, palms: OnnxModel, images: Sequence[Image]) -> list[Rois]:
        crops = [letterboxed(image, PALM_SIDE_PX) for image in images]
        boxes, scores = palms.run({"input": tensor(crops, 1.0 / 255.0)})
        return [
            _around(self._anchors.finds(rows, logits, self._min_confidence), whole(image))[: self._max_hands]
            for image, rows, logits in zip(images, boxes, scores, strict=True)
        ]

    def close(self) -> None:
        for model in self._models:
            model.close()


def _around(palms: Finds, square: npt.NDArray[np.float32]) -> Rois:
    """Regions of whole hands, fingers up, from palms in fractions of a square."""
    side, corner = square[2], square[:2] - square[2] / 2
    boxes, points = palms.boxes * side, palms.points * side
    low, high = boxes[:, :2], boxes[:, 2:]
    up = points[:, _MIDDLE_FINGER] - points[:, _WRIST] if len(points) else np.empty((0, 2), dtype=np.float32)
    turn = np.pi / 2 - np.arctan2(-up[:, 1], up[:, 0])
    turn -= 2 * np.pi * np.floor((turn + np.pi) / (2 * np.pi))
    width, height = (high - low).T
    rois = np.empty((len(boxes), 5), dtype=np.float32)
    rois[:, :2] = (low + high) / 2 + corner
    rois[:, 0] += height * _UP * np.sin(turn)
    rois[:, 1] -= height * _UP * np.cos(turn)
    rois[:, 2:4] = (np.maximum(width, height) * _WIDER)[:, None]
    rois[:, 4] = turn
    return rois

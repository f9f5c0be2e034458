"""Hands: MediaPipe's palm detector and hand mesh, whose models are inside its package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.backends import mediapipe_runtime
from inference.backends.base import Image

Hands = npt.NDArray[np.float32]
"""(hands, 21, 2): fractions of the picture's width and height."""

POINTS = 21
LITE_MODEL = 0


class HandsBackend:
    """Costs several times a face mesh: for pictures with a reason to look."""

    def __init__(self, max_hands: int = 4, min_confidence: float = 0.5) -> None:
        self.name = mediapipe_runtime.model_name("hands-lite")
        self._max_hands = max_hands
        self._min_confidence = min_confidence
        self._hands: Any = None

    def load(self) -> None:
        """As `FaceMeshBackend.load`.

        Raises:
            FeatureMissing: there is no mediapipe.
        """
        module = mediapipe_runtime.solution("hands", "hands")
        with mediapipe_runtime.quietly():
            self._hands = module.Hands(
                static_image_mode=True,
                max_num_hands=self._max_hands,
                model_complexity=LITE_MODEL,
                min_detection_confidence=self._min_confidence,
            )
            self.run([np.zeros((64, 64, 3), dtype=np.uint8)])

    def run(self, batch: Sequence[Image]) -> list[Hands]:
        return [self._one(image) for image in batch]

    def _one(self, image: Image) -> Hands:
        hands = self._hands.process(image).multi_hand_landmarks or ()
        found = np.empty((len(hands), POINTS, 2), dtype=np.float32)
        for row, hand in zip(found, hands, strict=True):
            row[:] = [(point.x, point.y) for point in hand.landmark]
        return found

    def close(self) -> None:
        if self._hands is not None:
            self._hands.close()
            self._hands = None

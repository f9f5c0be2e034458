"""Which part of a picture is a person: MediaPipe's selfie segmentation, whose model is inside its package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inference.backends import mediapipe_runtime
from inference.backends.base import Image

Mask = npt.NDArray[np.float32]
"""(256, 256): probability that a person is there, over the whole picture."""

INPUT_SIDE_PX = 256
"""The network's own input size: scaling here spares it from blowing the mask up to the picture's size."""

GENERAL_MODEL = 0


class PersonBackend:
    def __init__(self) -> None:
        self.name = mediapipe_runtime.model_name("selfie-segmentation")
        self._segmentation: Any = None

    def load(self) -> None:
        """As `FaceMeshBackend.load`.

        Raises:
            FeatureMissing: there is no mediapipe.
        """
        module = mediapipe_runtime.solution("selfie_segmentation", "person")
        with mediapipe_runtime.quietly():
            self._segmentation = module.SelfieSegmentation(model_selection=GENERAL_MODEL)
            self.run([np.zeros((INPUT_SIDE_PX, INPUT_SIDE_PX, 3), dtype=np.uint8)])

    def run(self, batch: Sequence[Image]) -> list[Mask]:
        return [self._one(image) for image in batch]

    def _one(self, image: Image) -> Mask:
        small = cv2.resize(image, (INPUT_SIDE_PX, INPUT_SIDE_PX), interpolation=cv2.INTER_AREA)
        mask = self._segmentation.process(small).segmentation_mask
        return np.array(mask, dtype=np.float32)

    def close(self) -> None:
        if self._segmentation is not None:
            self._segmentation.close()
            self._segmentation = None

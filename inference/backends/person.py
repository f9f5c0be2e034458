"""Which part of a picture is a person: MediaPipe's selfie segmentation, converted from its package."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.backends.converted import ConvertedBackend
from inference.backends.regions import tensor

Mask = npt.NDArray[np.float32]
"""(256, 256): probability that a person is there, over the whole picture."""

SIDE_PX = 256


class PersonBackend(ConvertedBackend):
    """The picture is squeezed to a square, as the model was trained."""

    def run(self, batch: Sequence[Image]) -> list[Mask]:
        if not batch:
            return []
        small = [
            np.asarray(cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), dtype=np.uint8)
            for image in batch
        ]
        return list(self._model.run({"input": tensor(small, 1.0 / 255.0)})[0])

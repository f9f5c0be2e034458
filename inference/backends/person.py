"""Which part of a picture is a person: MediaPipe's selfie segmentation, converted from its package."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.backends.onnx import OnnxModel
from inference.backends.regions import tensor
from inference.backends.settings import OnnxSettings
from inference.models.store import LocalModel

Mask = npt.NDArray[np.float32]
"""(256, 256): probability that a person is there, over the whole picture."""

SIDE_PX = 256


class PersonBackend:
    """The picture is squeezed to a square, as the model was trained."""

    def __init__(self, model: LocalModel, onnx: OnnxSettings) -> None:
        self.name = model.path.stem
        self._model = OnnxModel(
            model.path, onnx, name=model.name, feature=model.card.feature, fp16=model.card.half_precision
        )

    @property
    def provider(self) -> str:
        """Execution provider that runs it, once loaded."""
        return self._model.provider

    def load(self) -> None:
        """Open the model and run it once.

        Raises:
            FeatureMissing: the file, or ONNX Runtime, is absent or broken.
        """
        self._model.load()

    def run(self, batch: Sequence[Image]) -> list[Mask]:
        if not batch:
            return []
        small = [
            np.asarray(cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), dtype=np.uint8)
            for image in batch
        ]
        return list(self._model.run({"input": tensor(small, 1.0 / 255.0)})[0])

    def close(self) -> None:
        self._model.close()

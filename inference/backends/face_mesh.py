"""Face mesh with irises: MediaPipe's attention mesh, converted from its package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.backends.embedded import model_of
from inference.backends.onnx import OnnxModel
from inference.backends.regions import tensor
from inference.backends.settings import OnnxSettings
from inference.models.store import LocalModel

POINTS = 478
SIDE_PX = 192


class Mesh(NamedTuple):
    """What one crop shows, whether or not it is a face."""

    points: npt.NDArray[np.float32]
    """(478, 3) in pixels of the crop; depth grows away from the camera, in the scale of x."""
    presence: float
    """Probability of a face, 0-1."""


class FaceMeshBackend:
    """Takes crops of 192x192 pixels with a face upright in the middle, and a quarter of its size around it."""

    def __init__(self, model: LocalModel, onnx: OnnxSettings) -> None:
        self.name = model.path.stem
        self._local = model
        self._settings = onnx
        self._model: OnnxModel | None = None

    @property
    def provider(self) -> str:
        """Execution provider that runs it, once loaded."""
        return self._model.provider if self._model else ""

    def load(self) -> None:
        """Raises FeatureMissing: the file, or ONNX Runtime, is absent or broken."""
        self._model = model_of(self._local, self._settings)
        self._model.load()

    def run(self, batch: Sequence[Image]) -> list[Mesh]:
        assert self._model is not None
        if not batch:
            return []
        points, logits = self._model.run({"input": tensor(batch, 1.0 / 255.0)})
        presence = 1.0 / (1.0 + np.exp(-logits[:, 0]))
        return [Mesh(one, float(value)) for one, value in zip(points, presence, strict=True)]

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None

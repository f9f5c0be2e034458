"""Face mesh with irises: MediaPipe's attention mesh, converted from its package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.backends.converted import ConvertedBackend
from inference.backends.regions import tensor

POINTS = 478
SIDE_PX = 192


class Mesh(NamedTuple):
    """What one crop shows, whether or not it is a face."""

    points: npt.NDArray[np.float32]
    """(478, 3) in pixels of the crop; depth grows away from the camera, in the scale of x."""
    presence: float
    """Probability of a face, 0-1."""


class FaceMeshBackend(ConvertedBackend):
    """Takes crops of 192x192 pixels with a face upright in the middle, and a quarter of its size around it."""

    def run(self, batch: Sequence[Image]) -> list[Mesh]:
        if not batch:
            return []
        points, logits = self._model.run({"input": tensor(batch, 1.0 / 255.0)})
        presence = 1.0 / (1.0 + np.exp(-logits[:, 0]))
        return [Mesh(one, float(value)) for one, value in zip(points, presence, strict=True)]

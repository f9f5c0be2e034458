"""A standard face: the points of the mesh that keep still when a face moves, where they lie, how far each is trusted.

The figures are those of MediaPipe's face geometry module (`geometry_pipeline_metadata_landmarks.pbtxt`, Copyright 2020
The MediaPipe Authors, Apache License 2.0), rounded; the mediapipe package does not carry that file. The face is
symmetric, so only the midline and the image's left half are written down.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class _Point(NamedTuple):
    """Mesh index on the left, its mirror image (the same on the midline), cm from the head's middle, weight."""

    left: int
    right: int
    x: float
    y: float
    z: float
    weight: float


_POINTS = (
    _Point(4, 4, 0.0, -0.4632, 7.5866, 0.07091),
    _Point(6, 6, 0.0, 2.4733, 5.7886, 0.03210),
    _Point(10, 10, 0.0, 8.2618, 4.4815, 0.00845),
    _Point(33, 263, -4.4459, 2.6640, 3.1734, 0.05872),
    _Point(54, 284, -6.2793, 6.6154, 1.4259, 0.00767),
    _Point(67, 297, -3.5240, 8.0060, 3.7292, 0.00908),
    _Point(117, 346, -5.2587, 0.9458, 2.9743, 0.00979),
    _Point(119, 348, -3.3007, 0.8617, 3.8728, 0.01457),
    _Point(121, 350, -1.8207, 1.4680, 4.2241, 0.01859),
    _Point(127, 356, -7.7431, 2.3650, -2.0052, 0.00520),
    _Point(129, 358, -1.7858, -0.9783, 4.8505, 0.12063),
    _Point(132, 361, -7.2709, -2.8909, -2.2525, 0.00556),
    _Point(133, 362, -1.8564, 2.5852, 3.7579, 0.05329),
    _Point(136, 365, -5.0853, -7.1786, 0.7147, 0.06689),
    _Point(143, 372, -6.4076, 2.2360, 1.5608, 0.01482),
    _Point(147, 376, -6.2349, -1.9444, 1.6636, 0.01426),
    _Point(198, 420, -1.2468, 0.2303, 5.6810, 0.02546),
    _Point(205, 425, -3.8329, -1.5373, 4.1377, 0.04725),
)


def _rows() -> list[tuple[int, float, float, float, float]]:
    rows = []
    for point in _POINTS:
        rows.append((point.left, point.x, point.y, point.z, point.weight))
        if point.right != point.left:
            rows.append((point.right, -point.x, point.y, point.z, point.weight))
    return rows


_TABLE = np.array(_rows(), dtype=np.float64)

BASIS: npt.NDArray[np.intp] = _TABLE[:, 0].astype(np.intp)
"""Mesh indices of the points, (33,)."""

VERTICES_CM: npt.NDArray[np.float64] = _TABLE[:, 1:4]
"""Where they lie: x to the image's right, y up, z towards the camera, (33, 3) centimetres."""

WEIGHTS: npt.NDArray[np.float64] = _TABLE[:, 4] / _TABLE[:, 4].sum()
"""How far each is trusted, (33,), summing to 1."""

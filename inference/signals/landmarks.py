"""Names for the points of the 478-point face mesh. "Left" and "right" are the image's, not the candidate's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""(478, 3) or (n, 3): x to the image's right and y down, in pixels; z away from the camera on the same scale."""

MESH_POINTS = 468
POINTS_WITH_IRIS = 478


class EyePoints(NamedTuple):
    """`left` and `right` corners as the image shows them; `lids` are (upper, lower) pairs from left to right."""

    left: int
    right: int
    iris: int
    lids: tuple[tuple[int, int], ...]


LEFT_EYE = EyePoints(left=33, right=133, iris=468, lids=((160, 144), (159, 145), (158, 153)))
RIGHT_EYE = EyePoints(left=362, right=263, iris=473, lids=((385, 380), (386, 374), (387, 373)))

FOREHEAD_TOP = 10
CHIN = 152
MOUTH_LEFT = 61
MOUTH_RIGHT = 291
UPPER_LIP_INNER = 13
LOWER_LIP_INNER = 14
LEFT_BROW = (105, 66)
RIGHT_BROW = (334, 296)
LEFT_BROW_INNER = (55, 107)
RIGHT_BROW_INNER = (285, 336)
LEFT_BROW_OUTER = (46, 70)
RIGHT_BROW_OUTER = (276, 300)


def to_pixels(mesh: npt.ArrayLike, width_px: int, height_px: int) -> Points:
    """Pixels from the mesh's own units: x and z as fractions of the width, y of the height. Shape is kept."""
    return np.asarray(mesh, dtype=np.float64) * np.array([width_px, height_px, width_px], dtype=np.float64)


def bounding_box(points_px: Points, width_px: int, height_px: int) -> tuple[float, float, float, float]:
    """x, y, width, height of the mesh as fractions of the frame, cut at its edges."""
    size = np.array([width_px, height_px], dtype=np.float64)
    low = np.clip(points_px[:MESH_POINTS, :2].min(axis=0) / size, 0.0, 1.0)
    high = np.clip(points_px[:MESH_POINTS, :2].max(axis=0) / size, 0.0, 1.0)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])

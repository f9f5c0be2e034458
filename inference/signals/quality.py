"""Can the picture be judged at all? Brightness and sharpness of the part that matters."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
"""(height, width) brightness, 0-255."""

DARK_BELOW = 20.0
"""Mean luma below which nothing is judged. Far below what dark skin has in poor light: measured, the gaze keeps within
a degree down to 10."""

BRIGHT_ABOVE = 235.0
BLURRED_BELOW = 25.0
"""Sharpness of a face below which the eyes cannot be read: measured, the gaze drifts by 3 degrees at 20."""

BLANK_BELOW = 4.0
"""Sharpness of the sharpest part of a faceless picture below which nothing in it can be made out."""

FACE_SIDE_PX = 128
"""Faces are compared at this size, so that a near face and a far one have the same sharpness."""

SCENE_WIDTH_PX = 320
TILES = 4


def luma_of(rgb: npt.NDArray[np.uint8]) -> Luma:
    """Luma of an RGB picture (height, width, 3)."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def region(luma: Luma, x: float, y: float, width: float, height: float) -> Luma:
    """The part of a picture a box of fractions covers; empty if the box is outside."""
    rows, columns = luma.shape
    top, bottom = round(max(0.0, y) * rows), round(min(1.0, y + height) * rows)
    left, right = round(max(0.0, x) * columns), round(min(1.0, x + width) * columns)
    return luma[top:bottom, left:right]


def brightness(luma: Luma) -> float:
    """Mean luma, 0-255; 0 for an empty region."""
    return float(cv2.mean(luma)[0]) if luma.size else 0.0


def face_sharpness(luma: Luma) -> float:
    """Variance of the Laplacian of a face at a fixed size (Pech-Pacheco et al. 2000); 0 for an empty region."""
    if not luma.size:
        return 0.0
    shrinks = min(luma.shape) > FACE_SIDE_PX
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return _laplacian_variance(cv2.resize(luma, (FACE_SIDE_PX, FACE_SIDE_PX), interpolation=how))


def scene_sharpness(luma: Luma) -> float:
    """Variance of the Laplacian in the sharpest of the picture's tiles: a bare wall is smooth, yet no blur."""
    if not luma.size:
        return 0.0
    height_px = max(TILES, round(luma.shape[0] * SCENE_WIDTH_PX / luma.shape[1]))
    small = cv2.resize(luma, (SCENE_WIDTH_PX, height_px), interpolation=cv2.INTER_AREA)
    tiles = [tile for row in np.array_split(small, TILES, axis=0) for tile in np.array_split(row, TILES, axis=1)]
    return max(_laplacian_variance(tile) for tile in tiles)


def _laplacian_variance(luma: npt.NDArray[np.integer[Any] | np.floating[Any]]) -> float:
    return float(cv2.Laplacian(luma, cv2.CV_32F).var())


def problems(brightness: float, sharpness: float, blurred_below: float) -> tuple[str, ...]:
    """What makes a region unfit to be judged: dark, bright, blurred. In the dark nothing is said of blur."""
    if brightness < DARK_BELOW:
        return ("dark",)
    found = ["bright"] if brightness > BRIGHT_ABOVE else []
    if sharpness < blurred_below:
        found.append("blurred")
    return tuple(found)

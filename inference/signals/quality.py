"""Can the picture be judged at all? Brightness and sharpness of the part that matters."""

from __future__ import annotations

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


def shrunk(luma: Luma, width_px: int, height_px: int) -> Luma:
    """A smaller picture, each of whose pixels is the mean of those it covers.

    OpenCV's mean over fractions of pixels takes 1.6 ns for each pixel of the source, over squares of four a tenth of
    it: so it is halved as often as that fits, and the rest is done on what is left.
    """
    while luma.shape[0] >= 2 * height_px and luma.shape[1] >= 2 * width_px:
        rows, columns = luma.shape[0] // 2, luma.shape[1] // 2
        even = luma[: 2 * rows, : 2 * columns]
        luma = np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.asarray(cv2.resize(luma, (width_px, height_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def brightness(luma: Luma) -> float:
    """Mean luma, 0-255; 0 for an empty region."""
    return float(cv2.mean(luma)[0]) if luma.size else 0.0


def face_sharpness(luma: Luma) -> float:
    """Variance of the Laplacian of a face at a fixed size (Pech-Pacheco et al. 2000); 0 for an empty region."""
    if not luma.size:
        return 0.0
    if min(luma.shape) > FACE_SIDE_PX:
        return _laplacian_variance(shrunk(luma, FACE_SIDE_PX, FACE_SIDE_PX))
    grown = cv2.resize(luma, (FACE_SIDE_PX, FACE_SIDE_PX), interpolation=cv2.INTER_LINEAR)
    return _laplacian_variance(np.asarray(grown, dtype=np.uint8))


def scene_sharpness(luma: Luma) -> float:
    """Variance of the Laplacian in the sharpest of the picture's tiles: a bare wall is smooth, yet no blur."""
    if not luma.size:
        return 0.0
    height_px = max(TILES, round(luma.shape[0] * SCENE_WIDTH_PX / luma.shape[1]))
    small = shrunk(luma, SCENE_WIDTH_PX, height_px)
    tiles = [tile for row in np.array_split(small, TILES, axis=0) for tile in np.array_split(row, TILES, axis=1)]
    return max(_laplacian_variance(tile) for tile in tiles)


def _laplacian_variance(luma: Luma) -> float:
    # Whole numbers between -1020 and 1020.
    _, deviation = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


def problems(brightness: float, sharpness: float, blurred_below: float) -> tuple[str, ...]:
    """What makes a region unfit to be judged: dark, bright, blurred. In the dark nothing is said of blur."""
    if brightness < DARK_BELOW:
        return ("dark",)
    found = ["bright"] if brightness > BRIGHT_ABOVE else []
    if sharpness < blurred_below:
        found.append("blurred")
    return tuple(found)

"""Is something before the face? A mesh is drawn over a hand as readily as over a face, so it cannot tell by itself.

Two halves of a face look alike; one with a hand before it does not. That is cheap to see and often wrong (light from
one side), so it only says where it is worth looking for hands.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from inference.signals.head_pose import Pose
from inference.signals.landmarks import MESH_POINTS, Points
from inference.signals.quality import Luma, shrunk

GRID = 48
LIGHT_SIGMA = GRID / 6.0
"""Differences of brightness wider than this are light, not face."""

SUSPECT_BELOW = 0.4
"""Likeness of the halves below which something may be before the face."""

OCCLUDED_ABOVE = 0.08
"""Share of the face behind hands above which it cannot be judged."""


def _surface_cm() -> Points:
    """A grid over the standard face, brow to chin, bent like its front: (3, GRID * GRID)."""
    x, y = np.meshgrid(np.linspace(-6.0, 6.0, GRID), np.linspace(6.0, -7.0, GRID))
    z = 5.0 - 0.06 * x**2
    return np.asarray(np.stack([x, y, z]).reshape(3, -1), dtype=np.float64)


_SURFACE_CM = _surface_cm()


def likeness(luma: Luma, pose: Pose) -> float:
    """Correlation of the left half of a face with the mirrored right one, -1 to 1, for the less alike of its upper and
    its lower part, after the light's own gradient is taken off.
    """
    face = frontal_view(luma, pose)
    face -= cv2.GaussianBlur(face, (0, 0), LIGHT_SIGMA)
    mirrored = face[:, ::-1]
    half = GRID // 2
    return min(_correlation(face[:half], mirrored[:half]), _correlation(face[half:], mirrored[half:]))


def frontal_view(luma: Luma, pose: Pose) -> npt.NDArray[np.float32]:
    """The face as if it looked at the camera, (GRID, GRID) luma; what lies outside the picture repeats its edge."""
    to_px = pose.rotation * pose.px_per_cm * ((1.0,), (-1.0,), (-1.0,))
    points = (to_px @ _SURFACE_CM + pose.centre_px[:, None])[:2]
    luma, points = _cut_out(luma, points)
    shrink = min(1.0, GRID / (12.0 * pose.px_per_cm))
    if shrink < 1.0:
        size = (max(1, round(luma.shape[1] * shrink)), max(1, round(luma.shape[0] * shrink)))
        points = points * ((size[0] / luma.shape[1],), (size[1] / luma.shape[0],))
        luma = shrunk(luma, *size)
    x, y = points.reshape(2, GRID, GRID).astype(np.float32)
    view = cv2.remap(luma.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, dtype=np.float32)


def _cut_out(luma: Luma, points: Points) -> tuple[Luma, Points]:
    """The part of the picture the points (2, n) lie in, and the points in it."""
    rows, columns = luma.shape
    left, top = (int(low) for low in np.clip(points.min(axis=1), 0, (columns - 1, rows - 1)))
    right, bottom = (int(high) + 1 for high in np.clip(points.max(axis=1), (left, top), (columns - 1, rows - 1)))
    return luma[top:bottom, left:right], points - ((left,), (top,))


def _correlation(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    energy = float((one * one).mean()) * float((other * other).mean())
    if energy <= 1e-6:
        return 1.0
    return float((one * other).mean()) / math.sqrt(energy)


def covered_share(face_px: Points, hands_px: npt.ArrayLike) -> float:
    """Share of a face (mesh in pixels) behind hands (n, 21, 2) in pixels, by their outlines; 0-1. Where hands overlap
    they count twice, at most 1.
    """
    face = cv2.convexHull(face_px[:MESH_POINTS, :2].astype(np.float32))
    area = float(cv2.contourArea(face))
    if area <= 0.0:
        return 0.0
    covered = 0.0
    for hand_px in np.asarray(hands_px, dtype=np.float32):
        shared, _ = cv2.intersectConvexConvex(face, cv2.convexHull(hand_px))
        covered += float(shared)
    return min(1.0, covered / area)

"""A face made of numbers: the standard face with lids, irises and a mouth, posed as a test wants it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.signals import canonical_face, gaze
from inference.signals.landmarks import (
    CHIN,
    LEFT_BROW,
    LEFT_EYE,
    LOWER_LIP_INNER,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    POINTS_WITH_IRIS,
    RIGHT_BROW,
    RIGHT_EYE,
    UPPER_LIP_INNER,
    Points,
)

UP = np.array([0.0, 1.0, 0.0])
TO_PICTURE = np.array([1.0, -1.0, -1.0])
MIRRORED = {4: 4, 6: 6, 10: 10} | {
    one: other
    for pair in (
        (33, 263), (54, 284), (67, 297), (117, 346), (119, 348), (121, 350), (127, 356), (129, 358), (132, 361),
        (133, 362), (136, 365), (143, 372), (147, 376), (198, 420), (205, 425), (468, 473), (61, 291),
        (160, 387), (159, 386), (158, 385), (144, 373), (145, 374), (153, 380), (105, 334), (66, 296),
        (13, 13), (14, 14), (152, 152),
    )
    for one, other in (pair, pair[::-1])
}  # fmt: skip
"""Mesh index of the point that stands there after the picture is mirrored."""


def turned(yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> npt.NDArray[np.float64]:
    """Rotation of a head that leans (clockwise), then nods up, then turns to the image's right."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    lean = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    return np.asarray(turn @ nod @ lean, dtype=np.float64)


def face(
    rotation: npt.NDArray[np.float64] | None = None,
    *,
    px_per_cm: float = 12.0,
    centre_px: tuple[float, float] = (320.0, 180.0),
    gaze_deg: tuple[float, float] = (0.0, 0.0),
    openness: tuple[float, float] = (0.3, 0.3),
    mouth_gap_cm: float = 0.0,
    mouth_width_cm: float = 5.0,
    brow_cm: float = 1.8,
) -> Points:
    """Mesh (478, 3) in pixels; points no signal reads lie at the head's middle. `gaze_deg` is yaw and pitch of the line
    of sight as the camera sees it, whatever the head does; `openness` is of the left and right eye of the picture.
    """
    rotation = np.eye(3) if rotation is None else rotation
    cm = np.zeros((POINTS_WITH_IRIS, 3))
    cm[canonical_face.BASIS] = canonical_face.VERTICES_CM
    cm[CHIN] = (0.0, -9.4, 4.3)
    cm[MOUTH_LEFT], cm[MOUTH_RIGHT] = (-mouth_width_cm / 2, -4.3, 4.3), (mouth_width_cm / 2, -4.3, 4.3)
    cm[UPPER_LIP_INNER], cm[LOWER_LIP_INNER] = (0, -4.3 + mouth_gap_cm / 2, 5.4), (0, -4.3 - mouth_gap_cm / 2, 5.4)
    x, y = np.sin(np.radians(gaze_deg))
    sight = rotation.T @ np.array([x, y, np.sqrt(1.0 - x * x - y * y)])
    for eye, brow, share in ((LEFT_EYE, LEFT_BROW, openness[0]), (RIGHT_EYE, RIGHT_BROW, openness[1])):
        middle = (cm[eye.left] + cm[eye.right]) / 2.0
        half = share * float(np.linalg.norm((cm[eye.left] - cm[eye.right])[:2])) / 2.0
        for upper, lower in eye.lids:
            cm[upper], cm[lower] = middle + half * UP, middle - half * UP
        cm[eye.iris] = middle + (0.0, gaze.CENTRE_RISE_CM, -gaze.CENTRE_DEPTH_CM) + gaze.EYE_RADIUS_CM * sight
        for point in brow:
            cm[point] = middle + brow_cm * UP
    return np.asarray((cm @ rotation.T) * px_per_cm * TO_PICTURE + (*centre_px, 0.0), dtype=np.float64)


def mirror(points_px: Points, width_px: float = 640.0) -> Points:
    """What the mesh would be on the mirrored picture."""
    result = points_px.copy()
    for source, target in MIRRORED.items():
        result[target] = points_px[source] * (-1.0, 1.0, 1.0) + (width_px, 0.0, 0.0)
    return result

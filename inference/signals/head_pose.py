"""Where a head points: the rotation that best lays a standard face over the mesh (weighted Procrustes)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.signals.canonical_face import BASIS, VERTICES_CM, WEIGHTS
from inference.signals.landmarks import Points

Rotation = npt.NDArray[np.float64]
"""(3, 3), from the standard face to the camera: x to the image's right, y up, z towards the camera."""

_TO_CAMERA = np.array([1.0, -1.0, -1.0])


class Pose(NamedTuple):
    """How the standard face lies in the picture: rotated, scaled by `px_per_cm`, its weighted centre at `centre_px`."""

    rotation: Rotation
    px_per_cm: float
    centre_px: npt.NDArray[np.float64]

    def frontal_cm(self, points_px: Points) -> Points:
        """The points (n, 3) as if the head faced the camera: x right, y up, z to the camera, in standard-face cm."""
        camera: Points = (points_px - self.centre_px) * _TO_CAMERA / self.px_per_cm
        return np.asarray(camera @ self.rotation, dtype=np.float64)


class Angles(NamedTuple):
    """Degrees: how far the nose points out of the picture's vertical plane (yaw, positive to the image's right) and out
    of its horizontal one (pitch, positive up), and how far the head leans (roll, positive clockwise). Unlike Euler
    angles, yaw and pitch defined like this stay steady in profile.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def fit(points_px: Points) -> Pose | None:
    """Pose of one face, mesh (468 or more, 3) in pixels; None if the points fall together.

    Orthogonal Procrustes with weights (Schönemann 1966, Umeyama 1991): the points differ in how still they keep when
    the face moves, and the weights say how much.
    """
    target = points_px[BASIS] * _TO_CAMERA
    target_centre = WEIGHTS @ target
    source_centre = WEIGHTS @ VERTICES_CM
    source = VERTICES_CM - source_centre
    spread = float(WEIGHTS @ (source**2).sum(axis=1))
    left, singular, right = np.linalg.svd((target - target_centre).T @ (source * WEIGHTS[:, None]))
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    px_per_cm = float((singular * handed).sum() / spread)
    if not px_per_cm > 0.0:
        return None
    rotation = (left * handed) @ right
    origin = target_centre - px_per_cm * rotation @ source_centre
    return Pose(rotation, px_per_cm, origin * _TO_CAMERA)


def angles(rotation: Rotation) -> Angles:
    """Angles of a head rotation."""
    return Angles(
        yaw_deg=_arcsin_deg(rotation[0, 2]),
        pitch_deg=_arcsin_deg(rotation[1, 2]),
        roll_deg=math.degrees(math.atan2(rotation[0, 1], rotation[0, 0])),
    )


def _arcsin_deg(sine: float) -> float:
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))

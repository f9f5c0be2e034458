"""Where the eyes look: from the iris against the eyeball's centre, which moves with the head.

The centre of an eyeball lies a little behind the middle of its corners. Seen from the camera, the iris stands off that
centre by the eyeball's radius times the sine of the gaze, whatever the head does; what the head adds is taken off again
to have the eye in the head. A line of sight to the camera is 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from inference.signals.eyes import CLOSED_BELOW, openness
from inference.signals.head_pose import Pose, angles
from inference.signals.landmarks import LEFT_EYE, RIGHT_EYE, EyePoints, Points

EYE_RADIUS_CM = 1.2
"""Radius of the human eyeball: 24 mm across in nearly all adults."""

CENTRE_DEPTH_CM = 0.5
"""How far the eyeball's centre lies behind the middle of the eye's corners: with it, the gaze of people who turn their
heads while they look at the camera stays put (the plain iris offset follows the head by about -0.4)."""

CENTRE_RISE_CM = 0.18
"""How far it lies above that middle: with it, people who look at the camera have a gaze pitch about 0."""

PROFILE_YAW_DEG = 50.0
"""Beyond it one eye is hidden and the other too narrow to be read."""

TURNED_YAW_DEG = 25.0
"""Beyond it only the eye nearer to the camera is read."""


MAX_SIGHT = 0.85
"""Share of the eyeball's radius beyond which the iris cannot be: the mesh has slipped (a hand before the eyes)."""


MAX_EYE_DEG = 45.0
"""How far an eye can turn in its socket, which it hardly ever does: beyond, the mesh has slipped."""

MAX_DISAGREEMENT = 0.5
"""Share of the eyeball's radius by which two eyes may look apart: 0.36 is crossed on something 15 cm away."""


class Gaze(NamedTuple):
    """Degrees, positive towards the image's right and upwards; gaze is eye in the head plus head."""

    eye_yaw_deg: float
    eye_pitch_deg: float
    gaze_yaw_deg: float
    gaze_pitch_deg: float


def gaze(points_px: Points, pose: Pose) -> Gaze | None:
    """Gaze of one face with iris points (478, 3) in pixels; None if the eyes are closed or covered, or the face is in
    profile.
    """
    head = angles(pose.rotation)
    if abs(head.yaw_deg) > PROFILE_YAW_DEG:
        return None
    frontal_cm = pose.frontal_cm(points_px)
    open_eyes = [eye for eye in _readable(head.yaw_deg) if openness(frontal_cm, eye) >= CLOSED_BELOW]
    sights = [_sight(points_px, pose, eye) for eye in open_eyes]
    if not sights or _disagree(sights):
        return None
    x = sum(sight[0] for sight in sights) / len(sights)
    y = sum(sight[1] for sight in sights) / len(sights)
    if math.hypot(x, y) > MAX_SIGHT:
        return None
    yaw_deg, pitch_deg = math.degrees(math.asin(x)), math.degrees(math.asin(y))
    eye_yaw_deg, eye_pitch_deg = yaw_deg - head.yaw_deg, pitch_deg - head.pitch_deg
    if max(abs(eye_yaw_deg), abs(eye_pitch_deg)) > MAX_EYE_DEG:
        return None
    return Gaze(eye_yaw_deg, eye_pitch_deg, yaw_deg, pitch_deg)


def _disagree(sights: list[tuple[float, float]]) -> bool:
    xs = [x for x, _ in sights]
    return max(xs) - min(xs) > MAX_DISAGREEMENT


def _readable(head_yaw_deg: float) -> tuple[EyePoints, ...]:
    """A head turned towards the image's right hides the eye on the image's right."""
    if head_yaw_deg > TURNED_YAW_DEG:
        return (LEFT_EYE,)
    if head_yaw_deg < -TURNED_YAW_DEG:
        return (RIGHT_EYE,)
    return (LEFT_EYE, RIGHT_EYE)


def _sight(points_px: Points, pose: Pose, eye: EyePoints) -> tuple[float, float]:
    """Line of sight across the picture: x right and y up, as shares of the eyeball's radius."""
    middle = (points_px[eye.left] + points_px[eye.right]) / 2.0
    offset_px = points_px[eye.iris, :2] - middle[:2]
    behind_cm = pose.rotation @ (0.0, -CENTRE_RISE_CM, CENTRE_DEPTH_CM)
    x_cm = offset_px[0] / pose.px_per_cm + behind_cm[0]
    y_cm = -offset_px[1] / pose.px_per_cm + behind_cm[1]
    return float(x_cm / EYE_RADIUS_CM), float(y_cm / EYE_RADIUS_CM)

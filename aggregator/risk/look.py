"""One frame as the rules see it: numbers that came over the wire are checked here, and nowhere trusted before.

What is not a number, or not one a face can have, is "could not tell", never "no".
"""

from __future__ import annotations

import math

import msgspec

from aggregator.risk import abstention
from proto.observations import Face, FrameSeen

MAX_ANGLE_DEG = 120.0
UNFIT_PICTURE = frozenset({"dark", "bright", "blurred"})
"""Problems after which nothing in the picture can be judged. Every other problem concerns the face alone."""

FACE_HIDDEN = "face_hidden"
PERSON_UNKNOWN = "person_unknown"
"""No face, and nothing looked whether a person is there."""

NUMBERS_UNREADABLE = "unreadable"
RIVAL_SHARE = 0.3
"""A face at least so tall against the main one may be the candidate's instead."""

MAX_PROBLEMS = 4
MAX_REASON_CHARS = 32


class Pose(msgspec.Struct, frozen=True):
    """Checked angles of the main face in degrees, eye openness as a ratio. None is "could not tell"."""

    yaw_deg: float
    pitch_deg: float
    gaze_yaw_deg: float | None
    gaze_pitch_deg: float | None
    openness: float | None


class Picture(msgspec.Struct, frozen=True):
    """What one frame lets us judge. `unfit` names why the picture cannot be judged, `hidden` why the face cannot.

    A picture that is unfit says nothing of what hides a face, so `hidden` is empty then. `main` is the largest face. A
    signal that abstains (`Face.abstains`) is None by itself and leaves all others to be judged.
    """

    faces: int
    heights: tuple[float, ...]
    pose: Pose | None
    unfit: tuple[str, ...]
    hidden: tuple[str, ...]
    main: Face | None = None


def picture(frame: FrameSeen) -> Picture:
    """Check a frame. The main face is the largest one."""
    unfit: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    for problem in frame.quality.problems[:MAX_PROBLEMS]:
        if problem in UNFIT_PICTURE:
            unfit = (*unfit, problem)
        else:
            hidden = (*hidden, problem[:MAX_REASON_CHARS])
    faces = frame.faces
    if unfit:
        hidden = ()
    if not faces:
        if frame.person_present is not False and not unfit:
            hidden = (*hidden, FACE_HIDDEN if frame.person_present else PERSON_UNKNOWN)
        return Picture(0, (), None, unfit, hidden)
    if len(faces) == 1:
        main = faces[0]
        heights: tuple[float, ...] = (main.height,)
    else:
        sized = sorted(
            (face for face in faces if _sized(face)), key=lambda face: face.width * face.height, reverse=True
        )
        if not sized:
            return Picture(len(faces), (), None, unfit, hidden if unfit else (*hidden, NUMBERS_UNREADABLE))
        main = sized[0]
        heights = tuple(face.height for face in sized)
    if unfit or hidden or abstention.POSE in main.abstains:
        return Picture(len(faces), heights, None, unfit, hidden, main)
    pose = pose_of(main)
    if pose is None:
        hidden = (NUMBERS_UNREADABLE,)
    return Picture(len(faces), heights, pose, unfit, hidden, main)


def alone(seen: Picture) -> bool:
    """Whether the main face is the only one of its kind: with two in view nobody can say whose eyes are judged."""
    return all(height < RIVAL_SHARE * seen.heights[0] for height in seen.heights[1:])


def pose_of(face: Face) -> Pose | None:
    """Checked angles of a face, or None if its head pose is no pose."""
    if not (-MAX_ANGLE_DEG <= face.yaw_deg <= MAX_ANGLE_DEG and -MAX_ANGLE_DEG <= face.pitch_deg <= MAX_ANGLE_DEG):
        return None
    openness = (face.left_eye_openness + face.right_eye_openness) / 2
    why = face.abstains.get(abstention.GAZE)
    told = why is None
    return Pose(
        face.yaw_deg,
        face.pitch_deg,
        _angle(face.gaze_yaw_deg) if told else None,
        _angle(face.gaze_pitch_deg) if told else None,
        # Lids that are too small or too blurred to read a gaze from are so for a blink, too.
        openness if 0.0 <= openness <= 10.0 and (told or why == abstention.EYES_CLOSED) else None,
    )


def _angle(value: float | None) -> float | None:
    return value if value is not None and -MAX_ANGLE_DEG <= value <= MAX_ANGLE_DEG else None


def _sized(face: Face) -> bool:
    return math.isfinite(face.width) and math.isfinite(face.height) and face.width > 0 and face.height > 0

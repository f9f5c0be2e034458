"""Raw arrays of one frame into what was seen: where models and signals meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from inference.signals import eyes, fitness, gaze, head_pose, movements, occlusion, quality
from inference.signals.fitness import Condition
from inference.signals.head_pose import Pose
from inference.signals.landmarks import LEFT_EYE, RIGHT_EYE, Points, bounding_box, to_pixels
from inference.signals.quality import Luma
from proto.observations import Face, Quality

PERSON_SHARE = 0.025
"""Share of the picture that must be a person for a person to be there. Of seven portraits at a third of the picture's
height, the least was 0.028; of clips of an empty room the most 0.001, of a full desk without anybody 0.019."""

PERSON_PROBABILITY = 0.5


class Reading(NamedTuple):
    """A face, and the geometry it was read from."""

    face: Face
    points_px: Points
    pose: Pose


def readings(meshes: npt.NDArray[np.float32], width_px: int, height_px: int) -> tuple[Reading, ...]:
    """Faces of one frame from its meshes (n, 478, 3), the largest first."""
    found = []
    for mesh in meshes:
        points_px = to_pixels(mesh, width_px, height_px)
        pose = head_pose.fit(points_px)
        if pose is not None:
            found.append(Reading(_face(points_px, pose, width_px, height_px), points_px, pose))
    return tuple(sorted(found, key=lambda reading: reading.face.width * reading.face.height, reverse=True))


def _face(points_px: Points, pose: Pose, width_px: int, height_px: int) -> Face:
    frontal_cm = pose.frontal_cm(points_px)
    head = head_pose.angles(pose.rotation)
    sight = gaze.gaze(points_px, pose)
    x, y, width, height = bounding_box(points_px, width_px, height_px)
    return Face(
        x=x,
        y=y,
        width=width,
        height=height,
        yaw_deg=head.yaw_deg,
        pitch_deg=head.pitch_deg,
        roll_deg=head.roll_deg,
        left_eye_openness=eyes.openness(frontal_cm, LEFT_EYE),
        right_eye_openness=eyes.openness(frontal_cm, RIGHT_EYE),
        mouth_opening=movements.mouth_opening(frontal_cm),
        smile=movements.smile(frontal_cm),
        brow_raise=movements.brow_raise(frontal_cm),
        eye_yaw_deg=sight.eye_yaw_deg if sight else None,
        eye_pitch_deg=sight.eye_pitch_deg if sight else None,
        gaze_yaw_deg=sight.gaze_yaw_deg if sight else None,
        gaze_pitch_deg=sight.gaze_pitch_deg if sight else None,
    )


def is_person(mask: npt.NDArray[np.float32]) -> bool:
    """Whether a segmentation mask (probabilities) shows a person."""
    return float((mask > PERSON_PROBABILITY).mean()) >= PERSON_SHARE


def is_suspect(luma: Luma, reading: Reading) -> bool:
    """Whether it is worth looking for hands before a face."""
    return occlusion.likeness(luma, reading.pose) < occlusion.SUSPECT_BELOW


def occlusion_of(reading: Reading, hands: npt.NDArray[np.float32], width_px: int, height_px: int) -> float:
    """Share of the face behind hands (n, 21, 2), 0-1."""
    return occlusion.covered_share(reading.points_px, hands * np.array([width_px, height_px], dtype=np.float32))


def conditions(luma: Luma, found: Sequence[Reading], covered: float) -> tuple[Condition, ...]:
    """How each face is shown; `covered` is the share of the largest behind hands."""
    return tuple(
        fitness.condition(luma, reading.face, 0.0 if index else covered) for index, reading in enumerate(found)
    )


def with_abstentions(found: Sequence[Reading], shown: Sequence[Condition]) -> tuple[Reading, ...]:
    """The faces, each with what cannot be told of it and why."""
    return tuple(
        reading._replace(face=msgspec.structs.replace(reading.face, abstains=abstains)) if abstains else reading
        for reading, abstains in zip(found, map(fitness.abstains, shown), strict=True)
    )


def quality_of(luma: Luma, shown: Sequence[Condition], person_present: bool | None) -> Quality:
    """Whether the largest face, or the whole picture where there is none, can be judged.

    A person without a face is somebody whose face is hidden: nothing can be told of it.
    """
    if shown:
        brightness, sharpness, covered = shown[0].brightness, shown[0].sharpness, shown[0].occlusion
        face_px, blurred_below = shown[0].face_px, quality.BLURRED_BELOW
    else:
        brightness, sharpness = quality.brightness(luma), quality.scene_sharpness(luma)
        face_px, blurred_below = 0.0, quality.BLANK_BELOW
        covered = 1.0 if person_present else 0.0
    problems = quality.problems(brightness, sharpness, blurred_below)
    if covered > occlusion.OCCLUDED_ABOVE:
        problems = (*problems, "occluded")
    return Quality(brightness=brightness, sharpness=sharpness, occlusion=covered, problems=problems, face_px=face_px)

"""Gaze as arithmetic: eyes that look by known angles, in heads turned by others."""

from __future__ import annotations

import numpy as np
import pytest

from inference.signals import gaze, head_pose
from inference.signals.gaze import Gaze
from inference.signals.landmarks import LEFT_EYE, RIGHT_EYE, EyePoints, Points
from tests.support import synthetic_face
from tests.support.synthetic_face import turned


def gaze_of(points_px: Points) -> Gaze | None:
    pose = head_pose.fit(points_px)
    assert pose is not None
    return gaze.gaze(points_px, pose)


@pytest.mark.parametrize("sight", [(0.0, 0.0), (15.0, 0.0), (-20.0, 5.0), (8.0, -12.0)])
@pytest.mark.parametrize("head", [(0.0, 0.0, 0.0), (18.0, 0.0, 0.0), (-20.0, 10.0, 8.0)])
def test_gaze_is_what_the_eyes_do_whatever_the_head_does(
    sight: tuple[float, float], head: tuple[float, float, float]
) -> None:
    found = gaze_of(synthetic_face.face(turned(*head), gaze_deg=sight))
    assert found is not None
    assert (found.gaze_yaw_deg, found.gaze_pitch_deg) == pytest.approx(sight, abs=1e-6)


def test_eye_and_head_add_up_to_gaze() -> None:
    points = synthetic_face.face(turned(15, -10, 4), gaze_deg=(-5.0, 3.0))
    pose = head_pose.fit(points)
    assert pose is not None
    head = head_pose.angles(pose.rotation)
    found = gaze_of(points)
    assert found is not None
    assert found.eye_yaw_deg + head.yaw_deg == pytest.approx(found.gaze_yaw_deg)
    assert found.eye_pitch_deg + head.pitch_deg == pytest.approx(found.gaze_pitch_deg)
    assert found.eye_yaw_deg < 0 < head.yaw_deg


def test_signs_are_those_a_viewer_of_the_picture_would_use() -> None:
    straight, right, up = (synthetic_face.face(gaze_deg=sight) for sight in ((0, 0), (15, 0), (0, 15)))
    assert right[LEFT_EYE.iris, 0] > straight[LEFT_EYE.iris, 0]
    assert up[LEFT_EYE.iris, 1] < straight[LEFT_EYE.iris, 1]
    looking_right, looking_up = gaze_of(right), gaze_of(up)
    assert looking_right is not None
    assert looking_up is not None
    assert looking_right.gaze_yaw_deg > 10
    assert looking_up.gaze_pitch_deg > 10


def test_mirroring_the_picture_negates_the_yaw() -> None:
    points = synthetic_face.face(turned(10, 5, 3), gaze_deg=(12.0, 6.0))
    found, mirrored = gaze_of(points), gaze_of(synthetic_face.mirror(points))
    assert found is not None
    assert mirrored is not None
    assert mirrored.gaze_yaw_deg == pytest.approx(-found.gaze_yaw_deg)
    assert mirrored.eye_yaw_deg == pytest.approx(-found.eye_yaw_deg)
    assert mirrored.gaze_pitch_deg == pytest.approx(found.gaze_pitch_deg)


def test_closed_eyes_say_nothing() -> None:
    assert gaze_of(synthetic_face.face(openness=(0.05, 0.05))) is None


def test_one_open_eye_is_enough() -> None:
    found = gaze_of(synthetic_face.face(openness=(0.05, 0.3), gaze_deg=(10.0, 0.0)))
    assert found is not None
    assert found.gaze_yaw_deg == pytest.approx(10.0, abs=1e-6)


@pytest.mark.parametrize("yaw", [-60.0, 60.0])
def test_profile_says_nothing(yaw: float) -> None:
    assert gaze_of(synthetic_face.face(turned(yaw_deg=yaw), gaze_deg=(yaw * 0.7, 0.0))) is None


@pytest.mark.parametrize(("yaw", "hidden"), [(35.0, RIGHT_EYE), (-35.0, LEFT_EYE)])
def test_a_turned_head_is_read_by_its_near_eye(yaw: float, hidden: EyePoints) -> None:
    points = synthetic_face.face(turned(yaw_deg=yaw), gaze_deg=(yaw, 0.0))
    points[hidden.iris] += (30.0, 30.0, 0.0)
    found = gaze_of(points)
    assert found is not None
    assert found.gaze_yaw_deg == pytest.approx(yaw, abs=1e-6)


def test_eyes_that_look_apart_say_nothing() -> None:
    points = synthetic_face.face()
    points[LEFT_EYE.iris] -= (0.4 * 12.0, 0.0, 0.0)
    points[RIGHT_EYE.iris] += (0.4 * 12.0, 0.0, 0.0)
    assert gaze_of(points) is None


def test_an_iris_outside_its_eyeball_says_nothing() -> None:
    points = synthetic_face.face()
    points[[LEFT_EYE.iris, RIGHT_EYE.iris]] += (0.0, 1.3 * 12.0, 0.0)
    assert gaze_of(points) is None


def test_an_eye_cannot_turn_further_than_its_socket_allows() -> None:
    assert gaze_of(synthetic_face.face(turned(yaw_deg=24), gaze_deg=(-30.0, 0.0))) is None


def test_gaze_grows_with_the_iris_offset() -> None:
    offsets = np.linspace(-25, 25, 11)
    found = [gaze_of(synthetic_face.face(gaze_deg=(float(offset), 0.0))) for offset in offsets]
    yaws = [one.gaze_yaw_deg for one in found if one is not None]
    assert len(yaws) == len(offsets)
    assert yaws == sorted(yaws)

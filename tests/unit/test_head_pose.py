"""Head pose as arithmetic: a head turned by known angles gives those angles back."""

from __future__ import annotations

import numpy as np
import pytest

from inference.signals import head_pose
from inference.signals.canonical_face import BASIS, VERTICES_CM, WEIGHTS
from inference.signals.head_pose import Angles
from inference.signals.landmarks import LEFT_EYE, RIGHT_EYE, Points
from tests.support import synthetic_face
from tests.support.synthetic_face import turned

NOSE_TIP = 4


def angles_of(points_px: Points) -> Angles:
    pose = head_pose.fit(points_px)
    assert pose is not None
    return head_pose.angles(pose.rotation)


def test_facing_the_camera_is_zero() -> None:
    assert angles_of(synthetic_face.face()) == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("degrees", [-75.0, -30.0, -5.0, 5.0, 30.0, 75.0])
def test_each_angle_alone_comes_back(degrees: float) -> None:
    assert angles_of(synthetic_face.face(turned(yaw_deg=degrees))) == pytest.approx((degrees, 0, 0), abs=1e-6)
    assert angles_of(synthetic_face.face(turned(pitch_deg=degrees))) == pytest.approx((0, degrees, 0), abs=1e-6)
    assert angles_of(synthetic_face.face(turned(roll_deg=degrees))) == pytest.approx((0, 0, degrees), abs=1e-6)


def test_signs_are_those_a_viewer_of_the_picture_would_use() -> None:
    straight = synthetic_face.face()
    right = synthetic_face.face(turned(yaw_deg=20))
    up = synthetic_face.face(turned(pitch_deg=20))
    clockwise = synthetic_face.face(turned(roll_deg=20))
    assert right[NOSE_TIP, 0] > straight[NOSE_TIP, 0]
    assert angles_of(right).yaw_deg > 0
    assert up[NOSE_TIP, 1] < straight[NOSE_TIP, 1]
    assert angles_of(up).pitch_deg > 0
    assert clockwise[RIGHT_EYE.right, 1] > clockwise[LEFT_EYE.left, 1]
    assert angles_of(clockwise).roll_deg > 0


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(25, -15, 10), (-50, 20, -8), (60, 25, 15)])
def test_mixed_turns_give_the_direction_of_the_nose(yaw: float, pitch: float, roll: float) -> None:
    rotation = turned(yaw, pitch, roll)
    nose = rotation @ (0.0, 0.0, 1.0)
    found = angles_of(synthetic_face.face(rotation))
    assert np.sin(np.radians(found.yaw_deg)) == pytest.approx(nose[0], abs=1e-9)
    assert np.sin(np.radians(found.pitch_deg)) == pytest.approx(nose[1], abs=1e-9)


@pytest.mark.parametrize(("px_per_cm", "centre_px"), [(3.0, (40.0, 30.0)), (40.0, (900.0, 500.0))])
def test_size_and_place_do_not_matter(px_per_cm: float, centre_px: tuple[float, float]) -> None:
    points = synthetic_face.face(turned(20, 10, 5), px_per_cm=px_per_cm, centre_px=centre_px)
    pose = head_pose.fit(points)
    assert pose is not None
    assert head_pose.angles(pose.rotation) == pytest.approx(angles_of(synthetic_face.face(turned(20, 10, 5))), abs=1e-6)
    assert pose.px_per_cm == pytest.approx(px_per_cm)


def test_mirroring_the_picture_negates_yaw_and_roll() -> None:
    points = synthetic_face.face(turned(25, 12, -9))
    found, mirrored = angles_of(points), angles_of(synthetic_face.mirror(points))
    assert mirrored == pytest.approx((-found.yaw_deg, found.pitch_deg, -found.roll_deg), abs=1e-6)


def test_turning_to_the_front_undoes_the_pose() -> None:
    points = synthetic_face.face(turned(30, -20, 12), px_per_cm=9.0)
    pose = head_pose.fit(points)
    assert pose is not None
    assert pose.frontal_cm(points)[BASIS] == pytest.approx(VERTICES_CM, abs=1e-6)


def test_the_fit_is_a_rotation_even_for_noise() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        pose = head_pose.fit(rng.normal(size=(478, 3)) * 50.0)
        if pose is not None:
            assert pose.rotation @ pose.rotation.T == pytest.approx(np.eye(3), abs=1e-9)
            assert np.linalg.det(pose.rotation) == pytest.approx(1.0)


def test_small_errors_of_the_mesh_move_the_angles_little() -> None:
    rng = np.random.default_rng(2)
    points = synthetic_face.face(turned(20, 10, 5))
    noisy = points + rng.normal(scale=1.0, size=points.shape)
    assert angles_of(noisy) == pytest.approx(angles_of(points), abs=3.0)


def test_points_that_fall_together_are_no_face() -> None:
    assert head_pose.fit(np.zeros((478, 3))) is None


def test_the_standard_face_is_symmetric_and_weighted_once() -> None:
    assert len(set(BASIS.tolist())) == len(BASIS) == 33
    assert WEIGHTS.sum() == pytest.approx(1.0)
    assert WEIGHTS @ VERTICES_CM[:, 0] == pytest.approx(0.0, abs=1e-12)

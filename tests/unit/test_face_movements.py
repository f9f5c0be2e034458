"""Lids, mouth and brows as arithmetic, and where a face is."""

from __future__ import annotations

import numpy as np
import pytest

from inference.signals import eyes, head_pose, movements
from inference.signals.landmarks import LEFT_EYE, RIGHT_EYE, Points, bounding_box, to_pixels
from tests.support import synthetic_face
from tests.support.synthetic_face import turned

POSES = [(0.0, 0.0, 0.0), (30.0, -10.0, 15.0), (-40.0, 20.0, -10.0)]


def frontal(points_px: Points) -> Points:
    pose = head_pose.fit(points_px)
    assert pose is not None
    return pose.frontal_cm(points_px)


@pytest.mark.parametrize("pose", POSES)
def test_openness_is_gap_over_width_in_any_pose(pose: tuple[float, float, float]) -> None:
    face = frontal(synthetic_face.face(turned(*pose), openness=(0.3, 0.1), px_per_cm=7.0))
    assert eyes.openness(face, LEFT_EYE) == pytest.approx(0.3)
    assert eyes.openness(face, RIGHT_EYE) == pytest.approx(0.1)


def test_crossed_lids_are_closed_not_negative() -> None:
    assert eyes.openness(frontal(synthetic_face.face(openness=(-0.05, 0.0))), LEFT_EYE) == 0.0


def test_an_eye_without_width_is_closed() -> None:
    assert eyes.openness(np.zeros((478, 3)), LEFT_EYE) == 0.0


@pytest.mark.parametrize("pose", POSES)
def test_mouth_opening_is_gap_over_face_height(pose: tuple[float, float, float]) -> None:
    height = np.hypot(0.0, 8.2618 + 9.4)
    face = frontal(synthetic_face.face(turned(*pose), mouth_gap_cm=2.0))
    assert movements.mouth_opening(face) == pytest.approx(2.0 / height, rel=1e-6)
    assert movements.mouth_opening(frontal(synthetic_face.face(turned(*pose)))) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("pose", POSES)
def test_a_wider_mouth_smiles_more(pose: tuple[float, float, float]) -> None:
    eye_span = 2 * 4.4459
    face = frontal(synthetic_face.face(turned(*pose), mouth_width_cm=7.0))
    assert movements.smile(face) == pytest.approx(7.0 / eye_span, rel=1e-6)


def test_raised_brows_measure_higher() -> None:
    low, high = (movements.brow_raise(frontal(synthetic_face.face(brow_cm=cm))) for cm in (1.5, 2.5))
    assert high - low == pytest.approx(1.0 / (2 * 4.4459), rel=1e-6)


def test_a_point_of_the_mesh_in_pixels() -> None:
    assert to_pixels([[0.5, 0.25, 0.1]], 640, 360).tolist() == [[320.0, 90.0, 64.0]]


def test_the_box_is_cut_at_the_edges_of_the_picture() -> None:
    points = np.array([[-20.0, 36.0, 0.0], [320.0, 400.0, 0.0]])
    assert bounding_box(points, 640, 360) == pytest.approx((0.0, 0.1, 0.5, 0.9))

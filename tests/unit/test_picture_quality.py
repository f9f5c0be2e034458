"""Brightness, sharpness and occlusion as arithmetic on made pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.signals import head_pose, occlusion, quality
from inference.signals.quality import Luma
from tests.support import synthetic_face
from tests.support.synthetic_face import turned


def checkers(cell_px: int, size: tuple[int, int] = (256, 256)) -> Luma:
    y, x = np.indices(size)
    return np.asarray(((x // cell_px + y // cell_px) % 2) * 200 + 20, dtype=np.uint8)


def test_brightness_is_the_mean() -> None:
    assert quality.brightness(np.full((10, 10), 77, dtype=np.uint8)) == 77.0
    assert quality.brightness(np.empty((0, 5), dtype=np.uint8)) == 0.0


def test_blur_lowers_sharpness() -> None:
    sharp = checkers(16)
    values = [quality.face_sharpness(np.asarray(cv2.GaussianBlur(sharp, (0, 0), s), np.uint8)) for s in (0.5, 2, 4, 8)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 50 * values[-1]


def test_sharpness_does_not_depend_on_the_size_of_the_face() -> None:
    near = cv2.GaussianBlur(checkers(64, (1024, 1024)), (0, 0), 16)
    far = cv2.resize(near, (256, 256), interpolation=cv2.INTER_AREA)
    near_value, far_value = (quality.face_sharpness(np.asarray(luma, dtype=np.uint8)) for luma in (near, far))
    assert near_value == pytest.approx(far_value, rel=0.1)


def test_a_sharp_thing_before_a_bare_wall_is_a_sharp_picture() -> None:
    wall = np.full((360, 640), 128, dtype=np.uint8)
    assert quality.scene_sharpness(wall) < quality.BLANK_BELOW
    wall[20:60, 20:60] = checkers(5, (40, 40))
    assert quality.scene_sharpness(wall) > quality.BLANK_BELOW


def test_an_empty_region_is_no_crash() -> None:
    empty = quality.region(checkers(8), 1.0, 1.0, 0.5, 0.5)
    assert empty.size == 0
    assert quality.face_sharpness(empty) == 0.0
    assert quality.scene_sharpness(empty) == 0.0


def test_a_region_is_cut_by_fractions() -> None:
    luma = np.arange(100, dtype=np.uint8).reshape(10, 10)
    assert quality.region(luma, 0.2, 0.5, 0.3, 0.2).tolist() == [[52, 53, 54], [62, 63, 64]]
    assert quality.region(luma, -0.5, -0.5, 0.6, 0.6).tolist() == [[0]]


@pytest.mark.parametrize(
    ("brightness", "sharpness", "expected"),
    [
        (120.0, 100.0, ()),
        (10.0, 0.0, ("dark",)),
        (250.0, 100.0, ("bright",)),
        (120.0, 3.0, ("blurred",)),
        (250.0, 3.0, ("bright", "blurred")),
    ],
)
def test_problems(brightness: float, sharpness: float, expected: tuple[str, ...]) -> None:
    assert quality.problems(brightness, sharpness, 25.0) == expected


def picture_with_face() -> tuple[Luma, head_pose.Pose]:
    """A symmetric drawing at the place of a synthetic face."""
    pose = head_pose.fit(synthetic_face.face())
    assert pose is not None
    luma = np.full((360, 640), 150, dtype=np.uint8)
    for side in (-1, 1):
        cv2.ellipse(luma, (320 + side * 38, 150), (18, 8), 0, 0, 360, (30,), -1)
        cv2.ellipse(luma, (320 + side * 38, 130), (20, 4), 0, 0, 360, (60,), -1)
    cv2.ellipse(luma, (320, 232), (30, 10), 0, 0, 360, (50,), -1)
    cv2.ellipse(luma, (320, 190), (8, 20), 0, 0, 360, (190,), -1)
    return luma, pose


def test_the_halves_of_a_face_are_alike() -> None:
    luma, pose = picture_with_face()
    assert occlusion.likeness(luma, pose) > 0.9


def test_light_from_one_side_is_not_an_occlusion() -> None:
    luma, pose = picture_with_face()
    lit = luma.astype(np.float32) * np.linspace(0.6, 1.4, luma.shape[1])
    assert occlusion.likeness(np.asarray(np.clip(lit, 0, 255), dtype=np.uint8), pose) > occlusion.SUSPECT_BELOW


@pytest.mark.parametrize(("left", "top"), [(225, 120), (325, 120), (330, 200)])
def test_something_before_one_side_is_suspect(left: int, top: int) -> None:
    luma, pose = picture_with_face()
    luma[top : top + 90, left : left + 80] = checkers(20, (90, 80))
    assert occlusion.likeness(luma, pose) < occlusion.SUSPECT_BELOW


def test_the_view_follows_the_head() -> None:
    face = synthetic_face.face(turned(roll_deg=30), centre_px=(320.0, 180.0))
    straight, pose = picture_with_face()
    tilted_pose = head_pose.fit(face)
    assert tilted_pose is not None
    turn = cv2.getRotationMatrix2D((320.0, 180.0), -30.0, 1.0)
    tilted = np.asarray(cv2.warpAffine(straight, turn, (640, 360), borderValue=(150.0,)), dtype=np.uint8)
    one, other = occlusion.frontal_view(straight, pose), occlusion.frontal_view(tilted, tilted_pose)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.95


def test_a_face_partly_outside_the_picture_is_no_crash() -> None:
    luma, _ = picture_with_face()
    for centre in ((-400.0, -400.0), (640.0, 360.0), (5000.0, 180.0)):
        pose = head_pose.fit(synthetic_face.face(centre_px=centre))
        assert pose is not None
        assert -1.0 <= occlusion.likeness(luma, pose) <= 1.0


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


def test_the_covered_share_is_that_of_the_outlines() -> None:
    face = np.zeros((468, 3))
    face[:, :2] = np.resize(square(0, 0, 100), (468, 2))
    assert occlusion.covered_share(face, np.array([square(50, 0, 200)])) == pytest.approx(0.5)
    assert occlusion.covered_share(face, np.array([square(200, 200, 50)])) == 0.0
    assert occlusion.covered_share(face, np.array([square(-50, -50, 300), square(0, 0, 100)])) == 1.0
    assert occlusion.covered_share(face, np.empty((0, 21, 2))) == 0.0
    assert occlusion.covered_share(np.zeros((468, 3)), np.array([square(0, 0, 10)])) == 0.0

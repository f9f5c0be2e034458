"""Head pose on AFLW2000-3D pictures against their measured poses."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from inference.signals import head_pose
from inference.signals.landmarks import to_pixels
from inference.vision.faces import FaceFinder
from tests.support.clips import picture
from tests.support.embedded import face_finder
from tests.support.truths import aflw_angles_deg, aflw_rotation

LIMIT_DEG = 6.0
PROFILE_DEG = 60.0


class Case(NamedTuple):
    name: str
    truth: npt.NDArray[np.float64]
    found: npt.NDArray[np.float64]
    true_yaw_deg: float


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return face_finder()


@pytest.fixture
def cases(finder: FaceFinder, media: Path) -> list[Case]:
    """Every picture; one whose face is not found is a failure, not a gap."""
    found = []
    for mat in sorted((media / "headpose").glob("*.mat")):
        image = picture(mat.with_suffix(".jpg"))
        meshes = finder.find([image], [None])[0].meshes
        assert len(meshes) >= 1, f"missed {mat.stem}"
        pose = head_pose.fit(to_pixels(meshes[0], image.shape[1], image.shape[0]))
        assert pose is not None
        found.append(Case(mat.stem, aflw_rotation(mat), pose.rotation, aflw_angles_deg(mat)[1]))
    assert len(found) == 8
    return found


def mean_errors(cases: list[Case]) -> npt.NDArray[np.float64]:
    """Mean absolute error of yaw, pitch and roll, degrees."""
    errors = [np.subtract(head_pose.angles(case.found), head_pose.angles(case.truth)) for case in cases]
    return np.asarray(np.abs(errors).mean(axis=0), dtype=np.float64)


def test_angles_are_right_on_average(cases: list[Case]) -> None:
    """All eight, two of them in profile, where the mesh undershoots by 10 degrees: that alone brings the yaw to 6.0,
    a little more or less with the detector's threshold and the processor."""
    assert mean_errors(cases).mean() <= LIMIT_DEG
    assert mean_errors(cases).max() <= LIMIT_DEG + 0.5


def test_every_angle_is_right_short_of_profile(cases: list[Case]) -> None:
    assert mean_errors([case for case in cases if abs(case.true_yaw_deg) < PROFILE_DEG]).max() <= LIMIT_DEG


def euler_deg(rotation: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Pitch, yaw, roll in the data set's own order, in our signs."""
    found = head_pose.angles(rotation)
    return float(np.degrees(np.arctan2(rotation[1, 2], rotation[2, 2]))), found.yaw_deg, found.roll_deg


def test_the_data_sets_own_angles_are_right_short_of_profile(cases: list[Case]) -> None:
    """Near profile its pitch is a turn about the line of sight: there the nose's direction is the better measure."""
    errors = [
        np.subtract(euler_deg(case.found), euler_deg(case.truth))
        for case in cases
        if abs(case.true_yaw_deg) < PROFILE_DEG
    ]
    assert len(errors) == 6
    assert np.abs(errors).mean(axis=0).max() <= LIMIT_DEG


def test_the_side_a_head_turns_to_is_always_right(cases: list[Case]) -> None:
    for case in cases:
        truth, found = head_pose.angles(case.truth), head_pose.angles(case.found)
        if abs(truth.yaw_deg) > 10:
            assert np.sign(found.yaw_deg) == np.sign(truth.yaw_deg), case.name
            assert np.sign(truth.yaw_deg) == -np.sign(case.true_yaw_deg)


def test_the_nose_points_where_it_should(cases: list[Case]) -> None:
    """Angle between the true and the found direction of the nose."""
    apart = [float(np.degrees(np.arccos(np.clip(case.truth[:, 2] @ case.found[:, 2], -1, 1)))) for case in cases]
    assert np.mean(apart) < 9.0
    assert max(apart) < 15.0

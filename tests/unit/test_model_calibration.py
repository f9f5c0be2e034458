"""The arithmetic of `candor models calibrate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.models.calibrating import Result, pictures_of, report
from inference.models.calibration import calibrate, pairs
from inference.signals.identity import check_mapping, matches, percent
from proto.errors import BadInput


def normal(mean: float, spread: float, count: int, seed: int) -> list[float]:
    return [float(one) for one in np.clip(np.random.default_rng(seed).normal(mean, spread, count), -0.99, 0.99)]


def test_the_threshold_lies_between_the_two_kinds() -> None:
    found = calibrate(normal(0.7, 0.03, 500, 1), normal(0.1, 0.05, 5000, 2))
    assert (found.genuine, found.impostors, found.refused, found.accepted) == (500, 5000, 0, 0)
    threshold = found.points[2][0]
    # Half way between 0.1 + 3.1 * 0.05 and 0.7 - 2.3 * 0.03.
    assert threshold == pytest.approx(0.443, abs=0.01)
    check_mapping(found.points, "a model")
    assert percent(threshold, found.points) == 80.0
    assert matches(percent(0.6, found.points))
    assert not matches(percent(0.3, found.points))


def test_where_the_two_overlap_few_impostors_pass_and_the_rest_is_told() -> None:
    genuine, impostors = normal(0.4, 0.1, 2000, 3), normal(0.1, 0.1, 20_000, 4)
    found = calibrate(genuine, impostors)
    assert 0 < found.accepted <= 21
    assert found.refused == sum(1 for cosine in genuine if cosine < found.points[2][0])
    assert found.refused > 500


def test_a_model_that_does_not_tell_people_apart_is_refused() -> None:
    same = normal(0.3, 0.1, 300, 5)
    with pytest.raises(BadInput, match="does not tell these people apart"):
        calibrate(same, same)


@pytest.mark.parametrize(("genuine", "impostors", "kind"), [([], [0.1], "one person"), ([0.5], [], "two people")])
def test_without_pairs_it_says_which_are_missing(genuine: list[float], impostors: list[float], kind: str) -> None:
    with pytest.raises(BadInput, match=f"no pair of usable pictures of {kind}"):
        calibrate(genuine, impostors)


def test_every_pair_counts_once() -> None:
    embeddings = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], dtype=np.float32)
    genuine, impostors = pairs(["a", "a", "b", "b"], embeddings)
    assert genuine == pytest.approx([0.8, 0.8])
    assert sorted(impostors) == pytest.approx([0.0, 0.6, 0.6, 0.96])


def test_the_report_ends_with_the_line_for_the_manifest() -> None:
    few = report("sface", Result(calibrate([0.7, 0.8], [0.1, 0.0]), 2, 4, ("b/2.jpg: no_face",)))
    assert few[0] == "left out b/2.jpg: no_face"
    assert any("Too few pairs" in line for line in few)
    assert few[-1] == "similarity = [[-1, 0], [0.05, 20], [0.4, 80], [0.75, 95], [1, 100]]"
    many = report("sface", Result(calibrate([0.7] * 9, normal(0.1, 0.05, 5000, 6)), 50, 100, ()))
    assert not any("Too few pairs" in line for line in many)


def test_a_folder_without_people_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no folder"):
        pictures_of(tmp_path / "none")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(BadInput, match="one folder for each person"):
        pictures_of(tmp_path)
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "1.JPG").touch()
    (tmp_path / "anna" / "notes.txt").touch()
    assert pictures_of(tmp_path) == [("anna", tmp_path / "anna" / "1.JPG")]

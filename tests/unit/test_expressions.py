"""Eight expressions as arithmetic: of a model's classes, of movements of the face, and their rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inference.signals import expressions, head_pose, movements
from inference.signals.expressions import ANGRY, CALM, CONFUSED, FEAR, HAPPY, NAMES, SAD, SURPRISED
from inference.signals.landmarks import Points
from inference.signals.movements import Movements
from tests.support import synthetic_face
from tests.support.synthetic_face import turned

LABELS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
AT_REST = Movements(
    openness=0.3,
    mouth_opening=0.01,
    smile=0.55,
    corners=-0.02,
    brow_raise=0.25,
    brow_inner=0.21,
    brow_slope=0.07,
    brow_asymmetry=0.01,
    brow_gap=0.28,
)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch):
    """A mesh whose movements are those at rest with some changed."""

    def moved(**changes: float) -> Points:
        monkeypatch.setattr(movements, "read", lambda _mesh: AT_REST._replace(**changes))
        return np.zeros((478, 3))

    return moved


def frontal(points_px: Points) -> Points:
    pose = head_pose.fit(points_px)
    assert pose is not None
    return pose.frontal_cm(points_px)


def one_hot(label: str) -> list[float]:
    return [1.0 if one == label else 0.0 for one in LABELS]


def strongest(found: dict[str, float] | None) -> str:
    assert found is not None
    return max(found, key=lambda name: found[name])


@pytest.mark.parametrize(("label", "name"), expressions.OF_LABEL.items())
def test_every_known_class_becomes_one_of_ours(moved, label: str, name: str) -> None:
    found = expressions.of_model([0.0, 1.0], ["neutral" if name != CALM else "happy", label.upper()], moved())
    assert found == {one: 100.0 if one == name else 0.0 for one in NAMES}


def test_an_unknown_class_is_an_error_not_a_guess(moved) -> None:
    with pytest.raises(KeyError):
        expressions.of_model([1.0], ["contempt"], moved())


def test_a_frown_with_tight_lids_takes_all_of_calm_and_nothing_else(moved) -> None:
    frown = moved(brow_inner=0.1, openness=0.15)
    probabilities = [0.6, 0.0, 0.0, 0.4, 0.0, 0.0, 0.0]
    found = expressions.of_model(probabilities, LABELS, frown)
    assert found is not None
    assert (found[CALM], found[CONFUSED], found[ANGRY]) == (0.0, 60.0, 40.0)
    assert expressions.of_model(probabilities, LABELS, moved())[CONFUSED] == 0.0


@pytest.mark.parametrize(
    "sign", [{"brow_inner": 0.12}, {"brow_gap": 0.2}, {"brow_asymmetry": 0.09}], ids=["lowered", "knitted", "uneven"]
)
def test_each_sign_of_a_frown_counts_half_without_the_lids(sign: dict[str, float]) -> None:
    frown = AT_REST._replace(**sign)
    assert expressions.confusion(frown) == pytest.approx(0.5)
    assert expressions.confusion(frown._replace(openness=0.16)) == pytest.approx(1.0)


def test_closed_eyes_are_not_tightened_lids() -> None:
    assert expressions.confusion(AT_REST._replace(brow_inner=0.12, openness=0.05)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, CALM),
        ({"smile": 0.8, "corners": 0.08, "mouth_opening": 0.07}, HAPPY),
        ({"mouth_opening": 0.2, "openness": 0.46, "brow_raise": 0.4}, SURPRISED),
        ({"openness": 0.42, "brow_slope": 0.11, "smile": 0.68, "mouth_opening": 0.1}, FEAR),
        ({"corners": -0.06, "brow_slope": 0.11}, SAD),
        ({"brow_inner": 0.12, "mouth_opening": 0.0, "openness": 0.35}, ANGRY),
    ],
)
def test_each_prototype_is_the_strongest_without_a_model(moved, changes: dict[str, float], name: str) -> None:
    found = expressions.of_geometry(moved(**changes))
    assert strongest(found) == name
    assert sum(found.values()) == 100.0


def test_half_of_a_prototype_is_not_enough(moved) -> None:
    """An open mouth alone is somebody who speaks."""
    assert strongest(expressions.of_geometry(moved(mouth_opening=0.2))) == CALM


def test_without_a_model_it_is_never_sure(moved) -> None:
    found = expressions.of_geometry(moved(smile=0.9, corners=0.1))
    assert found[HAPPY] < 100.0
    assert found[CALM] > 0.0


@pytest.mark.parametrize(
    "probabilities", [[math.nan] + [0.0] * 6, [math.inf] + [0.0] * 6, [0.0] * 7, [-1.0] + [2.0] * 6]
)
def test_no_probabilities_no_expression(moved, probabilities: list[float]) -> None:
    assert expressions.of_model(probabilities, LABELS, moved()) is None


def test_a_mesh_without_numbers_has_no_expression() -> None:
    broken = np.full((478, 3), np.nan)
    assert expressions.of_geometry(broken) is None
    assert expressions.of_model(one_hot("neutral"), LABELS, broken) is None


def test_percentages_always_sum_to_a_hundred() -> None:
    chance = np.random.default_rng(1)
    for _ in range(500):
        shares = dict(zip(NAMES, chance.dirichlet(np.full(8, 0.3)) * chance.uniform(0.1, 10), strict=True))
        found = expressions.percentages(shares)
        assert found is not None
        assert sum(found.values()) == 100.0
        assert all(abs(found[name] - shares[name] / sum(shares.values()) * 100) < 1.0 for name in NAMES)


def test_what_is_left_over_goes_to_the_largest_remainders() -> None:
    thirds = expressions.percentages({HAPPY: 1.0, CALM: 1.0, SAD: 1.0})
    assert thirds is not None
    assert (thirds[HAPPY], thirds[CALM], thirds[SAD]) == (34.0, 33.0, 33.0)
    found = expressions.percentages({HAPPY: 33.4, CALM: 33.4, SAD: 33.2})
    assert found is not None
    assert (found[HAPPY], found[CALM], found[SAD]) == (34.0, 33.0, 33.0)


def test_a_ramp_goes_either_way_and_keeps_what_is_no_number() -> None:
    assert [expressions.ramp(value, 1.0, 3.0) for value in (0.0, 1.0, 2.0, 3.0, 9.0)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert [expressions.ramp(value, 3.0, 1.0) for value in (9.0, 2.0, 0.0)] == [0.0, 0.5, 1.0]
    assert math.isnan(expressions.ramp(math.nan, 0.0, 1.0))


@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (25.0, -10.0, 15.0)])
def test_movements_of_a_mesh_do_not_follow_the_head(pose: tuple[float, float, float]) -> None:
    face = frontal(synthetic_face.face(turned(*pose), openness=(0.3, 0.2), mouth_gap_cm=2.0, mouth_width_cm=7.0))
    found = movements.read(face)
    assert found.openness == pytest.approx(0.25)
    assert found.smile == pytest.approx(7.0 / (2 * 4.4459), rel=1e-6)
    assert found.corners == pytest.approx(0.0, abs=1e-9)
    assert found.mouth_opening == movements.mouth_opening(face)


def test_brows_of_a_mesh() -> None:
    """Inner ends 1 cm above the eyes on one side and 1.4 cm on the other, outer ends level with them."""
    cm = frontal(synthetic_face.face())
    for inner, corner, rise in (((55, 107), 133, 1.0), ((285, 336), 362, 1.4)):
        cm[list(inner)] = cm[corner] + (0.0, rise, 0.0)
    for outer, corner in (((46, 70), 33), ((276, 300), 263)):
        cm[list(outer)] = cm[corner]
    found, span = movements.read(cm), 2 * 4.4459
    assert found.brow_inner == pytest.approx(1.2 / span, rel=1e-3)
    assert found.brow_slope == pytest.approx(1.2 / span, rel=1e-3)
    assert found.brow_asymmetry == pytest.approx(0.4 / span, rel=1e-3)
    assert found.brow_gap == pytest.approx(np.hypot(cm[362, 0] - cm[133, 0], 0.4) / span, rel=1e-3)

"""Cosine to percent, which faces may be compared, and calibration: as arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from inference.models.reading import load
from inference.signals import identity
from inference.signals.head_pose import Angles
from inference.signals.identity import LIVE, PHOTO, abstention, check_mapping, matches, percent, similarity_pct, unfit
from proto.errors import BadSettings
from proto.observations import Face

MAPPING = ((-1.0, 0.0), (0.1, 30.0), (0.363, 80.0), (1.0, 100.0))
AHEAD = Angles(0.0, 0.0, 0.0)


def a_face(height: float = 0.5, **fields: object) -> Face:
    known = dict.fromkeys(("x", "y", "yaw_deg", "pitch_deg", "roll_deg", "left_eye_openness"), 0.0)
    known |= dict.fromkeys(("right_eye_openness", "mouth_opening", "smile", "brow_raise"), 0.0)
    return Face(**{**known, "width": height, "height": height, **fields})  # type: ignore[arg-type]


def test_points_are_met_and_lines_join_them() -> None:
    for cosine, wanted in MAPPING:
        assert percent(cosine, MAPPING) == wanted
    assert percent((0.1 + 0.363) / 2, MAPPING) == pytest.approx(55.0)
    assert percent(-2, MAPPING) == 0.0
    assert percent(2, MAPPING) == 100.0


def test_more_alike_is_never_less_percent() -> None:
    percents = [percent(cosine, MAPPING) for cosine in np.linspace(-1, 1, 400)]
    assert percents == sorted(percents)


def test_a_shown_80_has_reached_80() -> None:
    one = np.array([1.0, 0.0], dtype=np.float32)
    for cosine, shown, same in ((0.363 - 1e-6, 79.9, False), (0.363 + 1e-6, 80.0, True)):
        other = np.array([cosine, np.sqrt(1 - cosine**2)], dtype=np.float32)
        similarity = similarity_pct(one, other, MAPPING)
        assert (similarity, matches(similarity)) == (shown, same)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ((), "at least two"),
        (((0.0, 0.0),), "at least two"),
        (((0.0, 0.0), (1.5, 100.0)), "-1 to 1"),
        (((0.0, -1.0), (1.0, 100.0)), "0 to 100"),
        (((0.5, 0.0), (0.5, 100.0)), "rise"),
        (((0.0, 90.0), (0.5, 40.0), (1.0, 100.0)), "rise"),
        (((0.0, 0.0), (1.0, 79.0)), "cross 80"),
        (((0.0, 85.0), (1.0, 100.0)), "cross 80"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_named(points: tuple[tuple[float, float], ...], said: str) -> None:
    with pytest.raises(BadSettings, match=f"similarity of some-model.*{said}"):
        check_mapping(points, "some-model")


def test_every_identity_model_of_the_manifest_has_a_mapping_with_its_threshold_at_80() -> None:
    cards = {name: card for name, card in load(None).models.items() if card.task == "identity"}
    assert "sface" in cards
    for name, card in cards.items():
        check_mapping(card.similarity, name)
    # OpenCV's own threshold for this model.
    assert percent(0.363, cards["sface"].similarity) == 80.0
    layout = cards["sface"].layout
    assert layout is not None
    assert (layout.colours, layout.scale, layout.mean, layout.std) == ("rgb", 1.0, (0.0,) * 3, (1.0,) * 3)


def test_what_stands_in_the_way_of_a_face() -> None:
    assert unfit(AHEAD, 200, (), LIVE) == ""
    assert unfit(AHEAD, LIVE.min_face_px - 1, (), LIVE) == "small"
    assert unfit(AHEAD, LIVE.min_face_px, (), PHOTO) == "small"
    assert unfit(Angles(-26.0, 0, 0), 200, (), LIVE) == "turned"
    assert unfit(Angles(0, 21.0, 0), 200, (), LIVE) == unfit(Angles(0, -21.0, 0), 200, (), LIVE) == "turned"
    # A head that leans is turned upright by the alignment.
    assert unfit(Angles(0, 0, 80.0), 200, (), LIVE) == ""
    assert unfit(AHEAD, 200, ("blurred",), LIVE) == "blurred"
    assert unfit(AHEAD, 200, ("blurred",), identity.DOCUMENT) == ""
    assert unfit(AHEAD, 200, ("dark",), identity.DOCUMENT) == "dark"


def test_who_is_meant_must_be_clear() -> None:
    assert abstention([]) == "no_face"
    assert abstention([a_face()]) == ""
    assert abstention([a_face(0.5), a_face(0.3)]) == "several_faces"
    assert abstention([a_face(0.5), a_face(0.2)]) == ""
    assert abstention([a_face(abstains={"identity": "turned", "gaze": "small"})]) == "turned"
    assert abstention([a_face(abstains={"gaze": "small"})]) == ""

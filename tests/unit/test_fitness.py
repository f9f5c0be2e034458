"""Which signals abstain for a face, and the reason they give."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.signals import fitness
from inference.signals.fitness import EXPRESSION, GAZE, IDENTITY, POSE, RANGES, Condition, abstains
from proto.observations import Face

GOOD = Condition(
    face_px=180.0,
    yaw_deg=3.0,
    pitch_deg=-4.0,
    openness=0.3,
    brightness=120.0,
    sharpness=150.0,
    clipped=0.01,
    occlusion=0.0,
    gaze_read=True,
)
ALL = {POSE, GAZE, EXPRESSION, IDENTITY}
REASONS = {"small", "turned", "blurred", "dark", "bright", "occluded", "eyes_closed"}


def face(**changes: float | None) -> Face:
    shown = {
        "x": 0.25, "y": 0.25, "width": 0.5, "height": 0.5, "yaw_deg": 5.0, "pitch_deg": 2.0, "roll_deg": 0.0,
        "left_eye_openness": 0.1, "right_eye_openness": 0.3, "mouth_opening": 0.0, "smile": 0.5, "brow_raise": 0.2,
        "gaze_yaw_deg": 1.0,
    }  # fmt: skip
    return Face(**(shown | changes))  # type: ignore[arg-type]


def test_a_good_face_abstains_from_nothing() -> None:
    assert abstains(GOOD) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"brightness": 3.0, "sharpness": 1.0}, dict.fromkeys(ALL, "dark")),
        ({"brightness": 22.0}, {EXPRESSION: "dark"}),
        ({"brightness": 17.0}, {EXPRESSION: "dark", IDENTITY: "dark"}),
        ({"brightness": 220.0}, {GAZE: "bright", IDENTITY: "bright"}),
        ({"clipped": 0.2}, {EXPRESSION: "bright", IDENTITY: "bright"}),
        ({"face_px": 60.0}, {IDENTITY: "small", GAZE: "small"}),
        ({"face_px": 40.0}, dict.fromkeys(ALL - {POSE}, "small")),
        ({"face_px": 20.0, "sharpness": 8.0}, dict.fromkeys(ALL, "small")),
        ({"sharpness": 20.0}, {IDENTITY: "blurred"}),
        ({"sharpness": 12.0}, {GAZE: "blurred", IDENTITY: "blurred"}),
        ({"sharpness": 5.0}, dict.fromkeys(ALL, "blurred")),
        ({"occlusion": 0.3}, dict.fromkeys(ALL, "occluded")),
        ({"yaw_deg": -28.0}, {IDENTITY: "turned"}),
        ({"pitch_deg": -24.0}, {IDENTITY: "turned", EXPRESSION: "turned"}),
        ({"yaw_deg": 33.0}, {IDENTITY: "turned", EXPRESSION: "turned"}),
        ({"yaw_deg": -80.0}, dict.fromkeys(ALL - {POSE}, "turned")),
        ({"pitch_deg": -40.0}, dict.fromkeys(ALL - {POSE}, "turned")),
        ({"openness": 0.05, "gaze_read": False}, {GAZE: "eyes_closed"}),
        ({"gaze_read": False}, {GAZE: "occluded"}),
    ],
)
def test_each_signal_says_why_it_cannot_be_told(changes: dict[str, float], expected: dict[str, str]) -> None:
    found = abstains(GOOD._replace(**changes))
    assert found == expected
    assert set(found.values()) <= REASONS


def test_somebody_turned_away_is_still_turned_away() -> None:
    """The rule about heads turned away must not go blind at the very thing it looks for."""
    assert POSE not in abstains(GOOD._replace(yaw_deg=85.0, gaze_read=False))


def test_signals_need_more_the_finer_they_are() -> None:
    sizes = [RANGES[signal].min_face_px for signal in (POSE, EXPRESSION, GAZE, IDENTITY)]
    assert sizes == sorted(sizes)


def test_a_face_is_measured_where_it_is() -> None:
    luma = np.full((200, 400), 20, dtype=np.uint8)
    cv2.rectangle(luma, (100, 50), (299, 149), (120,), -1)
    cv2.rectangle(luma, (100, 50), (199, 74), (255,), -1)
    shown = fitness.condition(luma, face(), 0.2)
    assert shown.face_px == 100.0
    assert shown.clipped == pytest.approx(1 / 8, abs=0.01)
    assert shown.brightness == pytest.approx(120 * 7 / 8 + 255 / 8, abs=2)
    assert shown.sharpness > 0.0
    assert (shown.yaw_deg, shown.pitch_deg, shown.openness, shown.occlusion) == (5.0, 2.0, 0.3, 0.2)
    assert shown.gaze_read
    assert not fitness.condition(luma, face(gaze_yaw_deg=None), 0.0).gaze_read


def test_a_face_outside_the_picture_is_no_crash() -> None:
    shown = fitness.condition(np.zeros((100, 100), dtype=np.uint8), face(x=1.0, y=1.0, width=0.0, height=0.0), 0.0)
    assert abstains(shown) == dict.fromkeys(ALL, "dark")

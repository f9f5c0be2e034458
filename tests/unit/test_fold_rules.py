"""Each rule fires when it should and not a moment sooner, and never on what could not be told."""

from __future__ import annotations

import math

import msgspec
import pytest

from proto.observations import SourceLost
from tests.support.observed import STANDARD, Folded, calm, face, frame, second, span, stats, thing, unfit, up

LEFT = face(eye_yaw_deg=-13.5, gaze_yaw_deg=-13.0)
TURNED = face(yaw_deg=40.0, eye_yaw_deg=None, eye_pitch_deg=None, gaze_yaw_deg=None, gaze_pitch_deg=None)
SHUT = face(
    left_eye_openness=0.03, right_eye_openness=0.03, eye_yaw_deg=None, eye_pitch_deg=None, gaze_yaw_deg=None,
    gaze_pitch_deg=None,
)  # fmt: skip
POSTER = face(x=0.9, y=0.1, width=0.04, height=0.07)
BOOKS = STANDARD.replace('"book",', '"book", "notebook",')


def test_calm_costs_nothing():
    folded = Folded(calm(0.0, 120.0))
    assert folded.rules == []
    assert folded.state.timeline == ()
    assert folded.state.open == {}


@pytest.mark.parametrize(
    ("rule", "frames", "hold_s"),
    [
        ("MULTIPLE_FACES", lambda t: frame(t, face(), face(x=0.7)), 1.0),
        ("NO_FACE", frame, 2.0),
        ("EYES_OFF_SCREEN", lambda t: frame(t, LEFT), 2.5),
        ("LOOKING_AWAY", lambda t: frame(t, TURNED), 2.5),
        ("PHONE_DETECTED", lambda t: frame(t, face(), objects=(thing("cell phone"),)), 0.3),
        ("PHONE_PARTIAL_DETECTED", lambda t: frame(t, face(), objects=(thing("cell phone", partial=True),)), 0.7),
        ("SUSPICIOUS_OBJECT", lambda t: frame(t, face(), objects=(thing("book"),)), 1.5),
    ],
)
def test_fires_once_after_its_hold(rule, frames, hold_s):
    folded = Folded(calm(0.0, 10.0))
    folded.add(frames(t) for t in span(10.0, 10.0 + hold_s - 0.05))
    assert folded.rules == []
    folded.add(frames(t) for t in span(10.0 + hold_s, 22.0))
    assert folded.rules == [rule]
    assert folded.lines(rule)[0] == pytest.approx(10.0 + hold_s, abs=0.25)
    assert [alert.rule for alert in folded.alerts] == [rule]
    assert folded.state.open[rule].start_s == pytest.approx(10.0)
    assert " for " in folded.state.ledger[0].why
    assert folded.state.ledger[0].why.endswith(".")
    folded.add(frame(t, face(), objects=()) for t in span(22.0, 26.0))
    assert folded.state.open == {}
    assert folded.state.timeline[-1].end_s == pytest.approx(22.0)


def test_whisper_fires_by_the_second():
    folded = Folded([up(), *(second(t, whisper_likelihood=0.9) for t in range(3))])
    assert folded.rules == []
    assert folded.add([second(3, whisper_likelihood=0.9)]).rules == ["WHISPERING"]


def test_voice_without_a_measure_never_whispers():
    assert Folded([up(), *(second(t) for t in range(60))]).rules == []


def test_lost_connection_is_recorded_and_weighs_nothing():
    folded = Folded([up(), *calm(0.0, 2.0)])
    folded.add([SourceLost(session="s1", source="cam", seq=1, t_s=2.0, reason="failed")])
    assert folded.rules == ["SOURCE_LOST"]
    assert folded.state.peak_score == 0.0
    assert folded.state.status == "stalled"
    assert "network path failed" in folded.state.open["SOURCE_LOST"].detail
    folded.add([up(30.0, source="cam2")])
    assert folded.state.status == "live"
    assert folded.state.timeline[-1].end_s == 30.0


def test_one_wrong_frame_never_fires():
    wrong = [frame(5.0, face(), face(x=0.7)), frame(6.0), frame(7.0, TURNED), frame(8.0, LEFT)]
    moments = calm(0.0, 5.0) + [frame(t, face()) for t in span(5.2, 10.0) if all(abs(t - w.t_s) > 0.01 for w in wrong)]
    folded = Folded(sorted([*moments, *wrong], key=lambda f: f.t_s))
    assert folded.rules == []
    assert folded.state.timeline == ()


def test_with_two_people_nobody_can_say_whose_eyes_look_away():
    folded = Folded([*calm(0.0, 5.0), *(frame(t, face(), LEFT, TURNED) for t in span(5.0, 25.0))])
    assert folded.rules == ["MULTIPLE_FACES"]


def test_a_poster_does_not_hide_where_the_candidate_looks():
    folded = Folded([*calm(0.0, 5.0), *(frame(t, LEFT, POSTER) for t in span(5.0, 15.0))])
    assert folded.rules == ["EYES_OFF_SCREEN"]


def test_a_second_person_survives_a_frame_that_misses_them():
    two = [frame(t, face(), face(x=0.7)) if i % 4 else frame(t, face()) for i, t in enumerate(span(5.0, 9.0))]
    assert Folded([*calm(0.0, 5.0), *two]).rules == ["MULTIPLE_FACES"]


def test_a_face_on_a_poster_is_not_a_second_person():
    assert Folded(frame(t, face(), POSTER) for t in span(0.0, 30.0)).rules == []


def test_a_hidden_face_is_not_nobody():
    hidden = [frame(t, person_present=True, quality=unfit("occluded")) for t in span(5.0, 25.0)]
    folded = Folded([*calm(0.0, 5.0), *hidden])
    assert folded.rules == []
    assert folded.state.open["COULD_NOT_TELL"].start_s == pytest.approx(5.0)
    assert set(folded.state.blind.reasons) == {"occluded", "face_hidden"}


@pytest.mark.parametrize("problem", ["dark", "bright", "blurred"])
def test_what_hides_a_face_is_not_guessed_in_an_unfit_picture(problem):
    moments = [frame(t, person_present=None, quality=unfit(problem, "occluded")) for t in span(5.0, 10.0)]
    folded = Folded([*calm(0.0, 5.0), *moments])
    assert folded.state.blind.reasons == (problem,)
    folded.add(frame(t, face(), quality=unfit(problem, "occluded")) for t in span(10.0, 12.0))
    assert folded.state.blind.reasons == (problem,)


def test_a_signal_that_abstains_leaves_the_others_to_be_judged():
    shy = face(yaw_deg=40.0, abstains={"gaze": "turned"}, gaze_yaw_deg=-40.0, eye_yaw_deg=-80.0)
    folded = Folded([*calm(0.0, 10.0), *(frame(t, shy) for t in span(10.0, 20.0))])
    assert folded.rules == ["LOOKING_AWAY"]
    assert folded.state.open.keys() == {"LOOKING_AWAY"}


@pytest.mark.parametrize(("signal", "looks"), [("gaze", LEFT), ("pose", LEFT), ("pose", TURNED)])
def test_what_cannot_be_told_of_a_face_never_fires_and_blinds_nothing(signal, looks):
    shy = msgspec.structs.replace(looks, abstains={signal: "small"})
    folded = Folded([*calm(0.0, 10.0), *(frame(t, shy) for t in span(10.0, 30.0))])
    assert folded.rules == []
    assert folded.state.open == {}
    assert folded.add(frame(t, shy, face(x=0.7)) for t in span(30.0, 33.0)).rules == ["MULTIPLE_FACES"]


@pytest.mark.parametrize(("reason", "blinks"), [("eyes_closed", 4), ("small", 0)])
def test_lids_that_cannot_be_read_do_not_blink(reason, blinks):
    shut = msgspec.structs.replace(SHUT, abstains={"gaze": reason})
    frames = [frame(t, shut if i % 15 == 7 else face()) for i, t in enumerate(span(0.0, 12.0))]
    assert Folded(frames).state.eyes.blinks == blinks


def test_what_was_gone_already_when_the_picture_went_ended_when_it_went():
    seen = [frame(t, face(), objects=(thing("cell phone"),)) for t in span(0.0, 4.0)]
    folded = Folded([up(), *seen, *(frame(t, face(), objects=()) for t in span(4.0, 5.0))])
    folded.add([SourceLost(session="s1", source="cam", seq=1, t_s=5.0, reason="closed")])
    assert folded.state.timeline[0].end_s == pytest.approx(4.0)
    assert folded.state.timeline[0].detail == "A phone in view for 4.0 s."


def test_a_spell_of_no_length_is_no_spell():
    # Frames are missing since second 1, and the first that is judged again is from before.
    folded = Folded([up(1.0)])
    folded.add([stats(4.5), frame(1.0, face()), frame(2.5, face())])
    assert folded.state.open == {}
    assert folded.state.timeline == ()


def test_nobody_looked_for_a_person_is_not_nobody():
    folded = Folded(frame(t, person_present=None) for t in span(0.0, 20.0))
    assert folded.rules == []
    assert folded.state.open["COULD_NOT_TELL"].detail == "person unknown"


def test_closed_eyes_are_not_off_the_screen():
    folded = Folded([*calm(0.0, 10.0), *(frame(t, SHUT) for t in span(10.0, 25.0))])
    assert folded.rules == []


def test_blinks_do_not_interrupt_a_look_aside():
    looks = [frame(t, SHUT if i % 10 == 5 else LEFT) for i, t in enumerate(span(10.0, 16.0))]
    assert Folded([*calm(0.0, 10.0), *looks]).rules == ["EYES_OFF_SCREEN"]


def test_a_turned_head_with_steady_gaze_is_not_eyes_off():
    # Eyes turn against the head: the gaze stays on the screen while the head moves by up to 17 degrees.
    swaying = [
        frame(t, face(yaw_deg=17 * math.sin(t), eye_yaw_deg=-17 * math.sin(t), gaze_yaw_deg=0.5))
        for t in span(5.0, 60.0)
    ]
    assert Folded([*calm(0.0, 5.0), *swaying]).rules == []


def test_a_camera_beside_the_screen_is_not_held_against_anybody():
    askew = face(yaw_deg=24.0, pitch_deg=-8.0, eye_yaw_deg=-4.0, gaze_yaw_deg=20.0, gaze_pitch_deg=-6.0)
    assert Folded(frame(t, askew) for t in span(0.0, 60.0)).rules == []


def test_a_head_turned_from_the_first_moment_is_seen_at_last():
    folded = Folded(frame(t, TURNED) for t in span(0.0, 30.0))
    assert folded.rules == ["LOOKING_AWAY"]
    assert folded.lines("LOOKING_AWAY")[0] > 20.0


@pytest.mark.parametrize("problem", ["dark", "bright", "blurred"])
def test_an_unfit_picture_never_raises_risk(problem):
    moments = [
        frame(t, *faces, objects=(thing("cell phone"),), quality=unfit(problem))
        for faces in ([], [TURNED], [LEFT], [face(), face(x=0.7)])
        for t in span(10.0, 20.0)
    ]
    for start in range(0, len(moments), 50):
        folded = Folded([*calm(0.0, 10.0), *moments[start : start + 50]])
        assert folded.rules == []
        assert "COULD_NOT_TELL" in folded.state.open


def test_lost_packets_never_raise_risk():
    folded = Folded([up(), *calm(0.0, 10.0)])
    folded.add([stats(10.0), stats(10.1, packets_received=1100, packets_lost=100)])
    folded.add(frame(t, face(), face(x=0.7), objects=(thing("cell phone"),)) for t in span(10.2, 20.0))
    assert folded.rules == []
    assert "lost packets" in folded.state.open["COULD_NOT_TELL"].detail
    folded.add([stats(20.1, packets_received=2000, packets_lost=101)])
    assert folded.add(frame(t, face(), face(x=0.7)) for t in span(20.2, 23.0)).rules == ["MULTIPLE_FACES"]


def test_frames_that_nobody_judges_are_told():
    folded = Folded([up(), *calm(0.0, 4.0)])
    folded.add([stats(6.0, frames_sent=30)])
    assert folded.state.open == {}
    folded.add([stats(8.0, frames_sent=40)])
    assert folded.state.open["COULD_NOT_TELL"].detail == "no frames"
    assert folded.state.open["COULD_NOT_TELL"].start_s == pytest.approx(3.8)
    folded.add(calm(8.2, 11.0))
    assert folded.state.open == {}
    assert folded.state.blind.total_s == pytest.approx(4.4, abs=0.1)


def test_doubt_in_the_middle_pauses_a_hold():
    dark = [frame(t, quality=unfit("dark")) for t in span(11.0, 12.0)]
    folded = Folded([*calm(0.0, 10.0), *(frame(t) for t in span(10.0, 11.0)), *dark])
    folded.add(frame(t) for t in span(12.0, 13.0))
    assert folded.rules == []
    assert folded.add(frame(t) for t in span(13.0, 14.0)).rules == ["NO_FACE"]


def test_detector_that_runs_on_some_frames_only_still_counts_time():
    frames = [
        frame(t, face(), objects=(thing("cell phone"),) if i % 5 == 0 else None) for i, t in enumerate(span(0.0, 3.0))
    ]
    assert Folded(frames).rules == ["PHONE_DETECTED"]


def test_unlisted_and_unsure_objects_do_not_count():
    frames = [frame(t, face(), objects=(thing("cup"), thing("cell phone", 0.2))) for t in span(0.0, 20.0)]
    assert Folded(frames).rules == []


def test_an_object_is_let_go_when_the_detector_falls_silent():
    folded = Folded(frame(t, face(), objects=(thing("cell phone"),)) for t in span(0.0, 2.0))
    folded.add(calm(2.0, 20.0))
    assert folded.rules == ["PHONE_DETECTED"]
    assert folded.state.open == {}
    assert folded.state.timeline[-1].end_s == pytest.approx(1.8)


def test_hysteresis_keeps_an_object_that_is_less_sure_for_a_moment():
    sure = [frame(t, face(), objects=(thing("cell phone", 0.6),)) for t in span(0.0, 2.0)]
    unsure = [frame(t, face(), objects=(thing("cell phone", 0.4),)) for t in span(2.0, 10.0)]
    folded = Folded([*sure, *unsure])
    assert folded.rules == ["PHONE_DETECTED"]
    assert "PHONE_DETECTED" in folded.state.open


def test_a_policy_changes_labels_without_code():
    frames = [frame(t, face(), objects=(thing("notebook"),)) for t in span(0.0, 5.0)]
    assert Folded(frames).rules == []
    assert Folded(frames, BOOKS).rules == ["SUSPICIOUS_OBJECT"]


def test_a_disabled_rule_never_fires():
    policy = STANDARD.replace("[rules.NO_FACE]", "[rules.NO_FACE]\nenabled = false")
    assert Folded((frame(t) for t in span(0.0, 20.0)), policy).rules == []


def test_cool_down_shows_the_second_time_without_points():
    moments = [
        *calm(0.0, 5.0),
        *(frame(t) for t in span(5.0, 8.0)),
        *calm(8.0, 10.0),
        *(frame(t) for t in span(10.0, 13.0)),
    ]
    folded = Folded([*moments, *calm(13.0, 16.0)])
    assert folded.rules == ["NO_FACE"]
    assert [episode.kind for episode in folded.state.timeline] == ["NO_FACE", "NO_FACE"]
    assert [episode.detail for episode in folded.state.timeline] == [
        "Nobody in view for 3.0 s.",
        "Nobody in view for 3.0 s. Not counted again within 20 s.",
    ]


def test_reading_beside_the_screen_is_recognised():
    # Lines of text to the left: sweeps of about 8 degrees in a second, and back.
    def gaze_yaw(t: float) -> float:
        return -16.0 + 8.0 * ((t % 1.2) / 1.2)

    reads = [frame(t, face(eye_yaw_deg=gaze_yaw(t), gaze_yaw_deg=gaze_yaw(t))) for t in span(10.0, 22.0)]
    assert "READING_PATTERN" in Folded([*calm(0.0, 10.0), *reads]).rules


def test_reading_the_screen_is_not_reading_beside_it():
    def gaze_yaw(t: float) -> float:
        return 0.5 - 4.0 + 8.0 * ((t % 1.2) / 1.2)

    reads = [frame(t, face(gaze_yaw_deg=gaze_yaw(t))) for t in span(10.0, 40.0)]
    assert Folded([*calm(0.0, 10.0), *reads]).rules == []


def test_a_turned_head_is_not_reading():
    def turned(t: float) -> float:
        return 40.0 + 6.0 * math.sin(5 * t)

    moves = [frame(t, face(yaw_deg=turned(t), gaze_yaw_deg=turned(t) - 10.0)) for t in span(10.0, 40.0)]
    assert Folded([*calm(0.0, 10.0), *moves]).rules == ["LOOKING_AWAY"]


def test_staring_aside_is_not_reading():
    stares = [frame(t, face(gaze_yaw_deg=-13.0 + 0.5 * math.sin(9 * t))) for t in span(10.0, 30.0)]
    assert Folded([*calm(0.0, 10.0), *stares]).rules == ["EYES_OFF_SCREEN"]

"""What people are shown: measured figures, what was not measured, and only what is new."""

from __future__ import annotations

import msgspec
import pytest

from aggregator.cli import describe
from aggregator.replay import ReplayResult
from aggregator.risk.compare import differences, verdict
from aggregator.risk.view import changes, view, visibly_different
from proto.observations import FeatureStatus, SessionEnded, Word, WordsCommitted
from proto.views import Abstention, LedgerLine, SessionView
from tests.support.observed import (
    STANDARD,
    Folded,
    alike,
    calm,
    face,
    frame,
    piece,
    read,
    registered,
    second,
    span,
    thing,
    unfit,
    up,
)

FULL = STANDARD.replace("emotion = false", "emotion = true")


def watched(shown: SessionView) -> dict[str, tuple[str, str]]:
    return {rule.rule: (rule.state, rule.reason) for rule in shown.rules}


def test_nothing_measured_is_said_to_be_nothing_measured():
    shown = view(Folded([up()]).state)
    assert shown.measures.face_share is None
    assert shown.measures.blinks_per_min is None
    assert shown.measures.words_per_min is None
    rules = watched(shown)
    assert rules["NO_FACE"] == ("not_measured", "no frame could be judged")
    assert rules["PHONE_DETECTED"] == ("not_measured", "no object detector looked at any frame")
    for name in ("SECOND_VOICE", "WHISPERING", "VOICE_NOT_FROM_FACE"):
        assert rules[name] == ("not_measured", "no sound was heard"), name
    assert rules["STRESS_HIGH"] == ("off", "the policy does not allow emotion to be inferred")
    assert rules["IDENTITY_MISMATCH"] == ("not_measured", "no reference face is registered")
    assert rules["TEXT_IN_VIEW"] == ("not_measured", "no frame was searched for text")
    assert shown.measures.identity_pct is None
    assert shown.measures.expression is None
    assert rules["SOURCE_LOST"][0] == "watched"
    stress = watched(view(Folded([up()], FULL).state))["STRESS_HIGH"]
    assert stress == ("not_measured", "this version has no detector for it")


def test_what_was_measured_is_counted():
    folded = Folded([up(), *calm(0.0, 10.0), *(frame(t) for t in span(10.0, 15.0))])
    folded.add(frame(t, quality=unfit("dark")) for t in span(15.0, 20.0))
    folded.add(frame(t, face(), objects=()) for t in span(20.0, 22.0))
    shown = view(folded.state)
    assert shown.measures.frames_seen == 110
    assert shown.measures.face_share == pytest.approx(60 / 85)
    assert shown.could_not_tell.total_s == pytest.approx(5.0, abs=0.3)
    assert not shown.could_not_tell.active
    assert watched(shown)["PHONE_DETECTED"][0] == "watched"
    assert {rule.rule: rule.fired for rule in shown.rules if rule.fired} == {"NO_FACE": 1}


def test_blinks_are_counted_by_the_minute():
    shut = face(left_eye_openness=0.05, right_eye_openness=0.05)
    frames = [frame(t, shut if i % 15 == 7 else face()) for i, t in enumerate(span(0.0, 60.0))]
    assert view(Folded(frames).state).measures.blinks_per_min == pytest.approx(20.0, abs=1.0)


def test_eyes_closed_for_long_are_no_blink():
    shut = face(left_eye_openness=0.05, right_eye_openness=0.05)
    folded = Folded([*calm(0.0, 10.0), *(frame(t, shut) for t in span(10.0, 14.0)), *calm(14.0, 20.0)])
    assert folded.state.eyes.blinks == 0


def test_speech_and_words_are_counted():
    words = tuple(Word(text="so", start_s=i * 0.5, end_s=i * 0.5 + 0.4, probability=0.9) for i in range(60))
    said = WordsCommitted(
        session="s1", source="speech", seq=1, t_s=30.0, utterance=1, words=words, language="en", model="m", final=True,
        heard_until_s=30.0,
    )  # fmt: skip
    heard = [
        second(t, speech_s=1.0 if t % 2 else 0.0, gap_s=0.0, ended_pause_s=1.5 if t == 9 else 0.0) for t in range(60)
    ]
    measures = view(Folded([up(), *heard, said]).state).measures
    assert measures.speech_share == pytest.approx(0.5)
    assert measures.speech_s == pytest.approx(30.0)
    assert measures.words == 60
    assert measures.words_per_min == pytest.approx(120.0)
    assert measures.longest_pause_s == 1.5


def test_sound_that_never_arrived_is_not_silence():
    measures = view(Folded([up(), *(second(t, speech_s=0.5, gap_s=0.5) for t in range(10))]).state).measures
    assert measures.speech_share == pytest.approx(1.0)


def test_features_that_miss_are_named():
    missing = FeatureStatus(
        session="s1",
        source="speech",
        seq=1,
        t_s=0.0,
        feature="transcript",
        available=False,
        reason="no weights",
        command="candor x",
    )
    (feature,) = view(Folded([missing]).state).features
    assert (feature.name, feature.available, feature.reason, feature.command) == (
        "transcript",
        False,
        "no weights",
        "candor x",
    )


def lacking(feature: str) -> FeatureStatus:
    return FeatureStatus(
        session="s1", source="vision", seq=1, t_s=0.0, feature=feature, available=False,
        reason="yolox-nano is not here", command="candor models pull yolox-nano",
    )  # fmt: skip


def test_a_rule_whose_detector_is_missing_says_why_and_how_to_have_it():
    missing = ("not_measured", "yolox-nano is not here (to have it: candor models pull yolox-nano)")
    folded = Folded([up(), *calm(0.0, 2.0), lacking("objects"), lacking("text"), lacking("identity")])
    rules = watched(view(folded.state))
    for name in ("PHONE_DETECTED", "PHONE_PARTIAL_DETECTED", "SUSPICIOUS_OBJECT", "TEXT_IN_VIEW", "IDENTITY_MISMATCH"):
        assert rules[name] == missing, name
    # Another worker has it: what was measured was measured.
    folded.add([frame(3.0, face(), objects=()), read(3.0)])
    rules = watched(view(folded.state))
    assert rules["PHONE_DETECTED"] == rules["TEXT_IN_VIEW"] == ("watched", "")


def test_signals_that_abstain_say_how_often_and_why():
    small, turned = {"gaze": "small", "identity": "small", "expression": "small"}, {"gaze": "turned", "odd": "odd"}
    frames = [frame(t, face(abstains=(small, small, turned, {})[i % 4])) for i, t in enumerate(span(0.0, 20.0))]
    folded = Folded([*frames, *(frame(t, face(abstains=small), quality=unfit("dark")) for t in span(20.0, 40.0))])
    assert view(folded.state).measures.abstained == (Abstention(signal="gaze", share=0.75, reason="small"),)
    assert watched(view(folded.state))["EYES_OFF_SCREEN"][0] == "watched"
    wanted = Folded([registered(), *frames], FULL)
    assert [shy.signal for shy in view(wanted.state).measures.abstained] == ["gaze", "expression", "identity"]


def test_eyes_that_could_not_be_read_are_why_their_rules_were_not_measured():
    small = Folded(frame(t, face(abstains={"gaze": "small"})) for t in span(0.0, 20.0))
    told = watched(view(small.state))["EYES_OFF_SCREEN"]
    assert told == ("not_measured", "the face was too small for the eyes to be read")
    restless = Folded(frame(t, face(gaze_yaw_deg=-20.0 if i % 2 else 20.0)) for i, t in enumerate(span(0.0, 20.0)))
    told = watched(view(restless.state))["READING_PATTERN"]
    assert told == ("not_measured", "the eyes were not seen steadily enough for a baseline")


def test_what_nobody_asked_for_is_not_missed():
    asked = Folded([up(), lacking("expression"), lacking("objects")])
    assert [feature.name for feature in view(asked.state).features] == ["objects"]
    full = Folded([up(), lacking("expression")], FULL)
    assert [feature.name for feature in view(full.state).features] == ["expression"]


def test_what_the_policy_looks_at_never_is_off():
    never = STANDARD.replace("objects_per_s = 2.5", "objects_per_s = 0").replace("text_per_s = 0.1", "text_per_s = 0")
    rules = watched(view(Folded([up(), lacking("objects")], never).state))
    assert rules["PHONE_DETECTED"] == ("off", "the policy's objects_per_s is 0")
    assert rules["TEXT_IN_VIEW"] == ("off", "the policy's text_per_s is 0")


def test_without_sound_in_the_policy_rules_of_sound_are_off():
    rules = watched(view(Folded([up()], STANDARD.replace("audio = true", "audio = false")).state))
    for name in ("SECOND_VOICE", "WHISPERING", "VOICE_NOT_FROM_FACE"):
        assert rules[name] == ("off", "the policy's audio is off"), name


def test_voices_that_the_policy_does_not_tell_apart_are_off():
    rules = watched(view(Folded([up()], STANDARD.replace("\nvoices = true", "\nvoices = false")).state))
    assert rules["SECOND_VOICE"] == ("off", "the policy's voices is off")
    assert rules["WHISPERING"][0] != "off"


def test_a_rule_of_sound_that_could_not_be_judged_says_what_was_wrong_with_it():
    noisy = [second(t, problems=("noisy",), whisper_likelihood=0.9) for t in range(10)]
    rules = watched(view(Folded([up(), *noisy, piece(3.0, None, reason="noisy")]).state))
    assert rules["WHISPERING"] == ("not_measured", "the sound could not be judged: noise")
    assert rules["SECOND_VOICE"] == ("not_measured", "no voice could be told for certain")
    silent = watched(view(Folded([up(), *(second(t, speech_s=0.0) for t in range(10))]).state))
    assert silent["WHISPERING"] == ("not_measured", "too little speech was heard")
    assert silent["SECOND_VOICE"] == ("not_measured", "no voices were told apart")
    told = watched(view(Folded([up(), second(0, whisper_likelihood=0.1), piece(0.0, 0)]).state))
    assert told["WHISPERING"] == told["SECOND_VOICE"] == ("watched", "")
    missing = msgspec.structs.replace(lacking("voices"), reason="no voice encoder", command="candor models pull v")
    told = watched(view(Folded([up(), missing, second(0)]).state))
    assert told["SECOND_VOICE"] == ("not_measured", "no voice encoder (to have it: candor models pull v)")


def test_pauses_levels_and_problems_of_the_sound_are_measured():
    loud = second(0, speech_s=1.0, speech_dbfs=-20.0, voiced_share=0.8, ended_pause_s=0.3)
    low = second(1, speech_s=0.5, speech_dbfs=-32.0, noise_dbfs=-60.0, voiced_share=0.2, ended_pause_s=0.7)
    later = second(2, speech_s=0.0, noise_dbfs=-54.0, ended_pause_s=1.5, problems=("music", "noisy"))
    lost = second(3, speech_s=0.0, gap_s=1.0, speech_dbfs=float("nan"), noise_dbfs=-900.0, problems=("lost",))
    measures = view(Folded([up(), loud, low, later, lost]).state).measures
    assert (measures.pauses, measures.pause_mean_s) == (2, pytest.approx(1.1))
    assert measures.speech_dbfs == -24.0
    assert measures.noise_dbfs == -56.0
    assert measures.voiced_share == pytest.approx(0.6)
    assert measures.sound_problems == {"music": 1.0, "noisy": 1.0, "lost": 1.0}
    nothing = view(Folded([up()]).state).measures
    assert (nothing.pauses, nothing.pause_mean_s, nothing.speech_dbfs, nothing.voiced_share) == (0, None, None, None)


def test_voices_are_shown_with_their_share_and_nobodys_speech_beside_them():
    heard = [*(piece(t, 0) for t in range(6)), piece(6, 1), piece(7, None, reason="short")]
    measures = view(Folded([up(), *heard, piece(8, 2, role="interviewer")]).state).measures
    assert measures.voices is not None
    assert [(one.voice, one.role) for one in measures.voices] == [(0, ""), (1, ""), (2, "interviewer")]
    assert measures.voices[0].share == pytest.approx(0.75)
    assert measures.voices[0].speech_s == pytest.approx(4.8)
    assert measures.voice_unknown_s == pytest.approx(0.8)
    assert measures.voice_silhouette == 0.5
    assert measures.overlap_s is None
    assert view(Folded([up(), second(0)]).state).measures.voices is None
    own = Folded([up(), up(source="interviewer-1"), piece(0, 0, overlap_s=0.3), piece(1, 0)])
    assert view(own.state).measures.overlap_s == pytest.approx(0.3)


def test_identity_is_watched_once_a_look_could_tell():
    folded = Folded([up(), registered(), *calm(0.0, 2.0)])
    told = watched(view(folded.state))["IDENTITY_MISMATCH"]
    assert told == ("not_measured", "no look at the face could tell whose it is")
    folded.add([frame(2.0, face(), identity=alike(88.0))])
    assert watched(view(folded.state))["IDENTITY_MISMATCH"] == ("watched", "")


def test_a_review_once_recommended_stays_recommended():
    phone = [frame(t, face(), face(x=0.7), objects=(thing("cell phone"),)) for t in span(0.0, 3.0)]
    folded = Folded([*phone, *calm(3.0, 1500.0)])
    shown = view(folded.state)
    assert shown.score < 1.0
    assert shown.level == "low"
    assert shown.peak_score == pytest.approx(55.0, abs=0.5)
    assert shown.review_recommended
    assert shown.review_s == pytest.approx(1.0, abs=0.3)


def test_changes_have_only_what_is_new():
    folded = Folded([up(), *calm(0.0, 5.0), *(frame(t) for t in span(5.0, 9.0))])
    before = view(folded.state)
    assert changes(None, before) == before
    folded.add(calm(9.0, 12.0))
    folded.add(frame(t, face(), face(x=0.7)) for t in span(12.0, 14.0))
    after = changes(before, view(folded.state))
    assert [line.rule for line in after.ledger] == ["MULTIPLE_FACES"]
    assert [(episode.kind, episode.end_s is None) for episode in after.timeline] == [
        ("NO_FACE", False),
        ("MULTIPLE_FACES", True),
    ]
    assert [alert.rule for alert in after.alerts] == ["MULTIPLE_FACES"]
    assert after.seq == folded.state.seq


def test_the_clock_alone_is_not_a_visible_change():
    folded = Folded([up(), *calm(0.0, 5.0)])
    before = view(folded.state)
    folded.add(calm(5.0, 6.0))
    assert not visibly_different(before, view(folded.state))
    folded.add([SessionEnded(session="s1", source="api", seq=1, t_s=6.0)])
    assert visibly_different(before, view(folded.state))


def test_a_view_is_json_without_surprises():
    folded = Folded([up(), *calm(0.0, 5.0), *(frame(t) for t in span(5.0, 9.0))])
    shown = view(folded.state)
    assert msgspec.json.decode(msgspec.json.encode(shown), type=SessionView) == shown


def ledger_line(t_s: float, rule: str = "NO_FACE", weight: float = 20.0) -> LedgerLine:
    return LedgerLine(
        seq=1, t_s=t_s, rule=rule, severity="high", weight=weight, half_life_s=60.0, why="Nobody is in view."
    )


def test_ledgers_are_compared_line_by_line():
    then = (ledger_line(4.0), ledger_line(60.0), ledger_line(90.0, "LOOKING_AWAY"))
    now = (ledger_line(6.0), ledger_line(90.0, "LOOKING_AWAY"), ledger_line(120.0, "MULTIPLE_FACES"))
    assert [(d.kind, d.rule) for d in differences(then, now)] == [
        ("changed", "NO_FACE"),
        ("only_then", "NO_FACE"),
        ("only_now", "MULTIPLE_FACES"),
    ]
    assert differences(then, then) == ()


def test_a_replay_is_described_in_words():
    folded = Folded([up(), *(frame(t) for t in span(0.0, 4.0))])
    one = verdict(folded.state, folded.hash)
    result = ReplayResult(
        session="s1", seq=9, observations=21, snapshot_hash="f" * 64, matches=False, then=one, now=one,
        differences=differences(folded.state.ledger, (ledger_line(500.0, "MULTIPLE_FACES"),)),
    )  # fmt: skip
    lines = describe(result)
    assert any("DIFFERENT" in line for line in lines)
    assert any(line.startswith("  - ") and "NO_FACE" in line for line in lines)
    assert any(line.startswith("  + ") and "MULTIPLE_FACES" in line for line in lines)
    same = describe(msgspec.structs.replace(result, matches=True, now=None, differences=()))
    assert any("explains this state completely" in line for line in same)


def test_objects_that_were_seldom_looked_for_are_said_to_be():
    def looked(every: int) -> tuple[str, str]:
        moments = span(0.0, 20.0)
        frames = [frame(t, face(), objects=() if n % every == 0 else None) for n, t in enumerate(moments)]
        return watched(view(Folded([up(), *frames]).state))["PHONE_DETECTED"]

    assert looked(2) == ("watched", "")
    assert looked(3) == ("watched", "")
    assert looked(6) == ("watched", "only 17 of about 50 looks were made, the workers were too busy")

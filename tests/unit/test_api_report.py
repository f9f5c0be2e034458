"""The report: what is said, that each claim names its observation, and that nothing unmeasured is claimed."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from api import report, speaking
from api.examples import EVIDENCE, TRANSCRIPT, VIEW
from api.reported import Report
from proto.views import Abstention, CouldNotTell, Feature, Measures, VoiceShare, Watch
from tests.support.views import a_line, a_view, an_episode

NOW = "2026-01-01T00:00:00+00:00"


def built(**changes: object) -> Report:
    return report.build(a_view("s1", 900, clock_s=240.0, **changes), (), (), generated_at=NOW)


def test_a_ledger_line_says_what_is_left_of_it() -> None:
    lines = (a_line(10, t_s=0.0), a_line(20, t_s=120.0), a_line(30, t_s=240.0))
    found = built(ledger=lines, score=35.0)
    # 20 points with a half-life of 120 s: after 240, 120 and 0 s.
    assert [claim.points_now for claim in found.ledger] == [5.0, 10.0, 20.0]
    assert sum(claim.points_now for claim in found.ledger) == found.score
    assert [claim.seq for claim in found.ledger] == [10, 20, 30]
    assert found.ledger[1].text == "At 2:00: No face for 4.0 s. This added 20 points; 10.0 are left."


def test_what_was_not_measured_is_said_to_be_not_measured() -> None:
    found = {measure.name: measure for measure in built(measures=Measures(frames_seen=100, face_share=0.5)).measures}
    assert found["frames_seen"].value == 100
    assert found["face_share"].text == "Share of time with a face: 50%."
    for name in ("eyes_off_share", "blinks_per_min", "speech_share", "speech_s", "longest_pause_s", "words"):
        assert found[name].value is None, name
        assert found[name].text.endswith("not measured.")


def test_silence_that_was_measured_is_a_figure() -> None:
    measures = Measures(speech_share=0.0, words_per_min=0.0, longest_pause_s=30.0)
    found = {measure.name: measure for measure in built(measures=measures).measures}
    assert found["speech_s"].value == 0.0
    assert found["words"].text == "Words: 0."
    assert found["longest_pause_s"].text == "Longest pause: 30.0 s."


def test_a_human_decides_whatever_the_score() -> None:
    low, high = built(), built(score=80.0, peak_score=85.0, level="critical", review_recommended=True, review_s=61.0)
    assert "human decides" in low.recommendation
    assert "human decides" in high.recommendation
    assert "at 1:01" in high.recommendation
    assert not low.review_recommended
    assert high.review_recommended


def test_time_that_could_not_be_judged_is_told_and_did_not_count() -> None:
    found = built(could_not_tell=CouldNotTell(active=True, reasons=("dark",), total_s=60.0)).could_not_tell
    assert found.share == 0.25
    assert found.text == "For 60.0 s (25% of the session) nothing could be judged. This did not raise the score."
    assert built().could_not_tell.text == "Everything that was received could be judged."


def test_not_everything_was_judged_where_single_signals_abstained() -> None:
    shy = (Abstention(signal="gaze", reason="turned", share=0.49),)
    found = built(measures=Measures(frames_seen=100, abstained=shy)).could_not_tell
    assert found.signals
    assert "not every signal" in found.text


def test_a_line_without_points_is_for_the_record() -> None:
    line = msgspec.structs.replace(a_line(9, t_s=8.0), weight=0.0)
    assert built(ledger=(line,)).ledger[0].text == "At 0:08: No face for 4.0 s. For the record: this carries no points."


def test_what_single_signals_could_not_tell_is_said_with_the_reason() -> None:
    shy = (Abstention(signal="gaze", share=0.4, reason="small"),)
    found = built(measures=Measures(abstained=shy)).could_not_tell.signals
    assert found == (
        "Where the eyes look could not be told of 40% of the faces looked at, mostly because the face was too small.",
    )
    assert built().could_not_tell.signals == ()


def test_a_rule_that_was_not_measured_proves_nothing() -> None:
    found = built(
        rules=(
            Watch(rule="NO_FACE", severity="high", weight=20, state="watched", fired=2),
            Watch(rule="STRESS_HIGH", severity="low", weight=5, state="off"),
            Watch(rule="PHONE_DETECTED", severity="critical", weight=30, state="not_measured", reason="no detector"),
        )
    )
    assert [rule.text for rule in found.rules] == [
        "No face was watched and fired 2 times.",
        "Stress high was off by the policy.",
        "Phone detected was not measured: no detector. That it did not fire says nothing.",
    ]
    assert "1 rule could not be measured at all." in found.summary


def test_a_missing_feature_comes_with_its_command() -> None:
    features = (
        Feature(name="face", available=True),
        Feature(name="transcript", available=False, reason="no model", command="candor models pull whisper-tiny"),
    )
    (missing,) = built(features=features).unavailable
    assert "candor models pull whisper-tiny" in missing.text
    assert "not measured" in missing.text


def test_without_a_model_an_expression_is_an_estimate_and_only_said_where_it_is_wanted() -> None:
    (missing,) = built(features=(Feature(name="expression", available=False, reason="no model"),)).unavailable
    assert missing.text.startswith("A model for expressions was not available: no model. ")
    assert missing.text.endswith("Expressions were estimated from the shape of the face instead.")


def test_expression_is_told_only_where_it_was_measured() -> None:
    assert built().expression is None
    mean = {"HAPPY": 30.0, "CALM": 60.0, "SAD": 10.0}
    told = built(measures=Measures(expression_mean=mean, expression_model="geometry")).expression
    assert told is not None
    assert (told.dominant, told.estimate, told.percentages) == ("CALM", True, mean)
    assert "mostly calm (60 %), then happy (30 %)" in told.text
    assert "estimate" in told.text
    by_model = built(measures=Measures(expression_mean=mean, expression_model="fer")).expression
    assert by_model is not None
    assert not by_model.estimate
    assert "estimate" not in by_model.text


def test_identity_and_text_are_figures_where_they_were_measured() -> None:
    nothing = {measure.name: measure for measure in built().measures}
    for name in ("identity_pct", "identity_checks", "identity_failures", "identity_undecided", "text_looks"):
        assert nothing[name].value is None, name
    measures = Measures(identity_pct=88.25, identity_checks=20, identity_undecided=4, text_looks=3)
    found = {measure.name: measure.text for measure in built(measures=measures).measures}
    assert found["identity_pct"].endswith("count as the same person): 88.2 %.")
    assert found["identity_failures"] == "Of these, unlike the reference face: 0."
    assert found["identity_undecided"] == "Looks that could not tell: 4."
    assert found["text_found"] == "Of these, with a find: 0."


def test_how_somebody_spoke_is_said_in_words() -> None:
    spoke = Measures(
        speech_share=0.58, speech_s=26.2, words_per_min=149.8, pauses=12, pause_mean_s=1.6, speech_dbfs=-23.4,
        noise_dbfs=-61.0, voiced_share=0.72, mouth_still_share=0.02,
    )  # fmt: skip
    found = built(measures=spoke)
    assert [one.interpretation for one in found.speaking] == ["Fairly active", "Ideal pace", "Fluent"]
    assert found.speaking[0].text == (
        "Share of the time with speech: 58%. Fairly active: about half of the time or more was spent speaking."
    )
    assert found.speaking[2].text.endswith("Pauses in which somebody else spoke are among them.")
    texts = {measure.name: measure.text for measure in found.measures}
    assert texts["speech_dbfs"] == "Level of the speech (0 is full scale): -23.4 dBFS."
    assert texts["pauses"] == "Pauses of half a second and more: 12."
    assert texts["mouth_still_share"].endswith("where that could be compared: 2%.")
    assert texts["overlap_s"].endswith("not measured.")


@pytest.mark.parametrize(
    "measures",
    [Measures(), Measures(speech_share=0.05, speech_s=3.0, words_per_min=400.0, pauses=9, pause_mean_s=9.0)],
)
def test_too_little_speech_says_nothing_of_how_somebody_speaks(measures) -> None:
    for one in built(measures=measures).speaking:
        assert (one.value, one.interpretation) == (None, "")
        assert one.text.endswith("too little was heard to say.")


@pytest.mark.parametrize("name", list(speaking.SCALES))
def test_bands_begin_at_nothing_and_each_has_its_word(name) -> None:
    bands = speaking.SCALES[name].bands
    assert bands[0].least == 0.0
    assert [band.least for band in bands] == sorted({band.least for band in bands})
    assert len({band.word for band in bands}) == len(bands)
    for lower, upper in pairwise(bands):
        assert speaking.band(name, upper.least) == upper
        assert speaking.band(name, upper.least - 1e-6) == lower


def test_voices_are_numbers_and_the_interviewers_is_told_apart() -> None:
    heard = (
        VoiceShare(voice=2, share=0.6, speech_s=60.0),
        VoiceShare(voice=0, share=0.3, speech_s=30.0, role="interviewer"),
        VoiceShare(voice=1, share=0.1, speech_s=10.0),
    )
    found = built(measures=Measures(voices=heard, voice_unknown_s=4.0))
    assert [one.text for one in found.voices] == [
        "Voice 1: 60% of the speech whose voice could be told, 60.0 s.",
        "The interviewer's voice: 30% of the speech whose voice could be told, 30.0 s.",
        "Voice 2: 10% of the speech whose voice could be told, 10.0 s.",
    ]
    assert found.voices_text == "2 voices were told apart beside the interviewer's."
    assert built(measures=Measures(voices=heard[:1])).voices_text == "One voice was heard."
    assert built(measures=Measures(voices=())).voices_text == "No voice could be told for certain."
    assert built().voices_text == "Whose voices were heard was not measured."
    unknown = {measure.name: measure.value for measure in built().measures}["voice_unknown_s"]
    assert unknown is None


def test_sound_that_could_not_be_judged_is_told_and_blinds_nothing() -> None:
    measures = Measures(frames_seen=100, sound_problems={"noisy": 3.0, "muted": 12.5, "lost": 0.0})
    found = built(measures=measures, timeline=(an_episode("SOUND_UNCLEAR", 10.0, 22.5, detail="music"),))
    assert found.could_not_tell.sound == (
        "The sound could not be judged for 12.5 s: the microphone gave no sound.",
        "The sound could not be judged for 3.0 s: there was noise.",
    )
    assert found.could_not_tell.total_s == 0.0
    assert found.could_not_tell.text.endswith("though not all of the sound.")
    assert found.timeline[0].text == "0:10 to 0:22 (12.5 s): sound that could not be judged: music"


def test_nobody_is_accused_by_the_name_of_a_rule() -> None:
    found = built(
        rules=(
            Watch(rule="IDENTITY_MISMATCH", severity="critical", weight=25, state="watched"),
            Watch(rule="SUSPICIOUS_OBJECT", severity="medium", weight=15, state="watched", fired=1),
            Watch(rule="VOICE_NOT_FROM_FACE", severity="info", weight=0, state="watched", fired=1),
        ),
        timeline=(an_episode("IDENTITY_MISMATCH", 10.0, 16.0),),
    )
    texts = " ".join([rule.text for rule in found.rules] + [stretch.text for stretch in found.timeline]).lower()
    assert "face unlike the reference picture was watched" in texts
    assert "mismatch" not in texts
    assert "suspicious" not in texts


def test_an_open_stretch_lasts_until_now() -> None:
    found = built(
        timeline=(an_episode("NO_FACE", 10.0, 12.5, detail="left the picture"), an_episode("NO_FACE", 200.0, None))
    )
    assert [stretch.duration_s for stretch in found.timeline] == [2.5, 40.0]
    assert found.timeline[0].text == "0:10 to 0:12 (2.5 s): no face: left the picture"
    assert found.timeline[1].text == "3:20 and still so (40.0 s): no face"


def test_the_summary_of_nothing_and_of_something() -> None:
    nothing = built().summary
    assert nothing == (
        "The session is going on after 4:00: nothing raised the score, which stands at 0 of 100 (low; at most 0)."
    )
    something = built(status="ended", ledger=(a_line(1),), ledger_dropped=4, score=9.6, peak_score=42.0).summary
    assert something.startswith("The session is over after 4:00: 5 findings raised the score, which stands at 9 of")
    assert "at most 42" in something


def test_transcript_and_evidence_are_carried() -> None:
    found = report.build(VIEW, TRANSCRIPT.segments, (EVIDENCE,), generated_at=NOW, transcript_complete=False)
    assert found.transcript_text == "Good morning."
    assert found.transcript[0].words[1].probability == 0.95
    assert found.evidence[0].sha256 == EVIDENCE.sha256
    assert not found.transcript_complete
    assert (found.policy, found.policy_hash) == (VIEW.policy, VIEW.policy_hash)
    assert found.generated_at == NOW


def test_clock() -> None:
    assert [report.clock(t) for t in (-1, 0, 59.9, 60, 3599, 3600, 36061)] == [
        "0:00",
        "0:00",
        "0:59",
        "1:00",
        "59:59",
        "1:00:00",
        "10:01:01",
    ]

"""Sound that cannot be judged is put on record, never counted, and never takes the picture's judgement with it."""

from __future__ import annotations

import pytest

from aggregator.risk.view import view, visibly_different
from proto.observations import SourceLost, WordsTranslated
from tests.support.observed import Folded, calm, face, frame, second, span, unfit, up

PROBLEMS = ["lost", "muted", "quiet", "clipped", "noisy", "music"]


def heard(start_s: int, end_s: int, *problems: str, **changes: object) -> list[object]:
    return [second(t, problems=problems, **changes) for t in range(start_s, end_s)]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_whisper_in_sound_that_cannot_be_judged_is_none(problem):
    folded = Folded([up(), *heard(0, 30, problem, whisper_likelihood=1.0)])
    assert folded.rules == []
    assert folded.state.tally.whisper_heard == 0
    assert folded.add(heard(30, 35, whisper_likelihood=0.9)).rules == ["WHISPERING"]


@pytest.mark.parametrize(
    ("problem", "words", "after_s"),
    [
        ("lost", "sound was lost", 3),
        ("muted", "the microphone gave no sound", 10),
        ("noisy", "noise", 3),
        ("music", "music", 3),
    ],
)
def test_what_lasts_is_put_on_record_and_raises_nothing(problem, words, after_s):
    folded = Folded([up(), *heard(0, 5), *heard(5, 5 + after_s, problem)])
    assert folded.state.open == {}
    before = view(folded.state)
    folded.add(heard(5 + after_s, 20, problem))
    assert folded.state.open["SOUND_UNCLEAR"].start_s == 5.0
    assert folded.state.open["SOUND_UNCLEAR"].detail == words
    assert visibly_different(before, view(folded.state))
    folded.add(heard(20, 30))
    (episode,) = folded.state.timeline
    assert (episode.kind, episode.severity, episode.start_s, episode.end_s) == ("SOUND_UNCLEAR", "info", 5.0, 20.0)
    assert folded.rules == []
    assert folded.state.peak_score == 0.0


def test_who_listens_behind_a_noise_gate_is_not_muted_at_once():
    listens = [second(t, speech_s=0.0, problems=("muted",) if t % 12 < 8 else ()) for t in range(120)]
    folded = Folded([up(), *listens])
    assert folded.state.timeline == ()
    assert folded.state.open == {}


def test_a_breath_between_two_noisy_moments_does_not_end_it():
    noisy = [second(t, problems=() if t % 5 == 4 else ("noisy",)) for t in range(39)]
    folded = Folded([up(), *noisy])
    assert folded.state.timeline == ()
    assert folded.state.open["SOUND_UNCLEAR"].start_s == 0.0


@pytest.mark.parametrize("problem", ["quiet", "clipped"])
def test_a_low_voice_and_clipping_are_counted_only(problem):
    folded = Folded([up(), *heard(0, 30, problem)])
    assert folded.state.open == {}
    assert view(folded.state).measures.sound_problems == {problem: 30.0}


def test_a_muted_microphone_leaves_the_picture_to_be_judged():
    frames = [*calm(0.0, 10.0), *(frame(t, face(), face(x=0.7)) for t in span(10.0, 20.0))]
    muted = heard(0, 20, "muted", speech_s=0.0)
    folded = Folded([up(), *sorted([*frames, *muted], key=lambda one: one.t_s)])
    assert folded.rules == ["MULTIPLE_FACES"]
    shown = view(folded.state)
    assert not shown.could_not_tell.active
    assert shown.could_not_tell.total_s == 0.0
    assert shown.measures.face_share == 1.0
    assert {episode.kind for episode in shown.active} == {"MULTIPLE_FACES", "SOUND_UNCLEAR"}


def test_a_dark_picture_leaves_the_sound_to_be_judged():
    dark = [frame(t, quality=unfit("dark")) for t in span(0.0, 10.0)]
    whispers = heard(0, 10, whisper_likelihood=0.9)
    folded = Folded([up(), *sorted([*dark, *whispers], key=lambda one: one.t_s)])
    assert folded.rules == ["WHISPERING"]
    assert folded.state.open.keys() == {"COULD_NOT_TELL", "WHISPERING"}


def test_it_is_over_when_the_sound_or_the_source_is_gone():
    muted = [up(), *heard(0, 15, "muted")]
    silent = Folded([*muted, *calm(15.0, 35.0)])
    assert silent.state.timeline[0].end_s == 15.0
    gone = Folded([*muted, SourceLost(session="s1", source="cam", seq=1, t_s=17.0, reason="closed")])
    assert [episode.kind for episode in gone.state.timeline] == ["SOUND_UNCLEAR"]
    assert "SOUND_UNCLEAR" not in gone.state.open


def test_the_interviewers_own_seconds_are_not_the_candidates():
    asks = [second(t, speech_s=1.0, whisper_likelihood=1.0) for t in range(20)]
    theirs = [
        type(one)(**{name: getattr(one, name) for name in one.__struct_fields__} | {"source": "interviewer-1"})
        for one in asks
    ]
    folded = Folded([up(), *theirs])
    assert folded.rules == []
    assert folded.state.tally.sound_s == 0.0


def test_a_translation_is_no_more_words():
    said = WordsTranslated(
        session="s1", source="speech", seq=1, t_s=1.0, utterance=1, text="hello", language="de", model="m", start_s=0.0,
        end_s=1.0,
    )  # fmt: skip
    assert Folded([up(), said]).state.tally.words == 0

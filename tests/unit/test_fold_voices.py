"""A second voice fires where one was heard, and never for what could not be told or is the interviewer's."""

from __future__ import annotations

import pytest

from aggregator.risk import state
from aggregator.risk.view import view
from aggregator.risk.voices import MAX_OTHERS, MAX_SPANS, MAX_VOICES
from proto.observations import AnyObservation, SessionEnded, VoiceHeard
from tests.support.observed import POLICIES, STANDARD, Folded, piece, second, stats, up

RULE = "SECOND_VOICE"
EU = (POLICIES / "eu-recruitment.toml").read_text("utf-8")
OFF = STANDARD.replace("[rules.SECOND_VOICE]", "[rules.SECOND_VOICE]\nenabled = false")


def spoken(start_s: float, count: int, voice: int | None = 0, **changes: object) -> list[VoiceHeard]:
    """Pieces of 0.8 s, one after the other."""
    return [piece(round(start_s + 0.8 * i, 2), voice, **changes) for i in range(count)]


def listened(pieces: list[VoiceHeard]) -> list[AnyObservation]:
    """Pieces among the seconds of sound they come with, which is what moves the clock."""
    seconds = [second(t) for t in range(int(max(one.t_s for one in pieces)) + 2)]
    return sorted([*seconds, *pieces], key=lambda one: one.t_s + one.duration_s)


CANDIDATE = spoken(0.0, 20)


def test_another_voice_fires_once_it_was_heard_for_long_enough():
    folded = Folded([up(), *CANDIDATE, *spoken(20.0, 2, 1)])
    assert folded.rules == []
    folded.add(spoken(30.0, 1, 1))
    assert folded.rules == [RULE]
    (line,) = folded.state.ledger
    assert line.why == "Another voice than the candidate's for 2.4 s, heard 3 times."
    assert line.t_s == pytest.approx(30.8)
    assert [alert.message for alert in folded.alerts] == [f"{line.why} Please have a look."]
    assert folded.state.open[RULE].detail == line.why


def test_it_ends_when_the_candidate_speaks_again_and_its_sentence_stays():
    folded = Folded([up(), *CANDIDATE, *spoken(20.0, 3, 1), *spoken(23.0, 6, 0)])
    assert folded.rules == [RULE]
    assert folded.state.open == {}
    (episode,) = folded.state.timeline
    assert episode.detail == "Another voice than the candidate's for 2.4 s, heard 3 times."


def test_what_was_answered_is_not_held_against_them_again():
    folded = Folded([up(), *CANDIDATE, *spoken(20.0, 3, 1), *spoken(23.0, 6, 0), *spoken(30.0, 1, 1)])
    assert folded.rules == [RULE]
    assert folded.state.open == {}
    assert "SECOND_VOICE" in folded.add(spoken(31.0, 2, 1)).state.open


def test_one_habit_is_not_counted_over_and_over():
    turns = [heard for i in range(5) for heard in (*spoken(20 + 10 * i, 3, 1), *spoken(24 + 10 * i, 6, 0))]
    folded = Folded([up(), *CANDIDATE, *turns])
    assert folded.rules == [RULE]
    assert folded.state.timeline[1].detail.endswith("Not counted again within 120 s.")


def test_a_mixed_in_interviewer_alone_never_asks_for_a_review():
    turns = [heard for i in range(300) for heard in (*spoken(20 + 10 * i, 3, 1), *spoken(24 + 10 * i, 6, 0))]
    observations = listened([*CANDIDATE, *turns])
    folded = Folded([up(), *observations])
    assert len(folded.rules) > 20
    assert folded.state.peak_score < 25.0
    assert folded.state.review_s is None
    assert Folded([up(), *observations], OFF).rules == []


@pytest.mark.parametrize("voice", [0, None])
def test_one_voice_alone_is_no_second_one(voice):
    folded = Folded([up(), *CANDIDATE, *spoken(20.0, 60, voice)])
    assert folded.rules == []
    assert folded.state.open == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "interviewer"},
        {"overlap_s": 0.4},
        {"silhouette": 0.02},
        {"source": "interviewer-1"},
        {"duration_s": float("nan")},
        {"duration_s": 0.0},
    ],
)
def test_what_may_be_the_interviewer_or_nobody_never_fires(changes):
    given = dict(changes)
    source = given.pop("source", "speech")
    pieces = [VoiceHeard(**{**as_fields(one), "source": source}) for one in spoken(20.0, 30, 1, **given)]
    assert Folded([up(), *CANDIDATE, *pieces]).rules == []


def as_fields(one: VoiceHeard) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def test_a_voice_once_told_to_be_the_interviewers_stays_theirs():
    known = [piece(20.0, 1, role="interviewer"), *spoken(21.0, 30, 1)]
    assert Folded([up(), *CANDIDATE, *known]).rules == []


def test_an_interviewers_voice_without_a_number_is_theirs_all_the_same():
    folded = Folded([up(), *CANDIDATE, *spoken(20.0, 30, None, role="interviewer")])
    assert folded.rules == []
    shown = view(folded.state).measures
    assert shown.voices is not None
    assert [(one.voice, one.role) for one in shown.voices] == [(-1, "interviewer"), (0, "")]
    assert shown.voice_unknown_s == 0.0


@pytest.mark.parametrize("problem", ["lost", "muted", "quiet", "clipped", "noisy", "music"])
def test_sound_that_cannot_be_judged_never_fires(problem):
    bad = [second(t, problems=(problem,)) for t in range(20, 30)]
    folded = Folded([up(), *CANDIDATE, *bad, *spoken(20.0, 12, 1)])
    assert folded.rules == []
    assert folded.add(spoken(31.0, 3, 1)).rules == [RULE]


def test_lost_packets_never_fire():
    poor = [stats(19.0), stats(19.5, packets_received=1100, packets_lost=100)]
    assert Folded([up(), *CANDIDATE, *poor, *spoken(20.0, 12, 1)]).rules == []


def test_before_the_candidates_voice_is_known_nobody_is_another():
    early = [*spoken(0.0, 5), *spoken(5.0, 4, 1), *spoken(9.0, 3)]
    assert Folded([up(), *early]).rules == []


def test_who_spoke_first_is_not_the_candidate_but_who_speaks_most():
    folded = Folded([up(), *spoken(0.0, 12), *spoken(20.0, 40, 1), *spoken(60.0, 3, 1)])
    assert folded.rules == [RULE], "the first voice had most speech when the second one came"
    folded = Folded([up(), *spoken(0.0, 5), *spoken(20.0, 40, 1), second(60.0)])
    assert folded.rules == []
    assert folded.add(spoken(60.0, 3, 0)).rules == [RULE]


def test_what_was_heard_long_ago_counts_no_more():
    far = [piece(t, 1) for t in (30.0, 100.0, 170.0, 240.0)]
    assert Folded([up(), *listened([*CANDIDATE, *far])]).rules == []
    near = [piece(t, 1) for t in (30.0, 45.0, 60.0)]
    assert Folded([up(), *listened([*CANDIDATE, *near])]).rules == [RULE]


def test_a_voice_of_the_future_is_a_broken_clock():
    folded = Folded([up(), *CANDIDATE, *spoken(400.0, 3, 1)])
    assert folded.rules == []
    assert folded.state.tally.rejected == 3
    assert len(folded.state.voices.shares) == 1


def test_a_piece_that_is_told_late_counts_and_one_told_twice_does_not():
    late = [*spoken(20.0, 2, 1), *spoken(26.0, 2, 0)]
    folded = Folded([up(), *CANDIDATE, *late, *late, piece(20.1, 1)])
    assert folded.rules == []
    before = folded.state.voices
    assert folded.add([piece(22.0, 1)]).rules == [RULE]
    assert folded.state.voices.pieces == before.pieces + 1
    assert folded.state.ledger[0].t_s == pytest.approx(27.6), "session time does not go back for it"


def test_another_policy_waits_longer():
    said = [up(), *CANDIDATE, *spoken(20.0, 4, 1)]
    assert Folded(said).rules == [RULE]
    assert Folded(said, EU).rules == []
    assert Folded([*said, *spoken(24.0, 2, 1)], EU).rules == [RULE]


def test_a_voice_told_after_the_end_counts_in_the_shares_alone():
    over = SessionEnded(session="s1", source="api", seq=1, t_s=40.0)
    folded = Folded([up(), *CANDIDATE, over])
    points = len(folded.state.ledger)
    folded.add(spoken(20.0, 5, 1))
    assert len(folded.state.ledger) == points
    assert [share.voice for share in folded.state.voices.shares] == [0, 1]


def test_hours_of_voices_are_no_bigger_than_minutes():
    def size(count: int) -> int:
        many = [piece(20 + 0.8 * i, i % 13) for i in range(count)]
        kept = Folded([up(), *listened([*CANDIDATE, *many])], OFF).state
        assert len(kept.voices.shares) <= MAX_VOICES
        assert len(kept.voices.spans) <= MAX_SPANS
        assert len(kept.voices.others) <= MAX_OTHERS
        return len(state.pack(kept))

    assert size(3000) <= size(300) + 100

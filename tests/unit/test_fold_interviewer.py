"""A source of the interviewer in the fold: time passes, and nothing else of the candidate's session changes."""

from __future__ import annotations

import random

import msgspec
import pytest

from proto.observations import AnyObservation, SessionEnded, SourceLost, SourceStalled, SourceUp
from tests.support.observed import Folded, calm, face, frame, span, stats, up

THEIRS = "interviewer-0f3a9c1e5b7d2468"


def joins(t_s: float) -> SourceUp:
    return SourceUp(session="s1", source=THEIRS, seq=0, t_s=t_s, node="node-1", video=False, audio=True)


def leaves(t_s: float, reason: str = "failed") -> SourceLost:
    return SourceLost(session="s1", source=THEIRS, seq=0, t_s=t_s, reason=reason)  # type: ignore[arg-type]


def reports(t_s: float, **changes: int) -> AnyObservation:
    return stats(t_s, source=THEIRS, **changes)


def test_an_interviewer_alone_makes_no_session_live() -> None:
    folded = Folded([joins(1.0), *(reports(t) for t in span(1.0, 60.0, 2.0)), leaves(60.0)])
    assert folded.state.status == "created"
    assert (folded.rules, folded.alerts, folded.state.sources, folded.state.open) == ([], [], {}, {})
    assert folded.state.tally.losses == 0
    assert folded.state.clock_s == 60.0


def test_an_interviewer_who_goes_takes_nobody_along() -> None:
    folded = Folded([up(), joins(0.5), *calm(0.0, 10.0), leaves(10.0), *calm(10.0, 20.0)])
    assert (folded.state.status, folded.rules, folded.state.timeline) == ("live", [], ())


def test_an_interviewer_who_stays_keeps_nobody_there() -> None:
    gone = SourceLost(session="s1", source="cam", seq=0, t_s=10.0, reason="failed")
    folded = Folded([up(), joins(0.5), *calm(0.0, 10.0), gone])
    assert (folded.state.status, folded.rules) == ("stalled", ["SOURCE_LOST"])
    folded.add([*(reports(t) for t in span(10.0, 30.0, 2.0)), joins(30.0)])
    assert folded.state.status == "stalled"
    folded.add([up(31.0, source="cam2")])
    assert folded.state.status == "live"


def test_a_stall_is_the_candidates() -> None:
    folded = Folded([up(), joins(0.5), *calm(0.0, 10.0)])
    folded.add([SourceStalled(session="s1", source="aggregator", seq=1, t_s=15.0, silent_s=5.0), reports(16.0)])
    assert folded.state.status == "stalled"
    folded.add([frame(17.0, face())])
    assert folded.state.status == "live"


def test_packets_that_the_interviewer_lost_do_not_blur_the_candidates_picture() -> None:
    folded = Folded([up(), joins(0.0), *calm(0.0, 4.0)])
    folded.add([reports(4.0, packets_received=1000, packets_lost=5000)])
    folded.add(frame(t, face(), face(x=0.7)) for t in span(4.2, 8.0))
    assert folded.rules == ["MULTIPLE_FACES"]
    assert folded.state.blind.total_s == 0.0
    same = Folded([up(), *calm(0.0, 4.0), stats(4.0, packets_received=1000, packets_lost=5000)])
    same.add(frame(t, face(), face(x=0.7)) for t in span(4.2, 8.0))
    assert same.rules == [], "as the candidate's own, the same loss does"


def test_a_picture_under_the_interviewers_name_makes_nobody_present() -> None:
    folded = Folded([frame(1.0, face(), source=THEIRS)])
    assert (folded.state.status, folded.state.sources) == ("created", {})


def test_after_the_end_nothing_moves() -> None:
    folded = Folded([up(), *calm(0.0, 2.0), SessionEnded(session="s1", source="api", seq=0, t_s=2.0)])
    folded.add([joins(3.0), reports(5.0), leaves(7.0)])
    assert (folded.state.status, folded.state.clock_s, folded.state.tally.after_end) == ("ended", 2.0, 3)


@pytest.mark.parametrize("seed", range(8))
def test_wherever_it_is_strewn_in_the_session_is_the_same(seed: int) -> None:
    """A session with losses, stalls and a rule that fires, with the interviewer in between at random and without."""
    session: list[AnyObservation] = [
        up(),
        *calm(0.0, 6.0),
        *(frame(t, face(), face(x=0.7)) for t in span(6.0, 9.0)),
        stats(9.0),
        SourceLost(session="s1", source="cam", seq=0, t_s=9.0, reason="failed"),
        up(12.0, source="cam2"),
        *(frame(t, face(), source="cam2") for t in span(12.0, 16.0)),
    ]
    chance = random.Random(seed)
    mixed: list[AnyObservation] = []
    for observation in session:
        mixed.append(observation)
        if chance.random() < 0.3:
            mixed.append(chance.choice([joins, leaves, reports])(observation.t_s))
    with_it, without = Folded(mixed).state, Folded(session).state
    assert len(mixed) > len(session)
    # Alerts and lines are named after their place in the log, which is another with more in it.
    for field in ("status", "sources", "clock_s", "blind", "tally", "timeline", "peak_score"):
        assert msgspec.to_builtins(getattr(with_it, field)) == msgspec.to_builtins(getattr(without, field)), field
    assert [(line.rule, line.t_s) for line in with_it.ledger] == [(line.rule, line.t_s) for line in without.ledger]

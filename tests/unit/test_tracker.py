"""Hold, release and cool-down as arithmetic over moments."""

from __future__ import annotations

from aggregator.risk.tracker import IDLE, Event, Terms, Tracker, step
from proto.policy import Rule

RULE = Rule(severity="high", weight=10, hold_s=1.0, release_s=1.0, cooldown_s=10.0)
TERMS = Terms()
FACT = Terms(at_once=True)


def run(
    verdicts: str,
    rule: Rule = RULE,
    step_s: float = 0.2,
    start_s: float = 0.0,
    tracker: Tracker = IDLE,
    terms: Terms = TERMS,
) -> tuple[Tracker, list[tuple[Event, float]]]:
    """T true, F false, ? could not tell, - no moment at all; every `step_s`."""
    events: list[tuple[Event, float]] = []
    for index, letter in enumerate(verdicts):
        if letter == "-":
            continue
        verdict = {"T": True, "F": False, "?": None}[letter]
        t_s = start_s + index * step_s
        taken = step(tracker, verdict, t_s, rule, terms)
        tracker = taken.tracker
        if taken.event != "none":
            events.append((taken.event, round(taken.end_s if taken.event == "closed" else t_s, 3)))
    return tracker, events


def test_fires_when_held_exactly_long_enough_and_not_a_frame_sooner():
    assert run("TTTTT")[1] == []
    assert run("TTTTTT")[1] == [("fired", 1.0)]


def test_fires_once_however_long_it_lasts():
    assert run("T" * 200)[1] == [("fired", 1.0)]


def test_a_single_moment_never_fires_even_without_a_hold():
    rule = Rule(severity="high", weight=10, hold_s=0.0)
    assert run("T", rule)[1] == []
    assert run("TFTFTFTFTF", rule)[1] == []
    assert run("TT", rule)[1] == [("fired", 0.2)]


def test_a_fact_fires_at_once_and_ends_at_once():
    rule = Rule(severity="info", weight=0, hold_s=0.0)
    assert run("T", rule, terms=FACT)[1] == [("fired", 0.0)]
    tracker, events = run("TTF", rule, step_s=60.0, terms=FACT)
    assert events == [("fired", 0.0), ("closed", 120.0)]
    assert tracker.last_s is None


def test_one_wrong_frame_neither_starts_nor_stops():
    assert run("FFFTFFFF")[1] == []
    fired = run("TTTFTTTTTT")[1]
    assert [event for event, _ in fired] == ["fired"]
    assert 1.0 < fired[0][1] <= 1.6


def test_flicker_accumulates_nothing():
    assert run("TF" * 100)[1] == []


def test_two_frames_against_take_back_what_one_pair_gave():
    tracker, events = run("TTFF")
    assert events == []
    assert tracker.last_s is None


def test_release_ends_the_episode_when_the_condition_went():
    tracker, events = run("T" * 6 + "F" * 6)
    assert events == [("fired", 1.0), ("closed", 1.2)]
    assert not tracker.open
    assert run("T" * 6 + "F" * 5)[0].open


def test_a_short_absence_does_not_end_the_episode():
    tracker, events = run("T" * 6 + "FFFT" * 10)
    assert events == [("fired", 1.0)]
    assert tracker.open


def test_could_not_tell_pauses_and_completes_nothing():
    assert run("TTTTT??????????")[1] == []
    # Five intervals of truth are needed; those around the doubt do not count.
    assert run("TTT???TTT")[1] == []
    assert run("TTT???TTTT")[1] == [("fired", 1.8)]


def test_long_doubt_forgets_what_was_held():
    tracker, events = run("TTTTT" + "?" * 16)
    assert events == []
    assert tracker.last_s is None
    assert run("TTTTT" + "?" * 16 + "TT")[1] == []


def test_long_doubt_closes_an_open_episode_at_the_last_sure_moment():
    assert run("T" * 6 + "?" * 16)[1] == [("fired", 1.0), ("closed", 1.0)]


def test_a_gap_in_the_moments_does_not_count_as_time_held():
    assert run("TTT------TTT")[1] == []
    assert run("TTT------TTTT")[1] == [("fired", 2.4)]


def test_a_long_gap_starts_over():
    tracker, events = run("TTTTT" + "-" * 20 + "T")
    assert events == []
    assert tracker.held_s == 0.0


def test_cool_down_opens_an_episode_without_points_and_counts_once_it_is_over():
    tracker, events = run("T" * 6 + "F" * 6)
    tracker, events = run("T" * 6, tracker=tracker, start_s=3.0)
    assert events == [("opened", 4.0)]
    assert not tracker.scored
    _, events = run("T" * 60, tracker=tracker, start_s=4.2)
    assert events == [("fired", 11.0)]


def test_cool_down_is_measured_between_firings():
    tracker, _ = run("T" * 6 + "F" * 6)
    assert run("T" * 6, tracker=tracker, start_s=10.0)[1] == [("fired", 11.0)]
    assert run("T" * 6, tracker=tracker, start_s=9.8)[1] == [("opened", 10.8)]


def test_an_idle_tracker_costs_nothing():
    for verdict in (False, None):
        assert step(IDLE, verdict, 1.0, RULE, TERMS).tracker is IDLE


def test_so_many_in_a_row_whatever_the_time_between():
    rule = Rule(severity="high", weight=10, hold_s=1.0)
    three = Terms(max_gap_s=6.0, least=3)
    assert run("TT", rule, step_s=4.0, terms=three)[1] == []
    assert run("TTT", rule, step_s=4.0, terms=three)[1] == [("fired", 8.0)]
    assert run("TTFTT", rule, step_s=4.0, terms=three)[1] == []
    # A look that could not tell is neither for it nor against it.
    assert run("TT?T", rule, step_s=2.0, terms=three)[1] == [("fired", 6.0)]


def test_what_another_rule_told_is_not_told_again():
    told = Terms(told_s=0.0)
    assert run("T" * 6, start_s=3.0, terms=told)[1] == [("opened", 4.0)]
    assert run("T" * 6, start_s=9.0, terms=told)[1] == [("fired", 10.0)]

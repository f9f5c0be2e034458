"""When a condition has lasted long enough to fire, and been gone long enough to end: hold, release, cool-down.

A condition is judged at moments (frames, seconds of sound) as True, False or None ("could not tell"). Only the time
between two moments that agree is counted, so a detector that flickers between frames accumulates nothing, and one wrong
frame neither starts nor ends anything. None pauses; a None or a silence of `FORGET_S` forgets what was held.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from proto.policy import Rule

FORGET_S = 3.0
"""So long without a verdict, and what was held before says nothing about now."""

MAX_GAP_S = 1.0
"""Two moments further apart than this do not vouch for the time between them."""

_EPSILON_S = 1e-6

Event = Literal["none", "opened", "fired", "closed"]


class Tracker(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where one rule stands. `held_s` and `gone_s` are time counted for and against it.

    `last_s` is the last moment with a verdict (None: nothing is going on); `run` counts the moments in a row that
    were for it; `scored` says that the open episode has added its line to the ledger, `fired_s` and `fired` when the
    rule last did and how often.
    """

    start_s: float = 0.0
    last_s: float | None = None
    seen: bool = False
    paused: bool = False
    held_s: float = 0.0
    gone_s: float = 0.0
    gone_since_s: float = 0.0
    run: int = 0
    open: bool = False
    scored: bool = False
    fired_s: float | None = None
    fired: int = 0


class Step(NamedTuple):
    """The tracker after a verdict, and what happened: an episode `opened` without points (cool-down), it `fired`,
    or it `closed` at `end_s`."""

    tracker: Tracker
    event: Event = "none"
    end_s: float = 0.0


IDLE = Tracker()


class Terms(NamedTuple):
    """How a rule is judged beside its numbers. `at_once` is for facts that need no second look (a lost connection);
    everything else is counted over time, so over two moments at least, and fires only with `least` of them in a row.
    Two moments further apart than `max_gap_s` do not vouch for the time between them. `told_s` is when another rule
    last fired for the same thing: its firing counts for the cool-down. `held`: the condition has seen to the hold
    itself, so that it holds as soon as it is true.
    """

    at_once: bool = False
    max_gap_s: float = MAX_GAP_S
    least: int = 1
    told_s: float | None = None
    held: bool = False


def step(tracker: Tracker, verdict: bool | None, t_s: float, rule: Rule, terms: Terms) -> Step:
    """Judge a rule at `t_s` (session seconds, later than every moment before)."""
    if tracker.last_s is None:
        return _begin(tracker, t_s, rule, terms) if verdict else Step(tracker)
    max_gap_s = terms.max_gap_s
    if terms.at_once:
        return end(tracker, t_s) if verdict is False else Step(tracker)
    gap_s = t_s - tracker.last_s
    if gap_s >= max(FORGET_S, 2 * max_gap_s):
        closed = end(tracker, sure_until_s(tracker))
        if not verdict:
            return closed
        return Step(_begin(closed.tracker, t_s, rule, terms).tracker, closed.event, closed.end_s)
    if verdict is None:
        return Step(tracker if tracker.paused else msgspec.structs.replace(tracker, paused=True))
    counted_s = gap_s if verdict is tracker.seen and not tracker.paused and gap_s <= max_gap_s else 0.0
    return _holds(tracker, t_s, counted_s, rule, terms) if verdict else _fails(tracker, t_s, counted_s, rule)


def sure_until_s(tracker: Tracker) -> float:
    """When what is going on was last seen to go on; one that was gone already ended when it went."""
    return tracker.last_s if tracker.seen and tracker.last_s is not None else tracker.gone_since_s


def end(tracker: Tracker, end_s: float) -> Step:
    """Close whatever is open: the session ended, or its source fell silent."""
    idle = IDLE if tracker.fired_s is None else Tracker(fired_s=tracker.fired_s, fired=tracker.fired)
    return Step(idle, "closed", end_s) if tracker.open else Step(idle)


def _begin(tracker: Tracker, t_s: float, rule: Rule, terms: Terms) -> Step:
    begun = Tracker(start_s=t_s, last_s=t_s, seen=True, run=1, fired_s=tracker.fired_s, fired=tracker.fired)
    return _fire(begun, t_s, rule, terms)


def _holds(tracker: Tracker, t_s: float, counted_s: float, rule: Rule, terms: Terms) -> Step:
    held = msgspec.structs.replace(
        tracker,
        last_s=t_s,
        seen=True,
        paused=False,
        held_s=tracker.held_s + counted_s,
        gone_s=0.0,
        run=tracker.run + 1,
    )
    return Step(held) if held.scored else _fire(held, t_s, rule, terms)


def _fails(tracker: Tracker, t_s: float, counted_s: float, rule: Rule) -> Step:
    since_s = t_s if tracker.seen else tracker.gone_since_s
    if tracker.open:
        gone_s = tracker.gone_s + counted_s
        if gone_s >= rule.release_s - _EPSILON_S:
            return end(tracker, since_s)
        held_s = tracker.held_s
    else:
        gone_s = 0.0
        held_s = tracker.held_s - counted_s
        if held_s <= _EPSILON_S:
            return end(tracker, t_s)
    return Step(
        msgspec.structs.replace(
            tracker, last_s=t_s, seen=False, paused=False, held_s=held_s, gone_s=gone_s, gone_since_s=since_s, run=0
        )
    )


def _fire(tracker: Tracker, t_s: float, rule: Rule, terms: Terms) -> Step:
    long_enough = terms.held or (tracker.held_s > _EPSILON_S and tracker.held_s >= rule.hold_s - _EPSILON_S)
    if not terms.at_once and (tracker.run < terms.least or not long_enough):
        return Step(tracker)
    told_s = max((fired_s for fired_s in (tracker.fired_s, terms.told_s) if fired_s is not None), default=None)
    if told_s is not None and t_s - told_s < rule.cooldown_s - _EPSILON_S:
        return Step(tracker) if tracker.open else Step(msgspec.structs.replace(tracker, open=True), "opened")
    fired = msgspec.structs.replace(tracker, open=True, scored=True, fired_s=t_s, fired=tracker.fired + 1)
    return Step(fired, "fired")

"""Two folds of one log, side by side: what another policy would have said."""

from __future__ import annotations

import msgspec

from aggregator.risk import ledger
from aggregator.risk.state import State
from aggregator.risk.view import view
from proto.views import LedgerLine, Level

SAME_EPISODE_S = 10.0


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy says of a session."""

    policy: str
    policy_hash: str
    state_hash: str
    score: float
    peak_score: float
    level: Level
    review_recommended: bool
    lines: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger line that only one policy has (`only_then`, `only_now`), or that weighs otherwise (`changed`)."""

    kind: str
    rule: str
    then: LedgerLine | None
    now: LedgerLine | None


def verdict(state: State, state_hash: str) -> Verdict:
    """A state in one line."""
    seen = view(state)
    return Verdict(
        policy=seen.policy,
        policy_hash=seen.policy_hash,
        state_hash=state_hash,
        score=ledger.score(state.ledger, state.clock_s),
        peak_score=state.peak_score,
        level=seen.level,
        review_recommended=seen.review_recommended,
        lines=len(state.ledger),
    )


def differences(then: tuple[LedgerLine, ...], now: tuple[LedgerLine, ...]) -> tuple[Difference, ...]:
    """Compare two ledgers of one log, in order of time.

    Lines of one rule that lie at most `SAME_EPISODE_S` apart are one line that changed: a longer hold moves a line, it
    does not make another one.
    """
    found: list[Difference] = []
    left = list(now)
    for line in then:
        match = next((other for other in left if other.rule == line.rule and _same(line, other)), None)
        if match is None:
            found.append(Difference(kind="only_then", rule=line.rule, then=line, now=None))
            continue
        left.remove(match)
        if match != line:
            found.append(Difference(kind="changed", rule=line.rule, then=line, now=match))
    found += [Difference(kind="only_now", rule=line.rule, then=None, now=line) for line in left]
    return tuple(sorted(found, key=_order))


def _same(line: LedgerLine, other: LedgerLine) -> bool:
    return abs(line.t_s - other.t_s) <= SAME_EPISODE_S


def _order(difference: Difference) -> tuple[float, str]:
    line = difference.then or difference.now
    assert line is not None
    return (line.t_s, line.rule)

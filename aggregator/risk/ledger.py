"""The ledger: every change of the score is a line, and the score is the decayed sum of the lines, nothing else."""

from __future__ import annotations

import math

from proto.policy import Policy
from proto.views import LedgerLine, Level

MAX_LINES = 256
MAX_SCORE = 100.0


def worth(line: LedgerLine, clock_s: float) -> float:
    """Points a line still counts at `clock_s`: weight halved every half-life, and never more than the weight."""
    age_s = clock_s - line.t_s
    if age_s <= 0:
        return line.weight
    halvings = age_s / line.half_life_s
    return line.weight * 0.5**halvings if halvings < 64 else 0.0


def score(lines: tuple[LedgerLine, ...], clock_s: float) -> float:
    """0-100: the sum of what the lines are worth at `clock_s`, capped."""
    # fsum, because plain sum() rounds differently from Python 3.12 on.
    return min(MAX_SCORE, math.fsum(worth(line, clock_s) for line in lines))


def add(lines: tuple[LedgerLine, ...], line: LedgerLine, clock_s: float) -> tuple[tuple[LedgerLine, ...], int]:
    """Lines with `line` at the end, and how many were dropped for it (0 or 1).

    Above `MAX_LINES` the line worth least at `clock_s` goes, the oldest first: long decayed in any real session.
    """
    if len(lines) < MAX_LINES:
        return (*lines, line), 0
    least = min(range(len(lines)), key=lambda i: (worth(lines[i], clock_s), i))
    return (*lines[:least], *lines[least + 1 :], line), 1


def level(points: float, policy: Policy) -> Level:
    """Name of a score under a policy's lower bounds."""
    if points >= policy.critical_at:
        return "critical"
    if points >= policy.high_at:
        return "high"
    return "medium" if points >= policy.medium_at else "low"

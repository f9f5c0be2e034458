"""The candidate's expression, smoothed. Folded only where the policy allows emotion; else nothing of it is kept.

Single frames flicker, so what is shown follows them with a time constant: a first-order lag, in its implicit form
`alpha = dt / (tau + dt)`, which needs no exponential and gives the same bits on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

NAMES = ("HAPPY", "CALM", "CONFUSED", "SURPRISED", "SAD", "ANGRY", "DISGUSTED", "FEAR")
TASK = "expression"
TAU_S = 2.0
STALE_S = 10.0
"""An expression seen longer ago than this says nothing about now."""

SUM_SLACK_PCT = 1.0
MAX_MODEL_CHARS = 64

Percentages = tuple[float, ...]
"""In the order of `NAMES`."""


class Expression(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`now` is the smoothed expression at `last_s`, `total` the sum of the `looks` that were folded in, in percent.

    `model` is the newest look's; "geometry" is an estimate without a model.
    """

    now: Percentages
    last_s: float
    total: Percentages
    looks: int = 1
    model: str = ""


def checked(percentages: Mapping[str, float]) -> Percentages | None:
    """Percentages of the eight expressions that sum to 100; None for anything else that came over the wire."""
    if percentages.keys() != frozenset(NAMES):
        return None
    values = tuple(percentages[name] for name in NAMES)
    if not all(0.0 <= value <= 100.0 for value in values):
        return None
    total = sum(values)
    if abs(total - 100.0) > SUM_SLACK_PCT:
        return None
    return tuple(100.0 * value / total for value in values)


def follow(expression: Expression | None, seen: Percentages, model: str, t_s: float) -> Expression:
    """Expression after a look at `t_s`, later than every look before."""
    model = model[:MAX_MODEL_CHARS]
    if expression is None:
        return Expression(now=seen, last_s=t_s, total=seen, model=model)
    dt_s = t_s - expression.last_s
    alpha = 1.0 if not 0.0 <= dt_s <= STALE_S else dt_s / (TAU_S + dt_s)
    return Expression(
        now=tuple(old + alpha * (new - old) for old, new in zip(expression.now, seen, strict=True)),
        last_s=t_s,
        total=tuple(old + new for old, new in zip(expression.total, seen, strict=True)),
        looks=expression.looks + 1,
        model=model,
    )


def shown(values: Percentages) -> dict[str, float]:
    """Percentages with one decimal that still sum to 100: what rounding lost goes to the largest."""
    rounded = [round(value, 1) for value in values]
    largest = max(range(len(rounded)), key=lambda index: rounded[index])
    rounded[largest] = round(rounded[largest] + 100.0 - sum(rounded), 1)
    return dict(zip(NAMES, rounded, strict=True))


def shown_now(expression: Expression | None, clock_s: float) -> dict[str, float] | None:
    """The smoothed expression, or None where none was seen lately."""
    if expression is None or clock_s - expression.last_s > STALE_S:
        return None
    return shown(expression.now)


def shown_mean(expression: Expression | None) -> dict[str, float] | None:
    """The mean over all looks of the session."""
    if expression is None:
        return None
    return shown(tuple(total / expression.looks for total in expression.total))

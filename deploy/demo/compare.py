"""The script beside what was detected. Pure: times and findings in, a verdict per act out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.demo.script import Act, Line, Script
from proto.views import Episode, LedgerLine

SLACK_S = 3.0
"""A rule may wait that long after the act is over: its condition has to hold first."""
EARLY_S = 0.5


@dataclass(frozen=True)
class Finding:
    """What became of one act; `said_s` is the script's second at which Candor said what was expected, `besides` are the
    other rules that fired and are true of it.
    """

    act: Act
    said_s: float | None
    besides: tuple[str, ...] = ()

    @property
    def missed(self) -> bool:
        return self.act.expect is not None and self.said_s is None

    @property
    def delay_s(self) -> float | None:
        return None if self.said_s is None else self.said_s - self.act.start_s


@dataclass(frozen=True)
class Comparison:
    """`unexpected` are ledger lines with points that no act accounts for."""

    findings: tuple[Finding, ...]
    unexpected: tuple[LedgerLine, ...]


@dataclass(frozen=True)
class Heard:
    """A sentence of the script and what was heard from its beginning to that of the next."""

    line: Line
    text: str


def compare(script: Script, ledger: Sequence[LedgerLine], timeline: Sequence[Episode], offset_s: float) -> Comparison:
    """`offset_s` is the session second at which the script began."""
    said = [(entry.rule, entry.t_s - offset_s) for entry in ledger]
    said += [(episode.kind, episode.start_s - offset_s) for episode in timeline if episode.kind == "COULD_NOT_TELL"]
    findings = tuple(Finding(act, _first(act, said), _besides(act, said)) for act in script.acts)
    unexpected = tuple(
        entry for entry in ledger if entry.weight > 0 and not _accounted(script, entry.rule, entry.t_s - offset_s)
    )
    return Comparison(findings, unexpected)


def hear(script: Script, words: Sequence[tuple[float, str]], offset_s: float) -> tuple[Heard, ...]:
    """Words (session second, text) put to the sentences they were spoken in."""
    starts = [line.start_s for line in script.lines]
    result = []
    for index, line in enumerate(script.lines):
        begin = line.start_s - EARLY_S
        end = starts[index + 1] - EARLY_S if index + 1 < len(starts) else float("inf")
        text = " ".join(word.strip() for at_s, word in words if begin <= at_s - offset_s < end)
        result.append(Heard(line, text))
    return tuple(result)


def _first(act: Act, said: Sequence[tuple[str, float]]) -> float | None:
    times = [at_s for name, at_s in said if name == act.expect and _within(act, at_s)]
    return min(times, default=None)


def _besides(act: Act, said: Sequence[tuple[str, float]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name, at_s in said if name in act.also and _within(act, at_s)))


def _accounted(script: Script, rule: str, at_s: float) -> bool:
    return any(rule in (act.expect, *act.also) and _within(act, at_s) for act in script.acts)


def _within(act: Act, at_s: float) -> bool:
    return act.start_s - EARLY_S <= at_s <= act.end_s + SLACK_S

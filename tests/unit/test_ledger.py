"""The score is the decayed sum of the ledger, and nothing else."""

from __future__ import annotations

import pytest

from aggregator.risk import ledger
from proto.policy import Policy
from proto.views import LedgerLine


def line(t_s: float, weight: float = 20.0, half_life_s: float = 60.0, seq: int = 1) -> LedgerLine:
    return LedgerLine(
        seq=seq, t_s=t_s, rule="R", severity="high", weight=weight, half_life_s=half_life_s, why="because"
    )


def test_points_halve_every_half_life():
    assert ledger.worth(line(0.0), 0.0) == 20.0
    assert ledger.worth(line(0.0), 60.0) == pytest.approx(10.0)
    assert ledger.worth(line(0.0), 180.0) == pytest.approx(2.5)


def test_a_line_is_never_worth_more_than_its_weight():
    assert ledger.worth(line(100.0), 50.0) == 20.0


def test_a_very_old_line_is_worth_nothing():
    assert ledger.worth(line(0.0), 1e9) == 0.0


def test_score_adds_up_and_is_capped():
    assert ledger.score((), 0.0) == 0.0
    assert ledger.score((line(0.0), line(60.0)), 60.0) == pytest.approx(30.0)
    assert ledger.score(tuple(line(0.0, 30.0) for _ in range(10)), 0.0) == 100.0


def test_the_oldest_decayed_line_makes_room():
    lines: tuple[LedgerLine, ...] = ()
    for number in range(ledger.MAX_LINES):
        lines, dropped = ledger.add(lines, line(number * 10.0, seq=number), number * 10.0)
        assert dropped == 0
    lines, dropped = ledger.add(lines, line(1e5, seq=9999), 1e5)
    assert dropped == 1
    assert len(lines) == ledger.MAX_LINES
    assert lines[0].seq == 1
    assert lines[-1].seq == 9999


def test_a_line_that_still_counts_stays_when_lighter_ones_can_go():
    lines: tuple[LedgerLine, ...] = (line(0.0, 30.0, 1e6, seq=0),)
    for number in range(1, ledger.MAX_LINES + 50):
        lines, _ = ledger.add(lines, line(float(number), 0.0, seq=number), float(number))
    assert lines[0].seq == 0


@pytest.mark.parametrize(
    ("points", "level"),
    [
        (0.0, "low"),
        (19.99, "low"),
        (20.0, "medium"),
        (50.0, "high"),
        (74.9, "high"),
        (75.0, "critical"),
        (100.0, "critical"),
    ],
)
def test_levels_are_lower_bounds(points: float, level: str):
    assert ledger.level(points, Policy(name="p")) == level

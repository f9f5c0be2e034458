"""How long workers hesitate, as arithmetic."""

from __future__ import annotations

from inference.speech.bidding import SATURATED_S, delay_s


def test_an_idle_worker_does_not_hesitate() -> None:
    assert delay_s(0, 20, 0.0, 0.0) == 0.0


def test_who_has_more_sessions_hesitates_longer() -> None:
    delays = [delay_s(held, 20, 0.0, 0.0) for held in range(21)]
    assert delays == sorted(set(delays))


def test_who_decodes_more_hesitates_longer() -> None:
    delays = [delay_s(4, 20, factor / 10, 0.0) for factor in range(12)]
    assert delays == sorted(delays)
    assert delays[0] < delays[5]


def test_a_saturated_worker_lets_every_other_go_first() -> None:
    """Even one that has all but its last place taken and decodes three quarters of the time."""
    busiest = delay_s(19, 20, 0.75, 4.0)
    assert delay_s(1, 20, 0.95, 0.0) > busiest
    assert delay_s(1, 20, 0.1, 8.0) > busiest


def test_a_saturated_worker_takes_what_nobody_else_takes() -> None:
    assert delay_s(20, 20, 5.0, 900.0) <= SATURATED_S + 1.0

"""How often to decode, as arithmetic."""

from __future__ import annotations

import pytest

from inference.speech.cadence import Cadence


def after(cost_s: float, turns: int = 50) -> Cadence:
    cadence = Cadence(1.0, 4.0)
    for _ in range(turns):
        cadence.note(cost_s)
    return cadence


def test_a_worker_that_keeps_up_decodes_every_step() -> None:
    assert after(3.0).step_s(behind_s=1.5) == 1.0


def test_a_worker_behind_with_cheap_decodes_catches_up_at_the_same_rate() -> None:
    assert after(0.2).step_s(behind_s=300.0) == 1.0


def test_a_worker_behind_with_dear_decodes_decodes_less_often() -> None:
    assert after(1.2).step_s(behind_s=20.0) == pytest.approx(2.4)
    assert after(30.0).step_s(behind_s=20.0) == 4.0


def test_one_slow_decode_changes_little() -> None:
    cadence = after(0.2)
    cadence.note(1.2)
    assert cadence.step_s(behind_s=20.0) == pytest.approx(1.0)

"""How often to decode, as arithmetic."""

from __future__ import annotations

import pytest

from inference.speech.cadence import PARTIAL_SHARE, Cadence, Load


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


def loaded(sessions: int, cost_s: float, decoders: int = 1, batch: int = 1) -> Load:
    load = Load(decoders)
    for number in range(sessions):
        load.speaks(f"s{number}")
    for turn in range(100):
        load.note(turn * cost_s, cost_s, batch)
    return load


def test_few_speakers_are_decoded_at_every_step() -> None:
    step_s = Cadence(1.0, 6.0).step_s(behind_s=0.0, load_step_s=loaded(2, 0.2).step_s())
    assert step_s == 1.0


def test_sixteen_speakers_leave_the_decoder_time_for_the_ends_of_utterances() -> None:
    """Decodes of 0.25 s: every second of each session would be four times what one decoder can do."""
    step_s = Cadence(1.0, 6.0).step_s(behind_s=0.0, load_step_s=loaded(16, 0.25).step_s())
    assert 16 * 0.25 / step_s == pytest.approx(PARTIAL_SHARE)


def test_the_load_is_shared_by_decoders_and_by_batches() -> None:
    assert loaded(16, 0.25, decoders=2).step_s() == pytest.approx(loaded(8, 0.25).step_s())
    assert loaded(16, 0.25, batch=8).step_s() == pytest.approx(loaded(2, 0.25).step_s())


def test_who_is_silent_costs_nothing() -> None:
    load = loaded(16, 0.25)
    for number in range(1, 16):
        load.is_silent(f"s{number}")
    load.is_silent("never heard of")
    assert load.speaking == 1
    assert load.step_s() < 1.0


def test_the_longest_step_holds_whatever_the_load() -> None:
    assert Cadence(1.0, 6.0).step_s(behind_s=60.0, load_step_s=loaded(100, 0.5).step_s()) == 6.0


def test_nothing_decoded_is_no_load() -> None:
    load = Load()
    load.speaks("s")
    assert load.step_s() == 0.0
    assert load.realtime_factor(100.0) == 0.0


def test_the_real_time_factor_is_the_share_of_time_spent_decoding() -> None:
    load = Load(decoders=2)
    for second in range(1, 21):
        load.note(float(second), 0.5, 1)
    assert load.realtime_factor(20.0) == pytest.approx(0.25)
    assert load.realtime_factor(25.0) == pytest.approx(0.125)
    assert load.realtime_factor(40.0) == 0.0


def test_a_decode_longer_than_the_time_looked_at_counts_for_what_lies_in_it() -> None:
    load = Load()
    load.note(60.0, 60.0, 1)
    assert load.realtime_factor(60.0) == pytest.approx(1.0)


@pytest.mark.parametrize("sessions", [1, 4, 16, 20])
def test_a_worker_in_the_model_of_a_queue_stays_near_real_time(sessions: int) -> None:
    """Speakers without a pause, decodes of 0.25 s: partials take what the share allows, and nobody lags."""
    cost_s, load, now_s = 0.25, Load(), 0.0
    cadence = Cadence(1.0, 20.0)
    heard_s = [0.0] * sessions
    for number in range(sessions):
        load.speaks(f"s{number}")
    spent_s = 0.0
    while now_s < 300.0:
        step_s = cadence.step_s(0.0, load.step_s())
        waiting = [number for number in range(sessions) if now_s - heard_s[number] >= step_s]
        if not waiting:
            now_s += 0.05
            continue
        first = min(waiting, key=lambda number: heard_s[number])
        heard_s[first] = now_s
        now_s += cost_s
        spent_s += cost_s
        load.note(now_s, cost_s, 1)
    assert spent_s / now_s <= PARTIAL_SHARE + 0.02
    assert max(now_s - at_s for at_s in heard_s) <= 1.5 * max(1.0, load.step_s())

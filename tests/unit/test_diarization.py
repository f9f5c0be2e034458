"""Diarization error as arithmetic."""

from __future__ import annotations

import math

import pytest

from bench.diarization import MAX_VOICES, Turn, errors, read_rttm

TRUTH = [Turn(0.0, 4.0, "a"), Turn(4.0, 10.0, "b")]


def test_the_same_by_other_names_is_no_error() -> None:
    found = errors(TRUTH, [Turn(4.0, 10.0, 0), Turn(0.0, 4.0, 7)])
    assert found.rate == 0.0
    assert found.spoken_s == pytest.approx(10.0)


def test_one_voice_for_two_confuses_the_shorter() -> None:
    found = errors(TRUTH, [Turn(0.0, 10.0, 0)])
    assert found == pytest.approx((10.0, 0.0, 0.0, 4.0))
    assert found.rate == pytest.approx(0.4)


def test_two_voices_for_one() -> None:
    found = errors([Turn(0.0, 10.0, "a")], [Turn(0.0, 3.0, 0), Turn(3.0, 10.0, 1)])
    assert found == pytest.approx((10.0, 0.0, 0.0, 3.0))


def test_missed_and_made_up() -> None:
    found = errors(TRUTH, [Turn(1.0, 4.0, 0), Turn(4.0, 12.0, 1)])
    assert found == pytest.approx((10.0, 1.0, 2.0, 0.0))
    assert found.rate == pytest.approx(0.3)


def test_two_at_once_count_twice() -> None:
    truth = [Turn(0.0, 4.0, "a"), Turn(2.0, 4.0, "b")]
    found = errors(truth, [Turn(0.0, 4.0, 0)])
    assert found == pytest.approx((6.0, 2.0, 0.0, 0.0))


def test_the_collar_forgives_edges_only() -> None:
    heard = [Turn(0.2, 4.2, 0), Turn(4.2, 9.8, 1)]
    assert errors(TRUTH, heard).rate == pytest.approx((0.2 + 0.2 + 0.2) / 10.0)
    within = errors(TRUTH, heard, collar_s=0.25)
    assert within.rate == 0.0
    # 0.25 s at the beginning and the end, 0.5 s around the change.
    assert within.spoken_s == pytest.approx(9.0)


def test_the_mapping_is_the_best_of_all_not_the_first_that_fits() -> None:
    # Voice 0 shares most with a (3 s), but giving it to b (2 s) lets voice 1 have a (3 s).
    truth = [Turn(0.0, 6.0, "a"), Turn(6.0, 8.0, "b")]
    heard = [Turn(0.0, 3.0, 0), Turn(3.0, 6.0, 1), Turn(6.0, 8.0, 0)]
    assert errors(truth, heard).confused_s == pytest.approx(3.0)


def test_nothing_said_has_no_rate() -> None:
    assert math.isnan(errors([], []).rate)
    assert errors([], [Turn(0.0, 1.0, 0)]).false_s == pytest.approx(1.0)
    assert errors(TRUTH, []).rate == pytest.approx(1.0)


def test_too_many_to_map() -> None:
    with pytest.raises(ValueError, match="more than"):
        errors([Turn(i, i + 1.0, i) for i in range(MAX_VOICES + 1)], [])


def test_rttm() -> None:
    text = "SPEAKER s 1 6.690 0.430 <NA> <NA> speaker90 <NA> <NA>\n\nNON-SPEECH s 1 0 1 <NA> <NA> x <NA> <NA>\n"
    assert read_rttm(text) == [Turn(6.69, pytest.approx(7.12), "speaker90")]

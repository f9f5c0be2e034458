"""Packets into order, and losses said aloud."""

from __future__ import annotations

import random

import pytest

from ingest.reorder import Lost, Reorder


def feed(order: Reorder[int], numbers: list[int], step_s: float = 0.01) -> list[int | Lost]:
    out: list[int | Lost] = []
    for index, number in enumerate(numbers):
        out += order.add(number % 0x10000, number, index * step_s)
    return out


def test_in_order_passes_at_once_across_the_wrap() -> None:
    assert feed(Reorder(8, 0.1), list(range(65_530, 65_550))) == list(range(65_530, 65_550))


def test_overtaken_packet_is_put_back() -> None:
    order: Reorder[int] = Reorder(8, 0.1)
    assert feed(order, [0, 2, 3, 1, 4]) == [0, 1, 2, 3, 4]
    assert order.lost == 0


def test_hole_becomes_a_loss_after_the_wait() -> None:
    order: Reorder[int] = Reorder(100, 0.05)
    out = feed(order, [0, 1, 4, 5, 6, 7, 8, 9, 10])
    assert out == [0, 1, Lost(2), 4, 5, 6, 7, 8, 9, 10]
    assert order.lost == 2


def test_hole_becomes_a_loss_when_too_much_is_held() -> None:
    out = feed(Reorder(4, 100.0), [0, 2, 3, 4, 5, 6])
    assert out == [0, Lost(1), 2, 3, 4, 5, 6]


def test_late_packet_and_duplicate_are_left_out() -> None:
    order: Reorder[int] = Reorder(4, 0.02)
    assert feed(order, [0, 2, 3, 4, 5, 1, 5, 6]) == [0, Lost(1), 2, 3, 4, 5, 6]
    assert order.late == 2


def test_new_numbering_is_a_restart() -> None:
    out = feed(Reorder(8, 0.1), [10, 11, 30_000, 30_001])
    assert out == [10, 11, Lost(0, restart=True), 30_000, 30_001]


def test_flush_gives_what_is_held() -> None:
    order: Reorder[int] = Reorder(8, 10)
    feed(order, [0, 2, 5])
    assert order.flush() == [Lost(1), 2, Lost(2), 5]


@pytest.mark.parametrize("seed", range(20))
def test_every_packet_once_in_order_or_lost(seed: int) -> None:
    """Any network: what comes out is increasing, and packets plus losses account for every number."""
    chance = random.Random(seed)
    sent = list(range(60_000, 62_000))
    arriving = sorted((number + chance.uniform(0, 6), number) for number in sent if chance.random() > 0.05)
    order: Reorder[int] = Reorder(64, 0.1)
    out = feed(order, [sent[0], *(number for _, number in arriving if number != sent[0])]) + order.flush()
    expected = sent[0]
    for item in out:
        if isinstance(item, Lost):
            expected += item.packets
        else:
            assert item == expected
            expected += 1
    assert not order._held

"""Boxes into things: fractions, labels, partial, one label for one thing."""

from __future__ import annotations

import numpy as np
import pytest

from inference.signals.objects import EDGE_SHARE, PARTIAL_BELOW, seen

LABELS = ("person", "Cell_Phone", "remote", "book")
WIDTH_PX, HEIGHT_PX = 640, 480


def raw(*things: tuple[float, float, float, float, float, int]) -> np.ndarray:
    return np.array(things, dtype=np.float32).reshape(-1, 6)


def look(*things: tuple[float, float, float, float, float, int]):
    return seen(raw(*things), LABELS, WIDTH_PX, HEIGHT_PX)


def test_nothing_is_nothing() -> None:
    assert look() == ()


def test_a_box_in_pixels_becomes_fractions_and_a_label_in_plain_words() -> None:
    (phone,) = look((64, 120, 128, 240, 0.75, 1))
    assert (phone.label, phone.score, phone.partial) == ("cell phone", 0.75, False)
    assert (phone.x, phone.y, phone.width, phone.height) == pytest.approx((0.1, 0.25, 0.1, 0.25))


def test_every_class_passes() -> None:
    labels = [
        thing.label for thing in look((64, 60, 600, 400, 0.9, 0), (10, 10, 40, 40, 0.8, 3), (300, 9, 330, 60, 0.7, 2))
    ]
    assert labels == ["person", "book", "remote"]


def test_a_low_score_is_partial() -> None:
    def partial(score: float) -> bool:
        return look((64, 120, 128, 240, score, 1))[0].partial

    assert (partial(PARTIAL_BELOW + 0.01), partial(PARTIAL_BELOW - 0.01)) == (False, True)


@pytest.mark.parametrize("side", range(4))
def test_what_the_edge_cuts_off_is_partial(side: int) -> None:
    near_px = EDGE_SHARE * (WIDTH_PX if side % 2 == 0 else HEIGHT_PX) * 0.9
    whole = [64.0, 120.0, 128.0, 240.0]
    edge = (0.0, 0.0, float(WIDTH_PX), float(HEIGHT_PX))[side]
    cut = [*whole[:side], edge + (near_px if side < 2 else -near_px), *whole[side + 1 :]]
    inside = [*whole[:side], edge + (near_px if side < 2 else -near_px) * 1.5, *whole[side + 1 :]]
    assert look((*cut, 0.9, 1))[0].partial
    assert not look((*inside, 0.9, 1))[0].partial


def test_boxes_end_at_the_picture() -> None:
    (phone,) = look((-50, -10, 700, 500, 0.9, 1))
    assert (phone.x, phone.y, phone.width, phone.height) == (0.0, 0.0, 1.0, 1.0)
    assert phone.partial
    assert look((-50, 10, -5, 100, 0.9, 1), (10, 490, 100, 600, 0.9, 1), (30, 30, 30, 60, 0.9, 1)) == ()


def test_one_thing_has_the_better_of_two_labels() -> None:
    assert [thing.label for thing in look((100, 100, 160, 200, 0.6, 1), (102, 100, 160, 198, 0.5, 2))] == ["cell phone"]
    assert [thing.label for thing in look((100, 100, 160, 200, 0.6, 2), (102, 100, 160, 198, 0.5, 1))] == ["remote"]


def test_two_things_near_each_other_stay_two() -> None:
    two_labels = look((100, 100, 160, 200, 0.6, 1), (140, 100, 200, 200, 0.5, 2))
    two_phones = look((100, 100, 160, 200, 0.6, 1), (102, 100, 160, 198, 0.5, 1))
    held_before_all_of_a_person = look((100, 100, 160, 200, 0.6, 0), (102, 100, 160, 198, 0.5, 1))
    assert [len(things) for things in (two_labels, two_phones, held_before_all_of_a_person)] == [2, 2, 2]

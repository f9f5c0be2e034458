"""Which lines are text, and what is said of them."""

from __future__ import annotations

import msgspec
import pytest

from inference.signals.text import MAX_REGIONS, MAX_TEXT_CHARS, readable, regions
from proto.observations import TextRegion

BOX = [[64.0, 48.0], [128.0, 60.0], [124.0, 96.0], [60.0, 90.0]]


def look(*lines: tuple[str, float], keep_text: bool = False, box: list[list[float]] = BOX) -> tuple[TextRegion, ...]:
    return regions(
        [(box, text, confidence) for text, confidence in lines], 640, 480, min_confidence=0.8, keep_text=keep_text
    )


@pytest.mark.parametrize("text", ["Passport", "UTO", "12 AUGUST/AOUT 74", "護照號碼", "Имя", "L898902C36UT0", "№ 1234"])
def test_words_and_numbers_are_readable(text: str) -> None:
    assert readable(text)


@pytest.mark.parametrize("text", ["", " ", "P", "B0", "a b", "...", "|||||", "ooooo", "O o O", "a<<<<<b<<<<c", "- - -"])
def test_letters_and_patterns_are_not(text: str) -> None:
    assert not readable(text)


def test_a_line_is_a_box_a_confidence_and_a_length() -> None:
    (region,) = look(("Given names", 0.93))
    assert (region.x, region.y) == pytest.approx((60 / 640, 48 / 480))
    assert (region.width, region.height) == pytest.approx((68 / 640, 48 / 480))
    assert (region.confidence, region.characters) == (0.93, 10)


def test_boxes_end_at_the_picture() -> None:
    (region,) = look(("Given names", 0.9), box=[[-20, -9], [700, -9], [700, 500], [-20, 500]])
    assert (region.x, region.y, region.width, region.height) == (0.0, 0.0, 1.0, 1.0)


def test_only_what_is_sure_counts() -> None:
    assert [region.confidence for region in look(("ERIKSSON", 0.79), ("ANNA", 0.8), ("ANNA", 1.0))] == [0.8, 1.0]


def test_content_stays_here_unless_it_is_kept() -> None:
    assert b"ERIKSSON" not in msgspec.msgpack.encode(look(("ERIKSSON", 0.9)))
    assert look(("ERIKSSON", 0.9))[0].text == ""
    assert look(("ERIKSSON", 0.9), keep_text=True)[0].text == "ERIKSSON"


def test_what_is_told_has_an_end() -> None:
    many = look(*[("abc" * 200, 0.9)] * 100, keep_text=True)
    assert len(many) == MAX_REGIONS
    assert {(len(region.text), region.characters) for region in many} == {(MAX_TEXT_CHARS, 600)}

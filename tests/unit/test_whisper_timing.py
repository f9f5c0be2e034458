"""From a decode's tokens to segments and words, without a model."""

from __future__ import annotations

from inference.backends.whisper_timing import AlignedWord, TokenSegment, segments_of, words_of

BEGIN = 1000
"""The first timestamp token; each one after it is 20 ms later."""


def at(t_s: float) -> int:
    return BEGIN + round(t_s / 0.02)


def word(text: str, start_s: float, end_s: float) -> AlignedWord:
    return AlignedWord(word=text, tokens=[1], start=start_s, end=end_s, probability=0.91234567)


def test_text_lies_between_its_timestamps() -> None:
    found, more_s = segments_of([at(0.4), 1, 2, at(1.6), at(2.0), 3, at(3.0)], BEGIN, 3.5)
    assert found == [TokenSegment((1, 2), 0.4, 1.6), TokenSegment((3,), 2.0, 3.0)]
    assert more_s is None


def test_text_without_an_end_is_kept_to_the_end_of_the_sound() -> None:
    assert segments_of([at(0.0), 1, at(1.0), at(1.0), 2], BEGIN, 2.5) == (
        [TokenSegment((1,), 0.0, 1.0), TokenSegment((2,), 1.0, 2.5)],
        None,
    )


def test_a_decode_that_stops_between_two_segments_goes_on_there() -> None:
    _, more_s = segments_of([at(0.0), 1, at(2.0), at(2.0)], BEGIN, 6.0)
    assert more_s == 2.0
    _, more_s = segments_of([at(0.0), 1, at(2.0), at(2.0)], BEGIN, 2.3)
    assert more_s is None


def test_a_decode_that_never_moves_does_not_go_on_for_ever() -> None:
    assert segments_of([at(0.0), at(0.0)], BEGIN, 6.0) == ([], None)


def test_words_go_to_their_segments_and_merged_ones_are_left_out() -> None:
    aligned = [word(" one", 0.0, 0.5), word(" two", 0.5, 1.0), word("", 1.0, 1.0), word(" three", 1.0, 1.4)]
    first, second = words_of(aligned, [TokenSegment((1, 1, 1), 0.0, 1.0), TokenSegment((1,), 1.0, 1.4)], 0.5)
    assert [raw.text for raw in first] == [" one", " two"]
    assert [raw.text for raw in second] == [" three"]
    assert second[0].probability == 0.9123


def test_the_first_word_is_not_stretched_over_the_pause_before_it() -> None:
    aligned = [word(" so", 0.0, 4.0), word(" then", 4.0, 4.3), word(" we", 4.3, 4.6)]
    ((first, *_),) = words_of(aligned, [TokenSegment((1, 1, 1), 3.7, 4.6)], 0.3)
    assert (first.start_s, first.end_s) == (3.4, 4.0)

"""What is believed of a model's words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from inference.backends.whisper import Hypothesis, RawSegment, RawWord
from inference.speech.words import Span, credible, doubt, stuck
from proto.observations import Word


def hypothesis(*words: tuple[str, float, float], no_speech: float = 0.0, log_probability: float = -0.3) -> Hypothesis:
    raw = tuple(RawWord(f" {text}", start_s, end_s, 0.9) for text, start_s, end_s in words)
    return Hypothesis((RawSegment(raw, no_speech, log_probability),), "en", 1.0)


def believed(found: Hypothesis, spans: Sequence[Span], end_s: float = 100.0) -> list[Word]:
    return credible(found, lambda offset_s: offset_s + 10.0, spans, end_s)


def test_words_get_session_times() -> None:
    (word,) = believed(hypothesis(("hello", 1.0, 1.5)), [(10.9, 11.6)])
    assert (word.text, word.start_s, word.end_s) == ("hello", 11.0, 11.5)


def test_words_in_silence_are_not_believed() -> None:
    found = believed(hypothesis(("hello", 1.0, 1.5), ("thanks", 4.0, 4.5)), [(10.9, 11.6)])
    assert [word.text for word in found] == ["hello"]


def test_a_segment_the_model_itself_takes_for_silence_is_not_believed() -> None:
    spans = [(10.0, 15.0)]
    assert believed(hypothesis(("you", 1.0, 1.5), no_speech=0.9, log_probability=-1.4), spans) == []
    assert believed(hypothesis(("you", 1.0, 1.5), no_speech=0.9, log_probability=-0.2), spans) != []


def test_a_decoder_that_goes_round_in_circles_is_cut_after_the_first_turn() -> None:
    turn = ["search", "for", "the", "book"]
    found = hypothesis(*[(text, i * 0.3, i * 0.3 + 0.3) for i, text in enumerate(["well", *turn * 5])])
    assert [word.text for word in believed(found, [(10.0, 20.0)])] == ["well", *turn]


def test_people_may_say_a_word_several_times() -> None:
    found = hypothesis(*[("no", i * 0.3, i * 0.3 + 0.3) for i in range(5)])
    assert len(believed(found, [(10.0, 20.0)])) == 5


def test_the_first_word_starts_with_the_speech_not_with_the_window() -> None:
    (word,) = believed(hypothesis(("hello", 0.0, 1.5)), [(10.8, 11.6)])
    assert word.start_s == 10.8


def test_a_word_is_not_stretched_over_the_pause_behind_it() -> None:
    first, second = believed(hypothesis(("done", 0.5, 3.0), ("next", 3.0, 3.4)), [(10.4, 11.1), (13.0, 13.5)])
    assert first.end_s == pytest.approx(11.2)
    assert second.start_s == 13.0


def test_a_word_is_not_stretched_over_the_pause_before_it() -> None:
    first, second = believed(hypothesis(("done", 0.5, 1.0), ("next", 1.0, 3.4)), [(10.4, 11.1), (13.0, 13.5)])
    assert second.start_s == 13.0
    assert first.end_s == 11.0


def test_nothing_ends_behind_the_sound() -> None:
    (word,) = believed(hypothesis(("hello", 1.0, 9.0)), [(10.9, 12.0)], end_s=12.1)
    assert word.end_s <= 12.1


def test_text_that_repeats_itself_is_not_believed() -> None:
    """Not the same words turn for turn, so no loop; but zlib sees it."""
    texts = [word for i in range(12) for word in ("thank", "you", "for", "watching", "the", "video", f"part{i}")]
    found = hypothesis(*[(text, i * 0.1, i * 0.1 + 0.1) for i, text in enumerate(texts)])
    assert not stuck(found)
    assert doubt(found) == "repetitive"
    assert believed(found, [(10.0, 30.0)]) == []


def test_what_people_say_does_not_repeat_itself_so_much() -> None:
    text = (
        "i have worked as an engineer for about ten years and in the last three of them i was responsible for a team "
        "of five people who built the service that you have seen and before that i had studied in another city"
    )
    found = hypothesis(*[(word, i * 0.2, i * 0.2 + 0.2) for i, word in enumerate(text.split())])
    assert doubt(found) == ""
    assert len(believed(found, [(10.0, 30.0)])) == len(text.split())


def test_a_guess_is_not_believed() -> None:
    spans = [(10.0, 15.0)]
    guess = hypothesis(("hello", 1.0, 1.5), log_probability=-1.2)
    assert doubt(guess) == "unlikely"
    assert believed(guess, spans) == []
    assert believed(hypothesis(("hello", 1.0, 1.5), log_probability=-0.9), spans) != []


def test_silence_is_named_so_and_nothing_is_no_doubt() -> None:
    assert doubt(hypothesis(("you", 1.0, 1.5), no_speech=0.9, log_probability=-1.4)) == "silence"
    assert doubt(Hypothesis((), "en", 1.0)) == ""


def test_a_translation_is_judged_by_its_text() -> None:
    loops = " ".join(f"thank you for watching the video part{i}" for i in range(12))
    assert doubt(Hypothesis((RawSegment((), 0.0, -0.3, loops),), "de", 1.0)) == "repetitive"
    assert doubt(Hypothesis((RawSegment((), 0.0, -0.3, "i am an engineer"),), "de", 1.0)) == ""

"""From what a model wrote to words worth comparing: on session time, without loops and words in silence. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Literal

from inference.backends.whisper import Hypothesis, RawSegment
from proto.observations import Word

MAX_LOOP_WORDS = 6
LOOP_TURNS = 4
"""The same 2 to 6 words this often in a row are a decoder that is stuck; a single word may come twice as often."""
NO_SPEECH_PROBABILITY = 0.6
NO_SPEECH_LOG_PROBABILITY = -1.0
"""OpenAI Whisper's own thresholds: silence when the model says so and is unsure of its words."""
COMPRESSION_RATIO = 2.4
LOG_PROBABILITY = -1.0
"""OpenAI Whisper's own thresholds again: text that zlib makes so much smaller repeats itself, and a decode whose tokens
are on average less likely than that is a guess. Whisper would try again at random; a successor could not do the same.
"""
SPEECH_SLACK_S = 0.25
PAUSE_S = 0.2
"""A word is not stretched over a silence longer than this."""


Span = tuple[float, float]
"""A stretch of speech, from and until, in session seconds."""
Doubt = Literal["", "silence", "repetitive", "unlikely"]


def doubt(hypothesis: Hypothesis) -> Doubt:
    """Why nothing of a hypothesis can be believed; "" where it can, or where it is empty."""
    segments = [segment for segment in hypothesis.segments if not _silent(segment)]
    if not segments:
        return "silence" if hypothesis.segments else ""
    counts = [len(_texts(segment)) for segment in segments]
    texts = [text for segment in segments for text in _texts(segment)]
    if _compression_ratio(" ".join(texts[: _first_turn(texts)])) > COMPRESSION_RATIO:
        return "repetitive"
    total = sum(segment.log_probability * count for segment, count in zip(segments, counts, strict=True))
    return "unlikely" if texts and total / len(texts) < LOG_PROBABILITY else ""


def stuck(hypothesis: Hypothesis) -> bool:
    """Whether a hypothesis goes round in circles at some place."""
    texts = [text for segment in hypothesis.segments for text in _texts(segment)]
    return _first_turn(texts) < len(texts)


def credible(
    hypothesis: Hypothesis, time_at: Callable[[float], float], spans: Sequence[Span], end_s: float
) -> list[Word]:
    """Words of a hypothesis on session time (`time_at` maps offsets), without those that nobody can have spoken.

    `spans` are the stretches judged to be speech, in order; times are drawn out of the silences between them.
    `end_s` is where the decoded sound ends.
    """
    words: list[Word] = []
    if doubt(hypothesis):
        return words
    for segment in hypothesis.segments:
        if _silent(segment):
            continue
        for raw in segment.words:
            text = raw.text.strip()
            start_s, last_s = time_at(raw.start_s), min(end_s, time_at(raw.end_s))
            if text and start_s < end_s and _spoken(start_s, last_s, spans):
                start_s, last_s = _fit(start_s, max(start_s, last_s), spans)
                words.append(Word(text=text, start_s=start_s, end_s=last_s, probability=raw.probability))
    return words[: _first_turn([word.text for word in words])]


def _texts(segment: RawSegment) -> list[str]:
    """The words of a segment; a translation has only text."""
    return [text for raw in segment.words if (text := raw.text.strip())] or segment.text.split()


def _silent(segment: RawSegment) -> bool:
    silent = segment.no_speech_probability > NO_SPEECH_PROBABILITY
    return silent and segment.log_probability < NO_SPEECH_LOG_PROBABILITY


def _compression_ratio(text: str) -> float:
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))


def _spoken(start_s: float, end_s: float, spans: Sequence[Span]) -> bool:
    return any(start_s - SPEECH_SLACK_S < until and end_s + SPEECH_SLACK_S > begin for begin, until in spans)


def _fit(start_s: float, end_s: float, spans: Sequence[Span]) -> Span:
    """Draw a word's start up to the speech it belongs to, and its end back before a pause that it runs into."""
    before_s = float("-inf")
    for begin_s, until_s in spans:
        if begin_s - before_s > PAUSE_S:
            # The side of the silence on which more of the word lies is the one it was spoken on.
            if start_s < begin_s < end_s and end_s - begin_s > before_s - start_s:
                start_s = begin_s
            elif start_s < before_s < end_s:
                return start_s, min(end_s, before_s + PAUSE_S / 2)
        before_s = until_s
    if start_s < before_s < end_s:
        end_s = min(end_s, before_s + PAUSE_S / 2)
    return start_s, end_s


def _first_turn(words: Sequence[str]) -> int:
    """How many words there are before a hypothesis goes round in circles, the first turn included."""
    texts = [word.casefold() for word in words]
    for start in range(len(texts)):
        for size in range(1, MAX_LOOP_WORDS + 1):
            turns = LOOP_TURNS * 2 if size == 1 else LOOP_TURNS
            loop = texts[start : start + size]
            if len(texts) - start >= size * turns and texts[start : start + size * turns] == loop * turns:
                return start + size
    return len(texts)

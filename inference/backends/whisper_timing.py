"""From the tokens and alignments of a Whisper decode to segments and words with times. Pure.

Rules for long words: OpenAI Whisper's `timing.py`, as in faster-whisper; here each decode is judged by itself, so that
what else was in the batch changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

import numpy as np

TIMESTAMP_S = 0.02
"""Step of Whisper's timestamp tokens."""
SENTENCE_ENDS = ".。!！?？"  # noqa: RUF001 - marks of scripts that have their own
LONGEST_MEDIAN_S = 0.7
TRUSTED_S = 0.5
"""A word that begins or ends further than this outside of its segment's timestamps is drawn back to them."""
LEAST_LEFT_S = 0.5
"""Sound behind the last timestamp that is worth another decode."""


@dataclass(frozen=True, slots=True)
class RawWord:
    """A word with times in seconds from the start of the decoded sound."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class TokenSegment:
    """Text tokens between two timestamps, in seconds from the start of the decoded sound."""

    tokens: tuple[int, ...]
    start_s: float
    end_s: float


class AlignedWord(TypedDict):
    """A word as faster-whisper's `find_alignment` gives it."""

    word: str
    tokens: list[int]
    start: float
    end: float
    probability: float


def segments_of(
    tokens: Sequence[int], timestamp_begin: int, duration_s: float
) -> tuple[list[TokenSegment], float | None]:
    """Cut a decode at its timestamps. The second part is where to decode again: the model ended a segment and began
    another, and then stopped; None where it has written all it heard. Text without a closing timestamp is kept.
    """
    found: list[TokenSegment] = []
    text: list[int] = []
    start_s = 0.0
    for token in tokens:
        if token < timestamp_begin:
            text.append(token)
            continue
        at_s = min(duration_s, (token - timestamp_begin) * TIMESTAMP_S)
        if text:
            found.append(TokenSegment(tuple(text), start_s, max(start_s, at_s)))
            text = []
        start_s = at_s
    if text:
        found.append(TokenSegment(tuple(text), start_s, duration_s))
    begun = len(tokens) >= 2 and all(token >= timestamp_begin for token in tokens[-2:])
    more = begun and start_s >= LEAST_LEFT_S and duration_s - start_s >= LEAST_LEFT_S
    return found, start_s if more else None


def words_of(
    alignment: list[AlignedWord], segments: Sequence[TokenSegment], median_s: float
) -> list[tuple[RawWord, ...]]:
    """The aligned words of a decode (punctuation merged, so some are empty), by segment."""
    words = iter(alignment)
    before_s = 0.0
    found: list[tuple[RawWord, ...]] = []
    for segment in segments:
        mine: list[AlignedWord] = []
        taken = 0
        while taken < len(segment.tokens) and (word := next(words, None)) is not None:
            taken += len(word["tokens"])
            if word["word"]:
                mine.append(word)
        if mine:
            _shorten_after_pause(mine, before_s, median_s)
            _draw_to_segment(mine, segment, median_s)
            before_s = mine[-1]["end"]
        found.append(tuple(_raw(word) for word in mine))
    return found


def _raw(word: AlignedWord) -> RawWord:
    # Digits beyond these depend on what else was in the batch.
    return RawWord(word["word"], float(word["start"]), float(word["end"]), round(float(word["probability"]), 4))


def shorten_at_sentence_ends(alignment: list[AlignedWord], median_s: float) -> None:
    """No word beside a full stop is longer than twice the median; to be done before punctuation is merged."""
    longest_s = 2 * median_s
    if not longest_s:
        return
    for before, word in pairwise(alignment):
        if word["end"] - word["start"] <= longest_s:
            continue
        if word["word"] in SENTENCE_ENDS:
            word["end"] = word["start"] + longest_s
        elif before["word"] in SENTENCE_ENDS:
            word["start"] = word["end"] - longest_s


def median_length_s(alignment: Sequence[AlignedWord]) -> float:
    """Median length of the words that have one, at most LONGEST_MEDIAN_S; 0 where there are none."""
    lengths_s = [word["end"] - word["start"] for word in alignment if word["end"] != word["start"]]
    return min(LONGEST_MEDIAN_S, float(np.median(lengths_s))) if lengths_s else 0.0


def _shorten_after_pause(words: list[AlignedWord], before_s: float, median_s: float) -> None:
    """The first two words behind a pause are no longer than twice the median: the pause is not theirs."""
    first, longest_s = words[0], 2 * median_s
    second = words[1] if len(words) > 1 else None
    stretched = first["end"] - first["start"] > longest_s
    stretched = stretched or (second is not None and second["end"] - first["start"] > 2 * longest_s)
    if first["end"] - before_s <= 4 * median_s or not stretched:
        return
    if second is not None and second["end"] - second["start"] > longest_s:
        first["end"] = second["start"] = max(second["end"] / 2, second["end"] - longest_s)
    first["start"] = max(0.0, first["end"] - longest_s)


def _draw_to_segment(words: list[AlignedWord], segment: TokenSegment, median_s: float) -> None:
    first, last = words[0], words[-1]
    if first["start"] + TRUSTED_S < segment.start_s < first["end"]:
        first["start"] = max(0.0, min(first["end"] - median_s, segment.start_s))
    if last["start"] < segment.end_s < last["end"] - TRUSTED_S:
        last["end"] = max(last["start"] + median_s, segment.end_s)

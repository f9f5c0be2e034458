"""Which lines of text in a picture are readable, and what may be said of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from proto.observations import TextRegion

MIN_CHARACTERS = 3
"""A recogniser reads single letters into folds, buttons and shadows; a word has more."""

MIN_WORD_SHARE = 0.5
"""Share of a line's characters that are letters or digits: less is a pattern, not a text."""

MAX_REGIONS = 32
MAX_TEXT_CHARS = 200


def readable(text: str) -> bool:
    """Whether a line says anything: at least three letters or digits of any script, not all the same, and at least as
    many of them as of anything else but blanks.
    """
    characters = [character for character in text if not character.isspace()]
    words = [character.casefold() for character in characters if character.isalnum()]
    return len(words) >= MIN_CHARACTERS and len(set(words)) > 1 and len(words) >= MIN_WORD_SHARE * len(characters)


def regions(
    lines: Iterable[tuple[Sequence[Sequence[float]], str, float]],
    width_px: int,
    height_px: int,
    *,
    min_confidence: float,
    keep_text: bool,
) -> tuple[TextRegion, ...]:
    """Readable lines of a picture of `width_px` x `height_px`, in the order given.

    A line has corners in pixels (4, 2), what it says, and the recogniser's confidence (0-1). What it says goes no
    further unless `keep_text`, and then at most 200 characters of it.
    """
    found: list[TextRegion] = []
    for corners, text, confidence in lines:
        if confidence < min_confidence or not readable(text):
            continue
        left, right = (_within(edge / width_px) for edge in _ends(point[0] for point in corners))
        top, bottom = (_within(edge / height_px) for edge in _ends(point[1] for point in corners))
        found.append(
            TextRegion(
                x=left,
                y=top,
                width=right - left,
                height=bottom - top,
                confidence=min(1.0, confidence),
                characters=sum(not character.isspace() for character in text),
                text=text[:MAX_TEXT_CHARS] if keep_text else "",
            )
        )
    return tuple(found[:MAX_REGIONS])


def _ends(values: Iterable[float]) -> tuple[float, float]:
    every = [float(value) for value in values]
    return min(every), max(every)


def _within(fraction: float) -> float:
    return min(1.0, max(0.0, fraction))

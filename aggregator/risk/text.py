"""Readable text in the picture: only what stays where it is counts, so that a print on a shirt that moves does not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from proto.observations import TextRegion

MAX_REGIONS = 16
MIN_OVERLAP = 0.5
"""Intersection over union from which two regions of successive looks are the same one."""

MAX_AHEAD_S = 60.0
"""No look at the text of a frame can be further ahead of the session's clock."""

MAX_WORDS_CHARS = 80

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the picture."""


class Text(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The newest look's boxes; `looks` counts the searches, `found` those that found a region."""

    last_s: float | None = None
    boxes: tuple[Box, ...] = ()
    looks: int = 0
    found: int = 0


class Line(msgspec.Struct, frozen=True):
    """A region as the rules see it; `steady` says that it was there in the look before, or that nothing was."""

    confidence: float
    characters: int
    where: str
    steady: bool
    words: str = ""


def watch(text: Text, regions: Sequence[TextRegion], t_s: float, *, keep: bool) -> tuple[Text, tuple[Line, ...]]:
    """Text after a search at `t_s`, and its lines, the surest first. Words are dropped unless `keep`."""
    sound = sorted((region for region in regions if _sound(region)), key=lambda region: -region.confidence)
    sound = sound[:MAX_REGIONS]
    lines = tuple(
        Line(
            confidence=region.confidence,
            characters=region.characters,
            where=_where(region),
            steady=not text.boxes or any(overlap(_box(region), box) >= MIN_OVERLAP for box in text.boxes),
            words=_words(region.text) if keep else "",
        )
        for region in sound
    )
    boxes = tuple(_box(region) for region in sound)
    return Text(last_s=t_s, boxes=boxes, looks=text.looks + 1, found=text.found + bool(boxes)), lines


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0-1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def _sound(region: TextRegion) -> bool:
    """Whether the numbers can be those of a region in the picture."""
    inside = -0.5 <= region.x <= 1.5 and -0.5 <= region.y <= 1.5
    return inside and 0.0 < region.width <= 2.0 and 0.0 < region.height <= 2.0 and 0.0 <= region.confidence <= 1.0


def _box(region: TextRegion) -> Box:
    return (region.x, region.y, region.x + region.width, region.y + region.height)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _where(region: TextRegion) -> str:
    """The middle of a region as one of nine places: "upper left", "centre"."""
    across = region.x + region.width / 2
    down = region.y + region.height / 2
    column = "left" if across < 1 / 3 else "right" if across > 2 / 3 else ""
    row = "upper" if down < 1 / 3 else "lower" if down > 2 / 3 else ""
    if row and column:
        return f"{row} {column}"
    return f"{row} middle" if row else column or "centre"


def _words(text: str) -> str:
    """What can be printed of it, on one line."""
    kept = "".join(character if character.isprintable() else " " for character in text[: 4 * MAX_WORDS_CHARS])
    return " ".join(kept.split())[:MAX_WORDS_CHARS]

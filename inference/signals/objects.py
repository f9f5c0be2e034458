"""What a detector's boxes say: which things are in the picture, and which of them only in part.

Which things matter is the policy's to say; every class of the model passes through here. Of what policies name, the 80
classes of COCO have "cell phone", "laptop", "book", "remote" and "tv" (screens of every kind), but no tablet and no
headphones: those take a model that knows them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from proto.observations import SeenObject

PERSON = "person"

PARTIAL_BELOW = 0.4
"""Score below which a find is called partial. Seen with YOLOX-nano: a phone in a hand scores 0.40 to 0.63 in all but
four of a clip's hundred frames, 0.22 to 0.46 with a tenth of it cut off; hands taken for one 0.31, in one frame 0.45.
"""

EDGE_SHARE = 0.005
"""A box so near to the picture's edge, as a share of its side, is cut off by it: 3 px of 640. Boxes of phones that were
cut off on purpose ended within 1.1 px of it."""

ONE_THING = 0.6
"""Boxes of two labels with a larger intersection over union are one thing, which has the better label."""

MIN_SIDE = 1e-3
"""Boxes narrower than this share of the picture lie outside it."""


def seen(raw: npt.NDArray[np.float32], labels: Sequence[str], width_px: int, height_px: int) -> tuple[SeenObject, ...]:
    """Things in a picture of `width_px` x `height_px`, best score first.

    `raw` (n, 6) has left, top, right, bottom in pixels, score and class index, best first; `labels` are the classes.
    Boxes become fractions of the picture, clipped to it. Labels are written in lower case with blanks ("cell phone").
    """
    found: list[SeenObject] = []
    for left, top, right, bottom, score, index in raw.tolist():
        label = labels[int(index)].replace("_", " ").replace("-", " ").strip().casefold()
        one = _object(label, score, left / width_px, top / height_px, right / width_px, bottom / height_px)
        if one is not None and not any(_is_one_thing(one, other) for other in found):
            found.append(one)
    return tuple(found)


def _object(label: str, score: float, left: float, top: float, right: float, bottom: float) -> SeenObject | None:
    cut = left <= EDGE_SHARE or top <= EDGE_SHARE or right >= 1.0 - EDGE_SHARE or bottom >= 1.0 - EDGE_SHARE
    left, top, right, bottom = (min(1.0, max(0.0, side)) for side in (left, top, right, bottom))
    if right - left < MIN_SIDE or bottom - top < MIN_SIDE:
        return None
    return SeenObject(
        label=label,
        score=score,
        x=left,
        y=top,
        width=right - left,
        height=bottom - top,
        partial=cut or score < PARTIAL_BELOW,
    )


def _is_one_thing(one: SeenObject, other: SeenObject) -> bool:
    """Whether two finds are the same thing under two names. Somebody may well cover the thing they hold."""
    if PERSON in (one.label, other.label) or one.label == other.label:
        return False
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if width <= 0.0 or height <= 0.0:
        return False
    shared = width * height
    return shared / (one.width * one.height + other.width * other.height - shared) > ONE_THING

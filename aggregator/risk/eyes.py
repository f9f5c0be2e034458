"""Blinks, from how far the eyes are open against how far this candidate's eyes usually are.

At 5 frames a second a blink (0.1 to 0.4 s) often falls between two frames: the count is of blinks seen, a lower bound.
"""

from __future__ import annotations

import msgspec

CLOSED_RATIO = 0.5
"""Eyes are closed below this share of their usual openness."""

MAX_BLINK_S = 0.8
"""Eyes closed for longer are closed, not blinking."""

MAX_GAP_S = 1.0
RISE = 0.2
FALL = 0.01
"""How quickly the usual openness follows a wider and a narrower eye, per frame."""


class Eyes(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`usual` openness as a ratio (None: not seen yet); `measured_s` is how long the eyes were watched."""

    usual: float | None = None
    closed_since_s: float | None = None
    last_s: float = 0.0
    blinks: int = 0
    measured_s: float = 0.0


def watch(eyes: Eyes, openness: float | None, t_s: float) -> tuple[Eyes, bool]:
    """Eyes after a frame, and whether they are closed in it. `openness` is None where it was not measured."""
    if openness is None:
        return (eyes if eyes.closed_since_s is None else msgspec.structs.replace(eyes, closed_since_s=None)), False
    if eyes.usual is None:
        return Eyes(usual=openness, last_s=t_s), False
    gap_s = t_s - eyes.last_s
    measured_s = eyes.measured_s + (gap_s if 0.0 <= gap_s <= MAX_GAP_S else 0.0)
    if openness < CLOSED_RATIO * eyes.usual:
        since_s = t_s if eyes.closed_since_s is None or gap_s > MAX_GAP_S else eyes.closed_since_s
        return (
            Eyes(usual=eyes.usual, closed_since_s=since_s, last_s=t_s, blinks=eyes.blinks, measured_s=measured_s),
            True,
        )
    blinked = eyes.closed_since_s is not None and t_s - eyes.closed_since_s <= MAX_BLINK_S
    rate = RISE if openness > eyes.usual else FALL
    usual = eyes.usual + rate * (openness - eyes.usual)
    return Eyes(usual=usual, last_s=t_s, blinks=eyes.blinks + blinked, measured_s=measured_s), False

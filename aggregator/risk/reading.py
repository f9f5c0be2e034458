"""Does somebody read something beside the screen? Eyes that read sweep along a line and jump back, again and again.

At a few frames a second single saccades are lost, but the sweeps are not: the horizontal gaze swings left, right, left.
A swing counts when it turns back after at least the rule's `enter` degrees while the gaze is off centre; the pattern is
`count` such turns within `WINDOW_S`.
"""

from __future__ import annotations

import msgspec

WINDOW_S = 12.0
MAX_TURNS = 24
MAX_SWING_S = 3.0
"""A swing that takes longer than this is a look around, not a line being read."""

OFF_CENTRE_DEG = 5.0
"""Nearer to the baseline than this is the screen: reading the question there is what candidates should do."""

LOST_S = 1.5


class Reading(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The swing under way (`direction` -1, 0, 1, its `extreme_deg` so far) and when the last ones turned."""

    direction: int = 0
    extreme_deg: float = 0.0
    extreme_s: float = 0.0
    last_s: float = 0.0
    turns_s: tuple[float, ...] = ()


NOT_READING = Reading()


def watch(reading: Reading, off_yaw_deg: float | None, off_deg: float | None, t_s: float, swing_deg: float) -> Reading:
    """Reading after a frame whose gaze is `off_deg` from the baseline, `off_yaw_deg` of it horizontally."""
    lost = t_s - reading.last_s > LOST_S
    if off_yaw_deg is None or off_deg is None or off_deg < OFF_CENTRE_DEG:
        return NOT_READING if lost else reading
    if lost:
        return Reading(extreme_deg=off_yaw_deg, extreme_s=t_s, last_s=t_s)
    return _swing(reading, off_yaw_deg, t_s, swing_deg)


def turns(reading: Reading, now_s: float) -> int:
    """How often the gaze turned back within the last `WINDOW_S`."""
    return sum(1 for turn_s in reading.turns_s if now_s - turn_s <= WINDOW_S)


def _swing(reading: Reading, yaw_deg: float, t_s: float, swing_deg: float) -> Reading:
    moved = yaw_deg - reading.extreme_deg
    if reading.direction == 0:
        if abs(moved) < swing_deg:
            return msgspec.structs.replace(reading, last_s=t_s)
        return msgspec.structs.replace(
            reading, direction=1 if moved > 0 else -1, extreme_deg=yaw_deg, extreme_s=t_s, last_s=t_s
        )
    if moved * reading.direction >= 0:
        return msgspec.structs.replace(reading, extreme_deg=yaw_deg, extreme_s=t_s, last_s=t_s)
    if abs(moved) < swing_deg:
        return msgspec.structs.replace(reading, last_s=t_s)
    quick = t_s - reading.extreme_s <= MAX_SWING_S
    kept = tuple(turn_s for turn_s in reading.turns_s if t_s - turn_s <= WINDOW_S) if quick else ()
    return Reading(
        direction=-reading.direction,
        extreme_deg=yaw_deg,
        extreme_s=t_s,
        last_s=t_s,
        turns_s=(*kept, t_s)[-MAX_TURNS:],
    )

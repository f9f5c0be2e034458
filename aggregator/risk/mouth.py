"""Does the mouth in view move while somebody speaks? Seconds of pictures against seconds of sound, matched by time.

What is compared is movement, not opening: how far apart the widest and the narrowest opening of a second lie. Measured
at 5 frames a second on one clip of somebody who talks, no second of it moved by less than 0.020 (of the face's height)
down to faces of 120 pixels, below which it fell to 0.008; two clips of silent faces stayed below 0.002, shrunk to 150
pixels, too. Three people are few: what comes of it carries no points.

Pictures and sound come from different workers, in any order and with any delay. So both are kept by the whole second of
session time for a while, and a second is compared once both are there and enough sound has followed for the
interviewer's voice to be told, too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from aggregator.risk import abstention
from aggregator.risk.look import Picture
from proto.observations import FrameSeen

STILL_BELOW = 0.006
MOVES_ABOVE = 0.012
"""Range of the mouth's opening within a second. Between the two nobody can say."""

CLOSED_BELOW = 0.003
"""Lips that stay parted and never move are what a covered mouth looks like: behind a phone they seem open by 0.004."""

OCCLUDED = "occluded"
MAX_OPENING = 1.0
MIN_FACE_PX = 120.0
MAX_TURN_DEG = 25.0
MIN_FRAMES = 4
MAX_STEP_S = 0.4
"""A second with fewer frames than this, or a longer step between two of them, is not seen well enough."""

FROZEN_BELOW_DEG = 0.02
"""A living head moved by 0.3 degrees in every second that was measured; a picture that is sent again does not."""

MOSTLY_SPEECH = 0.6
HARDLY_SPEECH = 0.2
"""Shares of a second: from the first on somebody speaks, up to the second nobody does."""

WAIT_SECONDS = 6
"""So much later than the sound it is heard in, a voice has mostly been told."""

MAX_SECONDS = 40
"""Seconds of pictures, or of sound, that wait for the other; the oldest go first and are not compared."""


class Look(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The mouth during one second: opening and turn of the head from `low` to `high`. `unsure`: not in every frame."""

    second: int
    frames: int = 0
    last_s: float = 0.0
    step_s: float = 0.0
    low: float = MAX_OPENING
    high: float = 0.0
    turn_low: float = math.inf
    turn_high: float = -math.inf
    unsure: bool = False


class Spoken(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One second of sound: the share of speech in it, None where it could not be judged."""

    second: int
    share: float | None


class Mouth(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What waits to be compared. `compared_s` is speech that was, `still_s` that of it with a still mouth; `done` is
    the newest second that was settled, `doubts` the stretches (start, end) in which the interviewer may be heard.
    """

    looks: tuple[Look, ...] = ()
    spoken: tuple[Spoken, ...] = ()
    doubts: tuple[tuple[float, float], ...] = ()
    done: int = -2
    seen_s: float = -2.0
    compared_s: float = 0.0
    still_s: float = 0.0


class Settled(NamedTuple):
    """Verdict on the second that ends at `t_s`: somebody speaks and the mouth is still; None is "could not tell"."""

    t_s: float
    still: bool | None


class Lips(NamedTuple):
    """The mouth in one frame: its opening as a share of the face's height, and where the head points (yaw, degrees)."""

    opening: float
    yaw_deg: float


def lips(frame: FrameSeen, picture: Picture, *, poor: bool) -> Lips | None:
    """The mouth of the only face in view; None where it cannot be read, or is not the only one."""
    face = picture.main
    if poor or face is None or picture.faces != 1 or picture.pose is None:
        return None
    if not frame.quality.face_px >= MIN_FACE_PX or abstention.EXPRESSION in face.abstains:
        return None
    if OCCLUDED in face.abstains.values():
        return None
    if abs(face.yaw_deg) > MAX_TURN_DEG or abs(face.pitch_deg) > MAX_TURN_DEG:
        return None
    return Lips(face.mouth_opening, face.yaw_deg) if 0.0 <= face.mouth_opening <= MAX_OPENING else None


def see(mouth: Mouth, t_s: float, seen: Lips | None) -> Mouth:
    """Mouth after a frame at `t_s`, later than every frame before."""
    second = math.floor(t_s)
    if second <= mouth.done:
        return msgspec.structs.replace(mouth, seen_s=t_s)
    looks = mouth.looks
    if looks and looks[-1].second == second:
        now, before = looks[-1], looks[:-1]
    else:
        now, before = Look(second=second, last_s=t_s), looks
    step_s = max(now.step_s, t_s - now.last_s)
    if seen is None:
        now = msgspec.structs.replace(now, frames=now.frames + 1, last_s=t_s, step_s=step_s, unsure=True)
    else:
        now = Look(
            second=second,
            frames=now.frames + 1,
            last_s=t_s,
            step_s=step_s,
            low=min(now.low, seen.opening),
            high=max(now.high, seen.opening),
            turn_low=min(now.turn_low, seen.yaw_deg),
            turn_high=max(now.turn_high, seen.yaw_deg),
            unsure=now.unsure,
        )
    return msgspec.structs.replace(mouth, looks=(*before, now)[-MAX_SECONDS:], seen_s=t_s)


def hear(mouth: Mouth, start_s: float, duration_s: float, speech_s: float, *, fit: bool) -> Mouth:
    """Mouth after a second of sound; `fit` says that all of it could be judged."""
    second = math.floor(start_s)
    if second <= mouth.done or (mouth.spoken and second <= mouth.spoken[-1].second):
        return mouth
    whole = fit and 0.8 <= duration_s <= 1.01
    spoken = Spoken(second=second, share=min(1.0, speech_s / duration_s) if whole else None)
    return msgspec.structs.replace(mouth, spoken=(*mouth.spoken, spoken))


def doubt(mouth: Mouth, start_s: float, end_s: float) -> Mouth:
    """Mouth after it was told that the interviewer may be what is heard from `start_s` to `end_s`."""
    return msgspec.structs.replace(mouth, doubts=(*mouth.doubts, (start_s, end_s))[-MAX_SECONDS:])


def settle(mouth: Mouth, *, final: bool = False) -> tuple[Mouth, tuple[Settled, ...]]:
    """Compare every second that is ready, in order; with `final` every one that waits."""
    settled: list[Settled] = []
    compared_s, still_s, done = mouth.compared_s, mouth.still_s, mouth.done
    waiting = mouth.spoken
    while waiting and (final or len(waiting) > MAX_SECONDS or _ready(mouth, waiting)):
        spoken, waiting = waiting[0], waiting[1:]
        done = spoken.second
        still = _compare(mouth, spoken)
        if still is not None and _speaks(spoken):
            compared_s += 1.0
            still_s += still
        settled.append(Settled(done + 1.0, still))
    if not settled:
        return mouth, ()
    after = Mouth(
        looks=tuple(look for look in mouth.looks if look.second > done),
        spoken=waiting,
        doubts=tuple(doubt for doubt in mouth.doubts if doubt[1] > done + 1.0),
        done=done,
        seen_s=mouth.seen_s,
        compared_s=compared_s,
        still_s=still_s,
    )
    return after, tuple(settled)


def forget(mouth: Mouth) -> Mouth:
    """Session time went back: nothing that waits can be matched any more."""
    return Mouth(compared_s=mouth.compared_s, still_s=mouth.still_s)


def _ready(mouth: Mouth, waiting: tuple[Spoken, ...]) -> bool:
    oldest = waiting[0].second
    return mouth.seen_s >= oldest + 1.0 and waiting[-1].second >= oldest + WAIT_SECONDS


def _speaks(spoken: Spoken) -> bool:
    return spoken.share is not None and spoken.share >= MOSTLY_SPEECH


def _compare(mouth: Mouth, spoken: Spoken) -> bool | None:
    if spoken.share is None:
        return None
    if not _speaks(spoken):
        return False if spoken.share <= HARDLY_SPEECH else None
    start_s, end_s = float(spoken.second), spoken.second + 1.0
    if any(doubt_start_s < end_s and start_s < doubt_end_s for doubt_start_s, doubt_end_s in mouth.doubts):
        return None
    look = next((look for look in mouth.looks if look.second == spoken.second), None)
    return None if look is None else _still(look)


def _still(look: Look) -> bool | None:
    if look.unsure or look.frames < MIN_FRAMES or look.step_s > MAX_STEP_S:
        return None
    if look.turn_high - look.turn_low < FROZEN_BELOW_DEG:
        return None
    moved = look.high - look.low
    if moved > MOVES_ABOVE:
        return False
    return True if moved < STILL_BELOW and look.low < CLOSED_BELOW else None

""" "Could not tell": when nothing can be judged, why, and for how long. It never raises the score."""

from __future__ import annotations

import msgspec

BLIND_AFTER_S = 0.6
CLEAR_AFTER_S = 1.0
NO_FRAMES_AFTER_S = 3.0
"""Frames are sent and none has been judged for so long: the workers lag or are away."""

LOST_PACKETS = "lost_packets"
NO_FRAMES = "no_frames"
WORKERS_BEHIND = "workers_behind"
FRAME_UNREADABLE = "frame_unreadable"

LOSS_SHARE = 0.15
MIN_PACKETS = 50
"""Above this share of lost packets, over at least so many, a decoded picture can show what was never there."""

MAX_REASONS = 6


class Blind(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`since_s` is when the present spell began, `clear_s` since when it has seemed over; `open` once it has lasted."""

    since_s: float | None = None
    clear_s: float | None = None
    reasons: tuple[str, ...] = ()
    open: bool = False
    total_s: float = 0.0


def watch(
    blind: Blind,
    reasons: tuple[str, ...],
    t_s: float,
    *,
    after_s: float = BLIND_AFTER_S,
    clear_after_s: float = CLEAR_AFTER_S,
) -> Blind:
    """Blind after a moment at `t_s` that could not be judged for `reasons` (empty: it could).

    A spell opens once it has lasted for `after_s`, and is over once nothing was wrong for `clear_after_s`.
    """
    if reasons:
        since_s = t_s if blind.since_s is None else blind.since_s
        opened = blind.open or t_s - since_s >= after_s
        told = blind.reasons
        for reason in reasons:
            if reason not in told and len(told) < MAX_REASONS:
                told = (*told, reason)
        if opened == blind.open and told is blind.reasons and blind.clear_s is None:
            return blind
        return Blind(since_s=since_s, reasons=told, open=opened, total_s=blind.total_s)
    if blind.since_s is None:
        return blind
    if not blind.open:
        return Blind(total_s=blind.total_s)
    if blind.clear_s is None:
        return msgspec.structs.replace(blind, clear_s=t_s)
    return close(blind, blind.clear_s) if t_s - blind.clear_s >= clear_after_s else blind


def doubted(blind: Blind, problems: frozenset[str]) -> bool:
    """Whether the newest moments could not be judged, and one of these problems was why."""
    return blind.since_s is not None and blind.clear_s is None and not problems.isdisjoint(blind.reasons)


def silent(blind: Blind, since_s: float) -> Blind:
    """Frames have been missing since `since_s`: open at once, the wait was long enough."""
    begun_s = since_s if blind.since_s is None else min(blind.since_s, since_s)
    told = blind.reasons if NO_FRAMES in blind.reasons else (*blind.reasons, NO_FRAMES)[-MAX_REASONS:]
    return Blind(since_s=begun_s, reasons=told, open=True, total_s=blind.total_s)


def close(blind: Blind, end_s: float) -> Blind:
    """The spell is over at `end_s`; its length is added to the total."""
    spell_s = max(0.0, end_s - blind.since_s) if blind.open and blind.since_s is not None else 0.0
    return Blind(total_s=blind.total_s + spell_s)


def lossy(received: int, lost: int) -> bool:
    """Whether too many packets went missing between two reports (counts since the one before)."""
    sent = received + lost
    return sent >= MIN_PACKETS and lost / sent > LOSS_SHARE

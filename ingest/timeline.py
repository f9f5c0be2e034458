"""From a sender's RTP clock to session seconds. Pure: the time of arrival comes in as an argument.

An RTP timestamp is 32 bits of an arbitrary origin; all it promises is that it counts media. The first packet anchors it
at its arrival, and from there on media time rules, so that jitter on the way does not shake the times of what was seen.
Four things move the anchor, and each is reported as a jump:

- the clock goes backwards: the sender restarted its clock;
- the clock is ahead of the arrival by more than `FUTURE_S`: nothing arrives before it is made;
- nothing came for more than `LATE_S`, and what comes since is late by that and in `RESUME_S` made up for none of it: a
  network that merely stalled delivers in a burst and catches up, so the clock stood still, as that of a sender may
  while its microphone is muted;
- every packet of a whole `WINDOW_S` was late by more than `LATE_S`: the same without a silence before, or a drift.
"""

from __future__ import annotations

from dataclasses import dataclass

FUTURE_S = 0.5
LATE_S = 1.0
WINDOW_S = 5.0
RESUME_S = 0.5
CAUGHT_UP_S = 0.1
"""Lateness made up for within RESUME_S that shows a backlog being delivered; jitter alone is less."""
_WRAP = 1 << 32


@dataclass(frozen=True, slots=True)
class Moment:
    """`t_s` never decreases. `jump_s` is by how much the anchor moved at this packet, 0.0 if it did not."""

    t_s: float
    jump_s: float = 0.0


class Timeline:
    """One media clock of `clock_hz` ticks per second, mapped to session seconds."""

    def __init__(self, clock_hz: int) -> None:
        self._clock_hz = clock_hz
        self._last_rtp: int | None = None
        self._ticks = 0
        self._anchor_s = 0.0
        self._last_t_s = 0.0
        self._window_start_s = 0.0
        self._window_late_s = float("inf")
        self._last_arrival_s = 0.0
        self._resumed_s: float | None = None
        self._resumed_late_s = 0.0
        self.drift_s = 0.0
        self.jumps = 0

    def at(self, rtp: int, arrival_s: float) -> Moment:
        """Session time of a packet, handed over in sending order.

        `rtp` is its timestamp (any integer, taken modulo 2^32), `arrival_s` the session second at which it arrived.
        `drift_s` then says how late the fastest packet of the last whole window was.
        """
        rtp %= _WRAP
        silent_s, self._last_arrival_s = arrival_s - self._last_arrival_s, arrival_s
        if self._last_rtp is None:
            self._last_rtp = rtp
            self._anchor(arrival_s, arrival_s)
            return Moment(self._last_t_s)
        step = _signed(rtp - self._last_rtp)
        self._last_rtp = rtp
        self._ticks += step
        t_s = self._anchor_s + self._ticks / self._clock_hz
        late_s = arrival_s - t_s
        stood_still = self._stood_still(late_s, arrival_s, silent_s)
        if step < 0 or late_s < -FUTURE_S or stood_still or self._late_throughout(late_s, arrival_s):
            self.jumps += 1
            target_s = max(arrival_s, self._last_t_s)
            self._anchor(target_s, arrival_s)
            return Moment(target_s, target_s - t_s)
        self._last_t_s = max(t_s, self._last_t_s)
        return Moment(self._last_t_s)

    def _stood_still(self, late_s: float, arrival_s: float, silent_s: float) -> bool:
        """Whether the clock stood still while nothing came. `silent_s` is how long that was before this packet."""
        if silent_s > LATE_S and late_s > LATE_S:
            self._resumed_s, self._resumed_late_s = arrival_s, late_s
        if self._resumed_s is None:
            return False
        if self._resumed_late_s - late_s > CAUGHT_UP_S:
            self._resumed_s = None
            return False
        return arrival_s - self._resumed_s >= RESUME_S

    def _late_throughout(self, late_s: float, arrival_s: float) -> bool:
        self._window_late_s = min(self._window_late_s, late_s)
        if arrival_s - self._window_start_s < WINDOW_S:
            return False
        self.drift_s = self._window_late_s
        self._window_start_s = arrival_s
        self._window_late_s = float("inf")
        return self.drift_s > LATE_S

    def _anchor(self, t_s: float, arrival_s: float) -> None:
        self._ticks = 0
        self._anchor_s = self._last_t_s = t_s
        self._window_start_s = arrival_s
        self._window_late_s = float("inf")
        self._resumed_s = None


def _signed(difference: int) -> int:
    """The difference of two 32-bit counters as the nearer of the two ways round (RFC 1982)."""
    return (difference + _WRAP // 2) % _WRAP - _WRAP // 2

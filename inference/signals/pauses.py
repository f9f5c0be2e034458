"""Speech, pauses and level second by second: what the log says of a session's sound.

Seconds lie on session time: second k is [k, k + 1), whoever counts it, so that a worker and its successor give the same
second the same number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.signals import level

MAX_GAP_SECONDS = 60
"""Of one gap at most this many empty seconds are reported; a media clock that jumps by hours must not flood the log."""

_EPSILON_S = 1e-6


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a session. `duration_s` is how much of it was covered, sound and gap together; `speech_s` and
    `gap_s` are parts of it. `pause_s` is how long the pause has lasted at its end, `ended_pause_s` the longest that
    ended within.
    """

    index: int
    t_s: float
    duration_s: float
    speech_s: float
    level_dbfs: float
    pause_s: float
    ended_pause_s: float
    gap_s: float
    clipped: float


class SecondTally:
    """Adds up judged sound and gaps, in order of time, into whole seconds.

    A gap interrupts a pause: nobody knows whether it was silent there, so the pause counts from the end of the gap.
    """

    def __init__(self, *, pause_s: float = 0.0, rate_hz: int = 16_000) -> None:
        self.pause_s = pause_s
        self._rate_hz = rate_hz
        self._index: int | None = None
        self._reset(0.0)

    def sound(self, t_s: float, samples: NDArray[np.int16], speech: bool) -> list[Second]:
        """Take samples that begin at `t_s` and are all speech or all not; returns the seconds they completed."""
        done: list[Second] = []
        while len(samples):
            done += self._enter(t_s)
            until_s = self._second(t_s) + 1
            count = min(len(samples), max(1, round((until_s - t_s) * self._rate_hz)))
            self._add(samples[:count], speech)
            samples = samples[count:]
            t_s += count / self._rate_hz
        return done + self._enter(t_s)

    def gap(self, t_s: float, duration_s: float) -> list[Second]:
        """Take a stretch that never arrived; returns the seconds it completed."""
        end_s = t_s + duration_s
        self.pause_s = 0.0
        done: list[Second] = []
        reported = 0
        while end_s - t_s > _EPSILON_S:
            done += self._enter(t_s)
            until_s = min(float(self._second(t_s) + 1), end_s)
            self._gap_s += until_s - t_s
            t_s = until_s
            reported += 1
            if reported > MAX_GAP_SECONDS and end_s - t_s > 1:
                done += self._enter(t_s)
                t_s = float(math.floor(end_s))
                self._index = None
        return done + self._enter(t_s)

    def finish(self) -> list[Second]:
        """The second under way, as far as it came; empty if nothing of it was taken."""
        if self._index is None or self._covered_s < _EPSILON_S:
            return []
        second = self._make()
        self._index = None
        return [second]

    def _second(self, t_s: float) -> int:
        return math.floor(t_s + _EPSILON_S)

    def _enter(self, t_s: float) -> list[Second]:
        """Be in the second of `t_s`: complete the one before, if it was another."""
        index = self._second(t_s)
        if index == self._index:
            return []
        done = self.finish()
        self._index = index
        self._reset(t_s)
        return done

    def _reset(self, start_s: float) -> None:
        self._start_s = start_s
        self._count = 0
        self._speech_count = 0
        self._squares = 0.0
        self._clipped = 0
        self._gap_s = 0.0
        self._ended_pause_s = 0.0

    def _add(self, samples: NDArray[np.int16], speech: bool) -> None:
        count = len(samples)
        self._count += count
        self._squares += level.square_sum(samples)
        self._clipped += level.clipped_count(samples)
        if speech:
            self._speech_count += count
            self._ended_pause_s = max(self._ended_pause_s, self.pause_s)
            self.pause_s = 0.0
        else:
            self.pause_s += count / self._rate_hz

    @property
    def _covered_s(self) -> float:
        return self._count / self._rate_hz + self._gap_s

    def _make(self) -> Second:
        assert self._index is not None
        return Second(
            index=self._index,
            t_s=self._start_s,
            duration_s=self._covered_s,
            speech_s=self._speech_count / self._rate_hz,
            level_dbfs=level.dbfs(self._squares, self._count),
            pause_s=self.pause_s,
            ended_pause_s=self._ended_pause_s,
            gap_s=self._gap_s,
            clipped=self._clipped / self._count if self._count else 0.0,
        )

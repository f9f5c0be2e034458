"""Speech, pauses, levels and voice second by second: what the log says of a session's sound.

Seconds lie on session time: second k is [k, k + 1), whoever counts it, so that a worker and its successor give the same
second the same number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.signals import level, soundscape
from inference.signals.soundscape import Figures, Flags
from proto.media import SAMPLE_RATE_HZ

MAX_GAP_SECONDS = 60
"""Of one gap at most this many empty seconds are reported; a media clock that jumps by hours must not flood the log."""

Absence = Literal["lost", "bridged", "unsent", "unknown"]
"""Why there is no sound: it was lost, for long (nobody knows what was in it) or so briefly (bridged) that what is
before and behind it is one sound; the sender sent none, as there was silence; or the media clock moved (unknown).
"""

_EPSILON_S = 1e-6


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a session. `duration_s` is how much of it was covered, sound and gap together; `speech_s` and
    `gap_s` are parts of it. `pause_s` is how long the pause has lasted at its end, `ended_pause_s` the longest that
    ended within, `figures` what could be told of its voice and what stood in the way.
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
    figures: Figures


class SecondTally:
    """Adds up judged sound and gaps, in order of time, into whole seconds.

    A gap interrupts a pause: nobody knows whether it was silent there, so the pause counts from the end of the gap.
    Silence that was not sent is part of a pause, and so is a bridged gap with silence on both sides; one at the end of
    a pause is not, as the speech behind it may have begun in it.
    """

    def __init__(self, *, pause_s: float = 0.0) -> None:
        self.pause_s = pause_s
        self._index: int | None = None
        self._unsure_s = 0.0
        self._before: list[tuple[float, NDArray[np.int16]]] = []
        self._reset(0.0)

    def prime(self, t_s: float, before: NDArray[np.int16]) -> None:
        """Know sound, in order, that came before the first: that is judged with it, but it counts nowhere."""
        end_s = t_s + len(before) / SAMPLE_RATE_HZ
        self._before = _since(end_s - soundscape.REACH_S, [*self._before, (t_s, before)])

    def forget(self) -> None:
        """What comes next does not follow from what came before."""
        self._before = []
        self._forgotten = len(self._parts)

    def sound(self, t_s: float, samples: NDArray[np.int16], speech: bool, maybe: bool = False) -> list[Second]:
        """Take samples that begin at `t_s` and are all speech, all perhaps speech or all not; returns the seconds they
        completed.
        """
        done: list[Second] = []
        while len(samples):
            done += self._enter(t_s)
            until_s = self._second(t_s) + 1
            count = min(len(samples), max(1, round((until_s - t_s) * SAMPLE_RATE_HZ)))
            self._add(t_s, samples[:count], speech, maybe)
            samples = samples[count:]
            t_s += count / SAMPLE_RATE_HZ
        return done + self._enter(t_s)

    def gap(self, t_s: float, duration_s: float, absence: Absence = "lost") -> list[Second]:
        """Take a stretch that never arrived; returns the seconds it completed."""
        end_s = t_s + duration_s
        if absence != "bridged":
            self.forget()
        if absence in ("lost", "unknown"):
            self.pause_s = self._unsure_s = 0.0
        done: list[Second] = []
        reported = 0
        while end_s - t_s > _EPSILON_S:
            done += self._enter(t_s)
            until_s = min(float(self._second(t_s) + 1), end_s)
            self._gap_s += until_s - t_s
            self._lost_s += until_s - t_s if absence in ("lost", "bridged") else 0.0
            self._pass(until_s - t_s, absence)
            t_s = until_s
            reported += 1
            if reported > MAX_GAP_SECONDS and end_s - t_s > 1:
                done += self._enter(t_s)
                self._pass(math.floor(end_s) - t_s, absence)
                t_s = float(math.floor(end_s))
                self._index = None
        return done + self._enter(t_s)

    def _pass(self, duration_s: float, absence: Absence) -> None:
        """Let a pause go on where it is one."""
        if absence == "unsent":
            self.pause_s += duration_s
            self._unsure_s = 0.0
        elif absence == "bridged" and self.pause_s:
            self.pause_s += duration_s
            self._unsure_s += duration_s

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
        self._before = _since(t_s - soundscape.REACH_S, self._before + self._parts[self._forgotten :])
        self._reset(t_s)
        return done

    def _reset(self, start_s: float) -> None:
        self._start_s = start_s
        self._count = 0
        self._speech_count = 0
        self._squares = 0.0
        self._clipped = 0
        self._gap_s = 0.0
        self._lost_s = 0.0
        self._ended_pause_s = 0.0
        self._parts: list[tuple[float, NDArray[np.int16]]] = []
        self._flags: list[tuple[bool, bool]] = []
        self._forgotten = 0

    def _add(self, t_s: float, samples: NDArray[np.int16], speech: bool, maybe: bool) -> None:
        count = len(samples)
        self._parts.append((t_s, samples))
        self._flags.append((speech, maybe))
        self._count += count
        self._squares += level.square_sum(samples)
        self._clipped += level.clipped_count(samples)
        if speech:
            self._speech_count += count
            self._ended_pause_s = max(self._ended_pause_s, self.pause_s - self._unsure_s)
            self.pause_s = self._unsure_s = 0.0
        else:
            self.pause_s += count / SAMPLE_RATE_HZ
            self._unsure_s = 0.0

    @property
    def _covered_s(self) -> float:
        return self._count / SAMPLE_RATE_HZ + self._gap_s

    def _make(self) -> Second:
        assert self._index is not None
        return Second(
            index=self._index,
            t_s=self._start_s,
            duration_s=self._covered_s,
            speech_s=self._speech_count / SAMPLE_RATE_HZ,
            level_dbfs=level.dbfs(self._squares, self._count),
            pause_s=self.pause_s,
            ended_pause_s=self._ended_pause_s,
            gap_s=self._gap_s,
            clipped=self._clipped / self._count if self._count else 0.0,
            figures=self._figures(),
        )

    def _figures(self) -> Figures:
        lengths = [len(samples) for _t_s, samples in self._parts]
        flags = np.repeat(np.array(self._flags, bool).reshape(-1, 2), lengths, axis=0)
        return soundscape.judge(
            _joined(self._parts),
            Flags(speech=flags[:, 0], maybe=flags[:, 1]),
            _joined(self._before),
            lost_s=self._lost_s,
            duration_s=self._covered_s,
        )


def _since(t_s: float, parts: list[tuple[float, NDArray[np.int16]]]) -> list[tuple[float, NDArray[np.int16]]]:
    """What of sound begins at session second `t_s` or later, to the sample."""
    kept = []
    for start_s, samples in parts:
        count = max(0, round((t_s - start_s) * SAMPLE_RATE_HZ))
        if count < len(samples):
            kept.append((start_s + count / SAMPLE_RATE_HZ, samples[count:]))
    return kept


def _joined(parts: list[tuple[float, NDArray[np.int16]]]) -> NDArray[np.int16]:
    return np.concatenate([samples for _t_s, samples in parts]) if parts else np.zeros(0, np.int16)

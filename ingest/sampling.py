"""Which frames of a stream are analysed. Pure: times come in as arguments."""

from __future__ import annotations

_SLACK = 0.1
"""Share of the period by which a frame may come early: every sixth of 30 a second is 0.2 s, give or take a tick."""


class Sampler:
    """Takes frames at `fps` on average from a stream of any rate; never more, and all of a slower stream."""

    def __init__(self, fps: float) -> None:
        self._period_s = 1.0 / fps
        self._due_s: float | None = None

    def takes(self, t_s: float) -> bool:
        """Whether the frame at session second `t_s` is one to analyse; times do not decrease."""
        if self._due_s is None:
            self._due_s = t_s + self._period_s
            return True
        if t_s < self._due_s - _SLACK * self._period_s:
            return False
        # On the grid while the stream keeps up, so that the rate is right on average; a new grid after a pause.
        missed = t_s - self._due_s >= self._period_s
        self._due_s = (t_s if missed else self._due_s) + self._period_s
        return True

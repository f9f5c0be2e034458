"""Which frames of a stream are analysed, and what is looked for in each. Pure: times come in as arguments."""

from __future__ import annotations

from math import floor

from proto.media import Look
from proto.policy import Analysis

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


FIRST_S: dict[Look, float] = {"objects": 0.0, "identity": 0.2, "expression": 0.4, "text": 1.8}
"""When each look is first due after the first frame: soon, but apart, so that no frame has to carry them all."""

_EARLY_S = 0.02
"""Frames of 30 a second lie on no grid of ours exactly."""


class Looks:
    """What is due on each taken frame: every look has a grid of its own, `1 / rate` wide, on the media clock.

    A look is taken at the first frame of each of its periods, so the rate is right on average, never more than one for
    each frame, and what a pause missed is not made up. A rate of 0 is never; expression needs the policy's `emotion`.
    """

    def __init__(self, analysis: Analysis) -> None:
        rates: dict[Look, float] = {
            "objects": analysis.objects_per_s,
            "identity": analysis.identity_per_s,
            "expression": analysis.expression_per_s if analysis.emotion else 0.0,
            "text": analysis.text_per_s,
        }
        self._rates = {look: rate for look, rate in rates.items() if rate > 0}
        self._taken = dict.fromkeys(self._rates, -1)
        self._start_s: float | None = None

    def due(self, t_s: float) -> tuple[Look, ...]:
        """Looks for the frame at session second `t_s`; to be asked once for each frame that is analysed."""
        if self._start_s is None:
            self._start_s = t_s
        due: list[Look] = []
        for look, rate in self._rates.items():
            period = floor((t_s - self._start_s - FIRST_S[look] + _EARLY_S) * rate)
            if period >= 0 and period != self._taken[look]:
                self._taken[look] = period
                due.append(look)
        return tuple(due)

"""How often an utterance under way is decoded again. Pure."""

from __future__ import annotations

BEHIND_TOLERATED_S = 2.0
"""A worker that is no further behind than this keeps up, however dear its decodes are."""
_WEIGHT = 0.3


class Cadence:
    """Every `step_s` of new sound, unless the worker falls behind and decoding is what holds it up: then less often, so
    that no more than half of the time goes into it, but at least every `max_step_s`.
    """

    def __init__(self, step_s: float, max_step_s: float) -> None:
        self._step_s = step_s
        self._max_step_s = max(step_s, max_step_s)
        self._cost_s = 0.0

    def note(self, cost_s: float) -> None:
        """A decode took `cost_s`, waiting for its turn included."""
        self._cost_s += _WEIGHT * (cost_s - self._cost_s)

    def step_s(self, behind_s: float) -> float:
        """New sound until the next decode, for a worker that is `behind_s` behind the end of the stream."""
        if behind_s <= BEHIND_TOLERATED_S:
            return self._step_s
        return min(self._max_step_s, max(self._step_s, 2.0 * self._cost_s))

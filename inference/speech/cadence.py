"""How often an utterance under way is decoded again. Pure."""

from __future__ import annotations

from collections import deque

BEHIND_TOLERATED_S = 2.0
"""A worker that is no further behind than this keeps up, however dear its decodes are."""
PARTIAL_SHARE = 0.7
"""At most so much of the decoders' time goes into utterances under way; the rest is for their ends."""
BUSY_OVER_S = 10.0
BUSY_KEPT = 4096
_WEIGHT = 0.3
_LOAD_WEIGHT = 0.1


class Load:
    """What decoding costs a worker, and how many of its sessions ask for it. Times are of any steady clock."""

    def __init__(self, decoders: int = 1) -> None:
        self._decoders = decoders
        self._cost_s: float | None = None
        self._speaking: set[str] = set()
        self._busy: deque[tuple[float, float]] = deque(maxlen=BUSY_KEPT)
        self._since_s: float | None = None

    @property
    def speaking(self) -> int:
        """Sessions in which somebody speaks."""
        return len(self._speaking)

    def speaks(self, session: str) -> None:
        self._speaking.add(session)

    def is_silent(self, session: str) -> None:
        self._speaking.discard(session)

    def note(self, now_s: float, cost_s: float, count: int) -> None:
        """A decoder was busy for `cost_s`, up to now, with a batch of `count`."""
        each_s = cost_s / max(1, count)
        self._cost_s = each_s if self._cost_s is None else self._cost_s + _LOAD_WEIGHT * (each_s - self._cost_s)
        self._since_s = now_s - cost_s if self._since_s is None else self._since_s
        self._busy.append((now_s, cost_s))

    def step_s(self) -> float:
        """New sound between two decodes of each speaking session at which PARTIAL_SHARE of the time is spent."""
        return self.speaking * (self._cost_s or 0.0) / (self._decoders * PARTIAL_SHARE)

    def realtime_factor(self, now_s: float) -> float:
        """Seconds of decoding per second of time and decoder, over the last BUSY_OVER_S; near 1 the worker is full."""
        if self._since_s is None:
            return 0.0
        over_s = min(BUSY_OVER_S, max(1.0, now_s - self._since_s))
        spent_s = sum(min(cost_s, end_s - (now_s - over_s)) for end_s, cost_s in self._busy if end_s > now_s - over_s)
        return spent_s / (over_s * self._decoders)


class Cadence:
    """Every `step_s` of new sound while that is little work; less often, up to every `max_step_s`, where the worker's
    sessions together ask for more than it can decode, or where it has fallen behind and decoding is what holds it up:
    then no more than half of the time goes into it.
    """

    def __init__(self, step_s: float, max_step_s: float) -> None:
        self._step_s = step_s
        self._max_step_s = max(step_s, max_step_s)
        self._cost_s = 0.0

    def note(self, cost_s: float) -> None:
        """A decode took `cost_s`, waiting for its turn included."""
        self._cost_s += _WEIGHT * (cost_s - self._cost_s)

    def step_s(self, behind_s: float, load_step_s: float = 0.0) -> float:
        """New sound until the next decode, for a worker that is `behind_s` behind the end of the stream and whose load
        asks for `load_step_s`.
        """
        wanted_s = max(self._step_s, load_step_s)
        if behind_s > BEHIND_TOLERATED_S:
            wanted_s = max(wanted_s, 2.0 * self._cost_s)
        return min(self._max_step_s, wanted_s)

"""Which of the frames that wait are looked at now, and for what. Pure: times come in as arguments.

Every worker sees all sessions whose frames wait, takes those that were served least recently, as many as can be done
before the oldest of them is late, and gives the rest back. What is dear and can wait is left out first.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from proto.media import Look

MAX_SESSIONS = 10_000
"""Sessions remembered; one that was forgotten comes first, as a new one does."""

SHED_ORDER: tuple[Look, ...] = ("text", "expression", "identity", "objects")
"""What is left out under overload, the first first. Faces never are."""

FIRST_GUESS_S = 0.01
"""Cost of a frame before one was measured."""

NEWEST_SHARE = 0.2
"""Weight of the newest batch in what is known of costs."""

PRESSURE_S = 1.0
RELIEF_S = 5.0
OVERLOADED_FROM = 0.5
CALM_BELOW = 0.05

Looks = frozenset[Look]


class Waiting(NamedTuple):
    """A frame that could be looked at: how old it is, and what is due on it."""

    session: str
    age_s: float
    looks: Looks = frozenset()


class Costs:
    """What a frame has lately cost, in seconds of the models' thread, and each further look at it."""

    def __init__(self) -> None:
        self._base_s: float | None = None
        self._look_s: dict[str, float] = {}

    def note(self, timings_ms: Sequence[Mapping[str, float]]) -> None:
        """Take account of a batch: for each of its frames, milliseconds by stage. Each look is a stage."""
        if not timings_ms:
            return
        base_ms = [sum(spent for stage, spent in one.items() if stage not in SHED_ORDER) for one in timings_ms]
        self._base_s = _mixed(self._base_s, sum(base_ms) / len(base_ms) / 1e3)
        for look in SHED_ORDER:
            spent_ms = [one[look] for one in timings_ms if look in one]
            if spent_ms:
                self._look_s[look] = _mixed(self._look_s.get(look), sum(spent_ms) / len(spent_ms) / 1e3)

    def of(self, looks: Iterable[str]) -> float:
        """Seconds that a frame with these looks takes in a batch."""
        base_s = FIRST_GUESS_S if self._base_s is None else self._base_s
        return base_s + sum(self._look_s.get(look, 0.0) for look in looks)


def _mixed(known: float | None, new: float) -> float:
    return new if known is None else known + NEWEST_SHARE * (new - known)


class Turns:
    """When each session was last served, and what its frames that went back still ask for."""

    def __init__(self) -> None:
        self._turn = 0
        self._served: OrderedDict[str, int] = OrderedDict()
        self._owed: OrderedDict[str, Looks] = OrderedDict()

    def order(self, waiting: Sequence[Waiting]) -> list[int]:
        """Indices, the session that was served least recently first; of those served together, the oldest frame."""
        return sorted(range(len(waiting)), key=lambda i: (self._served.get(waiting[i].session, 0), -waiting[i].age_s))

    def due(self, session: str, looks: Iterable[Look]) -> Looks:
        """What is due on a frame, with what was due on earlier ones that nobody came to."""
        return frozenset(looks) | self._owed.get(session, frozenset())

    def serve(self, sessions: Iterable[str]) -> None:
        """These are looked at now, together."""
        self._turn += 1
        for session in sessions:
            self._served[session] = self._turn
            self._served.move_to_end(session)
            self._owed.pop(session, None)
        _trim(self._served)

    def owe(self, session: str, looks: Looks) -> None:
        """A frame went back, or a newer one took its place, before it was looked at: the next is looked at for it."""
        if looks:
            self._owed[session] = self._owed.get(session, frozenset()) | looks
            self._owed.move_to_end(session)
            _trim(self._owed)


def _trim(known: OrderedDict[str, int] | OrderedDict[str, Looks]) -> None:
    while len(known) > MAX_SESSIONS:
        known.popitem(last=False)


def choose(waiting: Sequence[Waiting], cost_s: Callable[[Looks], float], deadline_s: float, most: int) -> list[int]:
    """Indices of the frames to take as one batch, of those in `waiting`, the most deserving first; at least one.

    The batch ends before any of its frames is `deadline_s` old. A frame that is late already, or would be if it were
    alone, binds the others no more than that the batch is done within `deadline_s`. A frame that would have to be
    hurried more than the batch allows stays behind: until its turn comes a newer one is there.
    """
    taken: list[int] = []
    spent_s, left_s = 0.0, math.inf
    for index, one in enumerate(waiting):
        if len(taken) == most:
            break
        own_s = cost_s(one.looks)
        until_late_s = deadline_s - one.age_s
        allowed_s = min(left_s, until_late_s if until_late_s >= own_s else deadline_s)
        if not taken or spent_s + own_s <= allowed_s:
            taken.append(index)
            spent_s, left_s = spent_s + own_s, allowed_s
    return taken


class Shedding:
    """How much is left out: one more look after each second in which more waited than could be done in time for half of
    it, one less after five seconds of calm.
    """

    def __init__(self) -> None:
        self.level = 0
        self._pressure = 0.0
        self._overloaded = False
        self._noted_s: float | None = None
        self._changed_s = -math.inf

    def note(self, now_s: float, *, overloaded: bool) -> None:
        """`overloaded`: of what waits from `now_s` on, some was left, as not all can be done within the deadline."""
        if self._noted_s is not None:
            passed = 1.0 - math.exp(-max(0.0, now_s - self._noted_s) / PRESSURE_S)
            self._pressure += (float(self._overloaded) - self._pressure) * passed
        self._noted_s, self._overloaded = now_s, overloaded
        since_s = now_s - self._changed_s
        if self._pressure > OVERLOADED_FROM and since_s >= PRESSURE_S and self.level < len(SHED_ORDER):
            self.level += 1
            self._changed_s = now_s
        elif self._pressure < CALM_BELOW and since_s >= RELIEF_S and self.level:
            self.level -= 1
            self._changed_s = now_s

    def kept(self, looks: Looks) -> Looks:
        """What is left of these looks."""
        return looks - set(SHED_ORDER[: self.level])

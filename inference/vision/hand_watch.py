"""When a face is searched for hands: the search costs more than everything else, and light from one side asks for it in
every frame.

A search that found nothing holds for a moment. This is all a worker remembers of a session, and only to spare work: a
frame that goes to another worker is merely searched once more.
"""

from __future__ import annotations

from collections import OrderedDict

from inference.vision.analysis import Seen
from inference.vision.equipment import HANDS

MAX_SESSIONS = 10_000


class HandWatch:
    """`rest_s`: session seconds for which an empty search holds."""

    def __init__(self, rest_s: float) -> None:
        self._rest_s = rest_s
        self._empty_at_s: OrderedDict[str, float] = OrderedDict()

    def is_due(self, session: str, t_s: float) -> bool:
        """Whether hands may be looked for in the session's frame at `t_s`. A clock that went back asks anew."""
        empty_at_s = self._empty_at_s.get(session)
        return empty_at_s is None or not empty_at_s <= t_s < empty_at_s + self._rest_s

    def note(self, session: str, t_s: float, seen: Seen) -> None:
        """Take account of what was seen; frames that were not searched say nothing."""
        if HANDS not in seen.models:
            return
        if seen.quality.occlusion > 0.0:
            self._empty_at_s.pop(session, None)
            return
        self._empty_at_s[session] = t_s
        self._empty_at_s.move_to_end(session)
        if len(self._empty_at_s) > MAX_SESSIONS:
            self._empty_at_s.popitem(last=False)

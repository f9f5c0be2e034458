"""Where a session's faces were in its last frame, so that the next one need not be searched for them.

This is a worker's own memory, and only spares work: a frame that goes to another worker is searched.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from inference.backends.regions import Rois
from inference.vision.faces import FoundFaces

MAX_SESSIONS = 10_000

SEARCH_EVERY_S = 0.5
"""Session seconds for which a search holds. The first frame after them is searched: at 5 frames a second somebody who
joins is seen 0.6 s later at most, before any rule's hold time ends."""

_JITTER_S = 0.02
"""How early the clock of a frame may be for it to count as due."""


class _Track(NamedTuple):
    searched_s: float
    seen_s: float
    rois: Rois


class Tracks:
    """Bounded: the session that was longest not seen is forgotten first."""

    def __init__(self, search_every_s: float = SEARCH_EVERY_S) -> None:
        self._search_every_s = search_every_s
        self._tracks: OrderedDict[str, _Track] = OrderedDict()

    def hint(self, session: str, t_s: float) -> Rois | None:
        """Regions of the faces a session showed just before `t_s`; None where the frame must be searched: nothing is
        known, no face was there, the last search is too old, or time did not go forward.
        """
        track = self._tracks.get(session)
        if track is None or not len(track.rois) or t_s <= track.seen_s:
            return None
        due_s = track.searched_s + self._search_every_s - _JITTER_S
        return None if t_s >= due_s else track.rois

    def note(self, session: str, t_s: float, found: FoundFaces) -> None:
        """Take account of what was found in a frame."""
        track = self._tracks.pop(session, None)
        searched_s = t_s if found.searched or track is None else track.searched_s
        self._tracks[session] = _Track(searched_s, t_s, found.rois)
        if len(self._tracks) > MAX_SESSIONS:
            self._tracks.popitem(last=False)

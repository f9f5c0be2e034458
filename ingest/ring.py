"""The last seconds of a session's pictures, kept for evidence."""

from __future__ import annotations

import threading
from collections import deque

from ingest.video import Sampled


class Ring:
    """At most `keep_s` seconds and `max_bytes` of JPEGs; the oldest go. Filled by one thread, read by another."""

    def __init__(self, keep_s: float, max_bytes: int) -> None:
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._kept: deque[Sampled] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, sampled: Sampled) -> None:
        with self._lock:
            self._kept.append(sampled)
            self._bytes += len(sampled.picture.jpeg)
            while self._kept and (sampled.t_s - self._kept[0].t_s > self._keep_s or self._bytes > self._max_bytes):
                self._bytes -= len(self._kept.popleft().picture.jpeg)

    def between(self, start_s: float, end_s: float) -> list[Sampled]:
        """Pictures of these session seconds, in order."""
        with self._lock:
            return [sampled for sampled in self._kept if start_s <= sampled.t_s <= end_s]

    def nearest(self, t_s: float) -> Sampled | None:
        """The picture closest to this session second."""
        with self._lock:
            return min(self._kept, key=lambda sampled: abs(sampled.t_s - t_s), default=None)

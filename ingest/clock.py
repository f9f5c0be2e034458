"""A session's clock: seconds since it was created, steady while it runs."""

from __future__ import annotations

import time


class SessionClock:
    """Reads the wall clock once; after that a correction of the machine's clock does not move the session's time."""

    def __init__(self, created_unix_s: float) -> None:
        self._offset_s = time.time() - time.monotonic()
        self._created_unix_s = created_unix_s

    def unix(self) -> float:
        """Wall clock, steady."""
        return time.monotonic() + self._offset_s

    def at(self, unix_s: float) -> float:
        """Session seconds of a reading of `unix`; never before the session began."""
        return max(0.0, unix_s - self._created_unix_s)

    def now(self) -> float:
        """Session seconds now."""
        return self.at(self.unix())

"""Sound on its way to the bus, bounded: while NATS is away the oldest becomes a gap."""

from __future__ import annotations

from collections import deque

from ingest import metrics
from ingest.chunks import Gap, Sound
from proto.media import SAMPLE_RATE_HZ


class AudioOutbox:
    """Keeps at most `limit_s` seconds of sound in order. `dropped` counts the chunks that became a gap."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._waiting: deque[Sound | Gap] = deque()
        self._sound_s = 0.0
        self.dropped = 0

    @property
    def limit_bytes(self) -> int:
        """The most PCM that ever waits."""
        return int(self._limit_s * SAMPLE_RATE_HZ * 2)

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, item: Sound | Gap) -> None:
        """Append; above the limit the oldest sound goes, and a gap stands where it was."""
        self._waiting.append(item)
        if isinstance(item, Sound):
            self._sound_s += item.end_s - item.t_s
        while self._sound_s > self._limit_s:
            self._shed()

    def pop(self) -> Sound | Gap | None:
        """The oldest item, or None."""
        if not self._waiting:
            return None
        item = self._waiting.popleft()
        if isinstance(item, Sound):
            self._sound_s -= item.end_s - item.t_s
        return item

    def _shed(self) -> None:
        """Turn the oldest sound, and every gap around it, into one gap at the front."""
        start_s = self._waiting[0].t_s
        while isinstance(item := self.pop(), Gap):
            pass
        assert item is not None
        end_s = item.end_s
        while self._waiting and isinstance(self._waiting[0], Gap):
            end_s = self._waiting.popleft().end_s
        self._waiting.appendleft(Gap(start_s, end_s - start_s, "loss"))
        self.dropped += 1
        metrics.OUTBOX_DROPPED.inc()

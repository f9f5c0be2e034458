"""Video packets in order into whole coded pictures. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.reorder import Lost

MAX_PICTURE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet without its headers. `marker` says it is the last of its picture; `codec` names its format."""

    codec: str
    timestamp: int
    marker: bool
    data: bytes
    arrived_unix_s: float


@dataclass(frozen=True, slots=True)
class Coded:
    """One whole coded picture. `damaged` says that packets before it are missing: it may refer to what is not there.

    `began_unix_s` and `arrived_unix_s` are when its first and its last packet arrived.
    """

    codec: str
    timestamp: int
    data: bytes
    began_unix_s: float
    arrived_unix_s: float
    damaged: bool


@dataclass(slots=True)
class Assembler:
    """A picture is complete at its marker bit, or, from senders that set none, when the next one begins."""

    _parts: list[Packet] = field(default_factory=list)
    _size: int = 0
    _damaged: bool = False
    _skipping: bool = False
    _skipped: int | None = None
    oversized: int = 0

    def add(self, item: Packet | Lost) -> list[Coded]:
        """The pictures that this packet (or loss) completes: at most two."""
        if isinstance(item, Lost):
            self._give_up(skipping=not item.restart)
            return []
        out: list[Coded] = []
        if self._parts and item.timestamp != self._parts[0].timestamp:
            out.append(self._complete())
        if self._skipping and not self._begins(item):
            return out
        if item.data:
            self._parts.append(item)
            self._size += len(item.data)
        if self._size > MAX_PICTURE_BYTES:
            self.oversized += 1
            self._give_up(skipping=not item.marker)
        elif item.marker and self._parts:
            out.append(self._complete())
        return out

    def _give_up(self, *, skipping: bool) -> None:
        self._parts, self._size, self._damaged = [], 0, True
        self._skipping, self._skipped = skipping, None

    def _begins(self, item: Packet) -> bool:
        """Whether a picture surely begins with `item`: after a loss, what follows a marker or has a new timestamp."""
        if self._skipped is not None and item.timestamp != self._skipped:
            self._skipping = False
            return True
        self._skipped = item.timestamp
        self._skipping = not item.marker
        return False

    def _complete(self) -> Coded:
        parts, self._parts, self._size = self._parts, [], 0
        damaged, self._damaged = self._damaged, False
        first, arrived_unix_s = parts[0], max(part.arrived_unix_s for part in parts)
        data = b"".join(part.data for part in parts)
        return Coded(first.codec, first.timestamp, data, first.arrived_unix_s, arrived_unix_s, damaged)

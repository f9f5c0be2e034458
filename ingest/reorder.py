"""RTP packets into sending order, with every loss said aloud. Pure: the time of arrival comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

MAX_STEP = 3000
"""A sequence number further away than this is a sender that started over, not a loss."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lost:
    """`packets` in a row never came. A `restart` is a sender that began a new numbering: it is not known how many."""

    packets: int
    restart: bool = False


class Reorder(Generic[T]):
    """Holds packets that came early until the missing ones come, at most `wait_s` and at most `capacity` packets."""

    def __init__(self, capacity: int, wait_s: float) -> None:
        self._capacity = capacity
        self._wait_s = wait_s
        self._next: int | None = None
        self._held: dict[int, T] = {}
        self._hole_since_s = 0.0
        self.received = 0
        self.lost = 0
        self.late = 0

    def add(self, sequence: int, packet: T, now_s: float) -> list[T | Lost]:
        """Everything that is in order now that the packet with 16-bit number `sequence` arrived at `now_s`."""
        self.received += 1
        out: list[T | Lost] = []
        if self._next is None:
            self._next = sequence
        step = (sequence - self._next + 0x8000) % 0x10000 - 0x8000
        if abs(step) > MAX_STEP:
            out += self.flush()
            out.append(Lost(0, restart=True))
            self._next, step = sequence, 0
        if step < 0 or self._next + step in self._held:
            # Too late, or a duplicate: its place has been given up or taken.
            self.late += 1
            return out
        if step > 0 and not self._held:
            self._hole_since_s = now_s
        self._held[self._next + step] = packet
        self._release(out)
        while self._held and (now_s - self._hole_since_s >= self._wait_s or len(self._held) > self._capacity):
            self._skip(out)
            self._hole_since_s = now_s
        return out

    def flush(self) -> list[T | Lost]:
        """Everything that is held, with the losses between."""
        out: list[T | Lost] = []
        while self._held:
            self._skip(out)
        return out

    def _skip(self, out: list[T | Lost]) -> None:
        assert self._next is not None
        first = min(self._held)
        missing = first - self._next
        if missing:
            self.lost += missing
            out.append(Lost(missing))
        self._next = first
        self._release(out)

    def _release(self, out: list[T | Lost]) -> None:
        assert self._next is not None
        while (packet := self._held.pop(self._next, None)) is not None:
            out.append(packet)
            self._next += 1

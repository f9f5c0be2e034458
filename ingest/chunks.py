"""Decoded sound into numbered stretches of 200 ms, with what never arrived said aloud. Pure.

Everything here has no sequence number yet: that is given when it is sent, so that a full outbox can turn its oldest
chunks into a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from proto.media import CHUNK_S, SAMPLE_RATE_HZ

CHUNK_BYTES = int(CHUNK_S * SAMPLE_RATE_HZ) * 2
TOLERANCE_S = 0.01
"""Less than half an Opus packet: rounding of clocks, not a loss."""

GapReason = Literal["loss", "pause", "jump"]


@dataclass(frozen=True, slots=True)
class Sound:
    """16 kHz mono s16le PCM that begins at session second `t_s`."""

    t_s: float
    pcm: bytes

    @property
    def end_s(self) -> float:
        return self.t_s + len(self.pcm) / 2 / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Gap:
    """`duration_s` from `t_s` without sound: lost on the way, not sent (pause), or the media clock jumped."""

    t_s: float
    duration_s: float
    reason: GapReason

    @property
    def end_s(self) -> float:
        return self.t_s + self.duration_s


class Chunker:
    """Cuts contiguous sound into chunks of 200 ms; a chunk that ends at a gap is shorter."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._start_s = 0.0

    @property
    def end_s(self) -> float:
        """Session second up to which sound or gaps were taken in."""
        return self._start_s + len(self._pcm) / 2 / SAMPLE_RATE_HZ

    def start(self, t_s: float) -> None:
        """Where the first sound begins."""
        self._start_s = t_s

    def add(self, pcm: bytes) -> list[Sound]:
        """Whole chunks, after `pcm` that follows without a gap."""
        self._pcm += pcm
        out = []
        while len(self._pcm) >= CHUNK_BYTES:
            out.append(self._cut(CHUNK_BYTES))
        return out

    def gap(self, until_s: float, reason: GapReason) -> list[Sound | Gap]:
        """The rest of the sound before, and the gap until `until_s`. A gap within the tolerance is none."""
        if until_s - self.end_s <= TOLERANCE_S:
            return []
        out: list[Sound | Gap] = [*self.flush()]
        out.append(Gap(self._start_s, until_s - self._start_s, reason))
        self._start_s = until_s
        return out

    def flush(self) -> list[Sound]:
        """What is left, as one shorter chunk."""
        return [self._cut(len(self._pcm))] if self._pcm else []

    def _cut(self, size: int) -> Sound:
        sound = Sound(self._start_s, bytes(self._pcm[:size]))
        del self._pcm[:size]
        self._start_s = sound.end_s
        return sound

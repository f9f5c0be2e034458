"""A session's audio messages as one line of time: pieces of sound and gaps, each moment at most once.

AUDIO holds what candidate and interviewer say, mixed as it came. One timeline follows one of them: what the other says
is not that one's sound, nor a gap in it, nor its end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proto.errors import BadMessage
from proto.media import SAMPLE_RATE_HZ, Audio, AudioChunk, AudioEnd, AudioGap
from proto.signalling import Role, role_of

JITTER_S = 0.02
"""Chunks that touch within this are one stretch of sound."""
SOURCE_PATIENCE_S = 2.0
"""A second source takes over when the first has fallen this far behind it."""
MAX_CHUNK_S = 30.0
MAX_SESSION_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Piece:
    """Sound that begins at `t_s`; `seq` is the stream sequence of the message it came in."""

    seq: int
    t_s: float
    samples: NDArray[np.int16]

    @property
    def end_s(self) -> float:
        return self.t_s + len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Gap:
    """Sound that never arrived.

    `reason` is that of its message: loss (it was sent, and lost), pause (the sender sent none: a muted microphone, or
    silence that it leaves out), jump (the media clock moved). A hole that no message tells of is a loss.
    """

    seq: int
    t_s: float
    duration_s: float
    reason: str = "loss"


@dataclass(frozen=True, slots=True)
class End:
    """The source said goodbye."""

    seq: int
    t_s: float


Stretch = Piece | Gap | End


def check(message: Audio, data: bytes) -> None:
    """Refuse what decodes but cannot be sound.

    Raises:
        BadMessage: with the message's bytes.
    """
    duration_s = 0.0 if isinstance(message, AudioEnd) else message.duration_s
    if not (math.isfinite(message.t_s) and 0 <= message.t_s <= MAX_SESSION_S):
        raise BadMessage(f"t_s {message.t_s} is not a session time", data)
    if not (math.isfinite(duration_s) and 0 <= duration_s <= MAX_SESSION_S):
        raise BadMessage(f"duration {duration_s} s is not possible", data)
    if isinstance(message, AudioChunk) and (len(message.pcm) % 2 or duration_s > MAX_CHUNK_S):
        raise BadMessage(f"{len(message.pcm)} bytes are not 16-bit samples of at most {MAX_CHUNK_S:g} s", data)


def is_interviewer(message: Audio) -> bool:
    """Whether a message is of the interviewer's own source, so that nothing in it is the candidate's."""
    return role_of(message.source) == "interviewer"


class Timeline:
    """Orders what arrives: overlaps are cut off, what is missing becomes a gap, one source is heard at a time.

    Only the sources of `role` are heard. `overlapped_s` is how much of their sound was left out because that time had
    already been heard.
    """

    def __init__(self, role: Role = "candidate") -> None:
        self._role = role
        self.position_s: float | None = None
        self.overlapped_s = 0.0
        self._source = ""
        self._joined = False

    def take(self, message: Audio, seq: int) -> list[Stretch]:
        """What a message (already checked) adds; one of the other role adds nothing. `seq` is its stream sequence."""
        if role_of(message.source) != self._role:
            return []
        if not self._hears(message):
            if isinstance(message, AudioChunk):
                self.overlapped_s += message.duration_s
            return []
        match message:
            case AudioChunk():
                return self._chunk(message, seq)
            case AudioGap():
                return self._until(message.t_s + message.duration_s, seq, message.reason)
            case AudioEnd():
                self._source, self._joined = "", False
                return [End(seq, message.t_s if self.position_s is None else self.position_s)]

    def _hears(self, message: Audio) -> bool:
        if message.source == self._source:
            return True
        behind = self.position_s is None or message.t_s > self.position_s + SOURCE_PATIENCE_S
        if isinstance(message, AudioEnd) or (self._source and not behind):
            return False
        self._source = message.source
        return True

    def _chunk(self, chunk: AudioChunk, seq: int) -> list[Stretch]:
        samples = np.frombuffer(chunk.pcm, "<i2").astype(np.int16, copy=False)
        t_s = chunk.t_s
        found: list[Stretch] = []
        if self.position_s is not None and t_s < self.position_s - JITTER_S:
            skip = min(len(samples), round((self.position_s - t_s) * SAMPLE_RATE_HZ))
            self.overlapped_s += skip / SAMPLE_RATE_HZ
            samples = samples[skip:]
            t_s += skip / SAMPLE_RATE_HZ
        elif self.position_s is not None and t_s > self.position_s + JITTER_S:
            found += self._until(t_s, seq)
        if len(samples):
            piece = Piece(seq, t_s, samples)
            self.position_s, self._joined = piece.end_s, True
            found.append(piece)
        return found

    def _until(self, end_s: float, seq: int, reason: str = "loss") -> list[Stretch]:
        """A gap from here to `end_s`; before a source's first sound there is nothing to miss."""
        start_s = self.position_s
        if start_s is None or end_s <= start_s or not self._joined:
            return []
        self.position_s = end_s
        return [Gap(seq, start_s, end_s - start_s, reason)]

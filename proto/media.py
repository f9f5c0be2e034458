"""Media on the bus: frames, newest wins; audio, in order.

Times named `t_s` are session seconds: 0 is the moment the session was created, and they follow the media clock.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SAMPLE_RATE_HZ = 16_000
CHUNK_S = 0.2


Look = Literal["objects", "identity", "expression", "text"]
"""What can be looked for in a picture besides faces, each at its own rate."""


class Frame(msgspec.Struct, frozen=True):
    """One sampled picture.

    `source` names one peer connection or recording, `seq` counts its frames from 0. `jpeg` is upright.
    `received_unix_s` is the wall clock when its last packet arrived: for measuring latency, never for judging.
    `looks` is what is due on this picture by the session's policy, so that a worker needs to know nothing of the
    session; what is not named is not computed. `keep_text` says that the policy keeps what is read, not only that
    there is text.
    """

    session: str
    source: str
    seq: int
    t_s: float
    width_px: int
    height_px: int
    jpeg: bytes
    received_unix_s: float = 0.0
    looks: tuple[Look, ...] = ()
    keep_text: bool = False


class AudioChunk(msgspec.Struct, frozen=True, tag_field="kind", tag="chunk"):
    """Mono 16 kHz signed 16-bit little-endian PCM that begins at `t_s`. `seq` counts the messages of its source."""

    session: str
    source: str
    seq: int
    t_s: float
    pcm: bytes

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / 2 / SAMPLE_RATE_HZ


class AudioGap(msgspec.Struct, frozen=True, tag_field="kind", tag="gap"):
    """Stretch without sound: `duration_s` from `t_s`. `reason` is loss (it never arrived), pause (the sender sent
    nothing: discontinuous transmission) or jump (the media clock moved).
    """

    session: str
    source: str
    seq: int
    t_s: float
    duration_s: float
    reason: str


class AudioEnd(msgspec.Struct, frozen=True, tag_field="kind", tag="end"):
    """The source is gone; what was heard so far may be finished."""

    session: str
    source: str
    seq: int
    t_s: float


Audio = AudioChunk | AudioGap | AudioEnd

"""Sound with holes, as networks lose packets and senders leave out silence, in the messages that ingest makes of it."""

from __future__ import annotations

import fractions
import random
from collections.abc import Sequence
from itertools import groupby

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from ingest.chunks import Chunker, GapReason, Sound
from ingest.codecs import audio_decoder
from proto.media import SAMPLE_RATE_HZ, Audio, AudioChunk, AudioEnd, AudioGap
from tests.support.speech import Samples

PACKET = 320
"""Samples of a packet at 16 kHz: 20 ms."""
PACKET_S = PACKET / SAMPLE_RATE_HZ
REFRESH = 20
"""Every how many packets of silence a sender with discontinuous transmission lets one out: each 400 ms (RFC 7587)."""
_OPUS_HZ = 48_000
_OPUS_SILENCE = 3
"""Bytes: what Opus calls a packet of silence is no longer than this."""

Slot = Samples | GapReason
"""What came of 20 ms: its sound, or why there is none."""


def slots(samples: Samples) -> list[Slot]:
    """All of a recording, packet by packet."""
    return [samples[at : at + PACKET] for at in range(0, len(samples), PACKET)]


def lose(sent: Sequence[Slot], share: float, seed: int = 1) -> list[Slot]:
    """Without a `share` (0-1) of the packets that were sent, each as likely as any other; never the first or last."""
    chance = random.Random(seed)
    lost = [chance.random() < share and not isinstance(slot, str) for slot in sent]
    return [sent[0], *("loss" if gone else slot for slot, gone in zip(sent[1:-1], lost[1:-1], strict=True)), sent[-1]]


def leave_out_silence(samples: Samples) -> list[Slot]:
    """Through Opus with discontinuous transmission: of what the codec calls silence, one packet in 400 ms is sent."""
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format = _OPUS_HZ, "mono", "s16"
    context.time_base = fractions.Fraction(1, _OPUS_HZ)
    context.options = {"application": "voip", "dtx": "1"}
    decoder = audio_decoder("opus")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    whole = samples[: len(samples) - len(samples) % PACKET]
    at = np.arange(len(whole) * 3) / 3
    wide = np.interp(at, np.arange(len(whole)), whole).astype(np.int16)
    found: list[Slot] = []
    silent = 0
    for start in range(0, len(wide), PACKET * 3):
        frame = av.AudioFrame.from_ndarray(wide[None, start : start + PACKET * 3], "s16", "mono")
        frame.sample_rate, frame.pts = _OPUS_HZ, start
        for packet in context.encode(frame):
            silent = silent + 1 if packet.size <= _OPUS_SILENCE else 0
            if silent % REFRESH:
                found.append("pause")
                continue
            sound = []
            for decoded in decoder.decode(av.Packet(bytes(packet))):
                decoded.pts = None
                sound += [piece.to_ndarray()[0] for piece in resampler.resample(decoded)]
            heard = np.concatenate(sound)[:PACKET] if sound else np.zeros(0, np.int16)
            found.append(np.concatenate([np.zeros(PACKET - len(heard), np.int16), heard]))
    return found


def arrived(came: Sequence[Slot], session: str, source: str = "peer-1", t_s: float = 0.0) -> list[Audio]:
    """The messages of what came, and the end. Of a hole with both, the loss is told last, as ingest does."""
    chunker = Chunker()
    chunker.start(t_s)
    items: list[Audio] = []

    def tell(found: Sequence[object]) -> None:
        for one in found:
            seq = len(items)
            if isinstance(one, Sound):
                items.append(AudioChunk(session, source, seq, one.t_s, one.pcm))
            else:
                items.append(AudioGap(session, source, seq, one.t_s, one.duration_s, one.reason))

    for is_hole, run in groupby(came, lambda slot: isinstance(slot, str)):
        ones = list(run)
        if is_hole:
            for reason in ("pause", "loss", "jump"):
                if count := ones.count(reason):
                    tell(chunker.gap(chunker.end_s + count * PACKET_S, reason))
        else:
            for one in ones:
                tell(chunker.add(one.astype("<i2").tobytes()))
    tell(chunker.flush())
    items.append(AudioEnd(session, source, len(items), chunker.end_s))
    return items


def missing_s(came: Sequence[Slot]) -> float:
    """How much of it never arrived."""
    return sum(PACKET_S for slot in came if isinstance(slot, str))

"""Microphones that are muted, sound that is left out, lost or not offered: what a real peer's silence becomes."""

from __future__ import annotations

import asyncio
import fractions
import random
from collections.abc import AsyncIterator
from itertools import groupby

import av
import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext

from inference.speech.timeline import Gap, Piece, Timeline
from ingest.node import Node
from ingest.settings import IngestSettings
from ingest.timeline import RESUME_S
from proto import codec, media, observations, subjects
from runtime.bus import Bus
from tests.support.ingest import Heard, running
from tests.support.publisher import AUDIO_RATE_HZ, PTIME_S, Picture, Publisher, Tone
from tests.support.wait import eventually

SENDER_ENCODER = "_RTCRtpSender__encoder"
REFRESH = 20
"""Every how many packets of silence a sender with discontinuous transmission lets one out: each 400 ms (RFC 7587)."""


@pytest.fixture
async def node(bus: Bus) -> AsyncIterator[Node]:
    async with running(bus, IngestSettings(drain_s=0)) as node:
        yield node


@pytest.fixture
async def heard(bus: Bus) -> AsyncIterator[Heard]:
    async with Heard(bus) as heard:
        yield heard


class Muted(Tone):
    """A tone whose microphone is muted from the second `mute_s` up to `until_s`: digital silence, as browsers send."""

    def __init__(self, mute_s: float, until_s: float) -> None:
        super().__init__()
        self._muted = range(round(mute_s / PTIME_S), round(until_s / PTIME_S))

    async def recv(self) -> av.AudioFrame:
        number = self._count
        frame = await super().recv()
        if number in self._muted:
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        return frame


class Discontinuous:
    """aiortc's Opus encoder with discontinuous transmission: of what the codec calls silence, one packet in 400 ms."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate, context.layout, context.format = AUDIO_RATE_HZ, "mono", "s16"
        context.time_base = fractions.Fraction(1, AUDIO_RATE_HZ)
        context.options = {"application": "voip", "dtx": "1"}
        self._codec = context
        self._first: int | None = None
        self._silent = 0

    def encode(self, frame: av.AudioFrame, _force_keyframe: bool = False) -> tuple[list[bytes], int | None]:
        packets = self._codec.encode(frame)
        if not packets:
            return [], None
        [packet] = packets
        assert packet.pts is not None
        self._first = packet.pts if self._first is None else self._first
        self._silent = self._silent + 1 if packet.size <= 3 else 0
        kept = [] if self._silent % REFRESH else [bytes(packet)]
        return kept, packet.pts - self._first


def continuous(messages: list[media.Audio]) -> None:
    """Every message begins where the one before ended."""
    at_s = messages[0].t_s
    for message in messages:
        assert message.t_s == pytest.approx(at_s, abs=1e-6)
        at_s = message.t_s + (0.0 if isinstance(message, media.AudioEnd) else message.duration_s)


def gaps_of(messages: list[media.Audio]) -> list[media.AudioGap]:
    return [message for message in messages if isinstance(message, media.AudioGap)]


def peak(chunk: media.AudioChunk) -> int:
    return int(np.abs(np.frombuffer(chunk.pcm, "<i2").astype(int)).max())


def heard_s(messages: list[media.Audio]) -> float:
    return messages[-1].t_s - messages[0].t_s if messages else 0.0


async def sent(peer: Publisher, heard: Heard, seconds: float) -> list[media.Audio]:
    """What came of `seconds` of the peer's sound, with its end."""
    await peer.start()
    await eventually(lambda: heard_s(heard.audio) >= seconds, 20)
    await peer.close()
    await eventually(lambda: heard.ended and heard.observed(observations.SourceLost), 10)
    continuous(heard.audio)
    return heard.audio


async def test_a_muted_microphone_is_digital_silence_and_no_gap(bus: Bus, node: Node, heard: Heard) -> None:
    audio = await sent(Publisher(bus, "s1", Muted(1.0, 2.0)), heard, 2.8)
    assert gaps_of(audio) == []
    start_s = audio[0].t_s
    chunks = [message for message in audio if isinstance(message, media.AudioChunk)]
    inside = [chunk for chunk in chunks if chunk.t_s - start_s >= 1.1 and chunk.t_s + 0.2 - start_s <= 1.95]
    assert len(inside) == 3
    assert [peak(chunk) for chunk in inside] == [0, 0, 0]
    outside = [chunk for chunk in chunks if chunk.t_s - start_s < 0.75 or 2.1 < chunk.t_s - start_s < 2.6]
    assert min(peak(chunk) for chunk in outside) > 5000


def spans(packets: set[int]) -> list[tuple[float, float]]:
    """Stretches of lost packets in seconds since the first one sent: beginning and length."""
    runs = groupby(enumerate(sorted(packets)), lambda item: item[1] - item[0])
    found = [[number for _, number in run] for _, run in runs]
    return [(run[0] * PTIME_S, len(run) * PTIME_S) for run in found]


@pytest.mark.parametrize("share", [0.1, 0.3])
async def test_packets_lost_at_random_are_gaps_of_exactly_those(
    bus: Bus, node: Node, heard: Heard, share: float
) -> None:
    chance = random.Random(7)
    lost = {number for number in range(1, 1000) if chance.random() < share}
    peer = Publisher(bus, "s1", Tone())
    peer.lose(lambda kind, n: kind == "audio" and n in lost)
    audio = await sent(peer, heard, 5.0)
    gaps, start_s = gaps_of(audio), audio[0].t_s
    assert {gap.reason for gap in gaps} == {"loss"}
    expected = spans(lost)[: len(gaps)]
    assert len(gaps) > 15
    assert [gap.t_s - start_s for gap in gaps] == pytest.approx([begin_s for begin_s, _ in expected], abs=0.003)
    assert [gap.duration_s for gap in gaps] == pytest.approx([length_s for _, length_s in expected], abs=0.003)
    # Nothing was made up in their place: the tone is all there is, and it is cut off where packets are missing.
    whole_s = heard_s(audio)
    sounding_s = sum(message.duration_s for message in audio if isinstance(message, media.AudioChunk))
    assert sounding_s == pytest.approx(whole_s - sum(gap.duration_s for gap in gaps), abs=1e-6)
    stats = heard.observed(observations.SourceStats)[-1]
    assert stats.packets_lost * PTIME_S == pytest.approx(sum(gap.duration_s for gap in gaps), abs=0.05)


async def test_silence_that_is_left_out_is_a_pause(bus: Bus, node: Node, heard: Heard) -> None:
    """Discontinuous transmission: between its packets of 20 ms each 400 ms nothing was sent, and nothing is made up."""
    peer = Publisher(bus, "s1", Muted(1.0, 3.0))
    setattr(peer.pc.getSenders()[0], SENDER_ENCODER, Discontinuous())
    audio = await sent(peer, heard, 3.6)
    gaps = gaps_of(audio)
    assert {gap.reason for gap in gaps} == {"pause"}
    assert sum(gap.duration_s for gap in gaps) == pytest.approx(1.9, abs=0.1)
    assert [gap.duration_s for gap in gaps[:4]] == pytest.approx([0.38] * 4, abs=0.005)
    between = [
        message
        for message in audio
        if isinstance(message, media.AudioChunk) and gaps[0].t_s < message.t_s < gaps[-1].t_s
    ]
    assert max(chunk.duration_s for chunk in between) == pytest.approx(PTIME_S, abs=0.002)
    assert max(peak(chunk) for chunk in between) < 400

    stored = [d async for d in bus.read(subjects.AUDIO, subjects.audio("s1"))]
    timeline = Timeline()
    stretches = [s for d in stored for s in timeline.take(codec.decode(d.data, media.Audio), d.seq)]
    assert {stretch.reason for stretch in stretches if isinstance(stretch, Gap)} == {"pause"}
    assert sum(isinstance(stretch, Piece) for stretch in stretches) == len(audio) - len(gaps) - 1


async def test_a_packet_lost_in_silence_that_is_left_out_is_not_the_whole_silence(
    bus: Bus, node: Node, heard: Heard
) -> None:
    """The second packet of silence is lost: 780 ms are missing, and 20 of them were ever sent."""
    peer = Publisher(bus, "s1", Muted(1.0, 3.0))
    setattr(peer.pc.getSenders()[0], SENDER_ENCODER, Discontinuous())
    # A second of tone is 50 packets, and two that still sound after it; those of silence follow.
    peer.lose(lambda kind, n: kind == "audio" and n == 52)
    audio = await sent(peer, heard, 3.6)
    gaps = gaps_of(audio)
    losses = [gap for gap in gaps if gap.reason == "loss"]
    assert [gap.duration_s for gap in losses] == pytest.approx([PTIME_S], abs=0.003)
    assert sum(gap.duration_s for gap in gaps) == pytest.approx(1.92, abs=0.1)


class Stopping(Tone):
    """After a second of sound it sends nothing for 2 s, its clock stopped, and goes on where it was."""

    async def recv(self) -> av.AudioFrame:
        if self._count == 50:
            await asyncio.sleep(2.0)
            self._start += 2.0
        return await super().recv()


async def test_a_sender_that_stops_its_clock_while_muted_is_soon_in_time_again(
    bus: Bus, node: Node, heard: Heard
) -> None:
    """Half a second after it came back the two seconds of nothing are told, and what follows is where it belongs."""
    audio = await sent(Publisher(bus, "s1", Stopping()), heard, 5.0)
    [gap] = gaps_of(audio)
    assert gap.reason == "jump"
    assert gap.duration_s == pytest.approx(2.0, abs=0.2)
    assert gap.t_s - audio[0].t_s == pytest.approx(1.0 + RESUME_S, abs=0.25)


async def test_sound_that_is_offered_and_never_comes(bus: Bus, node: Node, heard: Heard) -> None:
    """The microphone has no track: the source says that it has sound, and the only message of it is the end."""
    peer = Publisher(bus, "s1", Picture(320, 180), Tone())
    for sender in peer.pc.getSenders():
        if sender.kind == "audio":
            sender.replaceTrack(None)
    await peer.start()
    await eventually(lambda: len(heard.frames) >= 5, 15)
    await peer.close()
    await eventually(lambda: heard.ended, 10)
    assert [type(message) for message in heard.audio] == [media.AudioEnd]


async def test_an_inactive_section_is_no_sound_and_no_reason_to_refuse(bus: Bus, node: Node, heard: Heard) -> None:
    peer = Publisher(bus, "s1", Picture(320, 180), Tone())
    for transceiver in peer.pc.getTransceivers():
        if transceiver.kind == "audio":
            transceiver.direction = "inactive"
    assert "a=inactive" in await peer.offer()
    await peer.start()
    await eventually(lambda: len(heard.frames) >= 5, 15)
    await peer.close()
    await eventually(lambda: heard.observed(observations.SourceLost), 10)
    [up] = heard.observed(observations.SourceUp)
    assert (up.video, up.audio) == (True, False)
    assert heard.audio == []
    assert [d async for d in bus.read(subjects.AUDIO, subjects.audio("s1"))] == []

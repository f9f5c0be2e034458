"""What a real WebRTC peer sends is what comes out on the bus: frames, sound and observations on session time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from ingest.frames import FramePublisher
from ingest.node import Node
from ingest.picture import Picture as Jpeg
from ingest.ring import Ring
from ingest.settings import IngestSettings
from ingest.video import Sampled
from proto import codec, media, observations, subjects
from proto.policy import Analysis
from runtime.bus import Bus
from tests.support.ingest import Heard, running
from tests.support.publisher import AUDIO_RATE_HZ, TONE_HZ, Picture, Publisher, Tone
from tests.support.wait import eventually


@pytest.fixture
async def node(bus: Bus) -> AsyncIterator[Node]:
    async with running(bus, IngestSettings(drain_s=0)) as node:
        yield node


@pytest.fixture
async def heard(bus: Bus) -> AsyncIterator[Heard]:
    async with Heard(bus) as heard:
        yield heard


def continuous(messages: list[media.Audio]) -> None:
    """Every message begins where the one before ended, and is numbered."""
    at_s = messages[0].t_s
    for number, message in enumerate(messages):
        assert message.seq == number
        assert message.t_s == pytest.approx(at_s, abs=1e-6)
        at_s = message.t_s + (0.0 if isinstance(message, media.AudioEnd) else message.duration_s)


def sound(messages: list[media.Audio]) -> tuple[np.ndarray, np.ndarray]:
    """Samples, and the session second of each."""
    chunks = [message for message in messages if isinstance(message, media.AudioChunk)]
    samples = [np.frombuffer(chunk.pcm, "<i2") for chunk in chunks]
    times = [chunk.t_s + np.arange(len(s)) / media.SAMPLE_RATE_HZ for chunk, s in zip(chunks, samples, strict=True)]
    return np.concatenate(samples), np.concatenate(times)


def clicks_s(messages: list[media.Audio]) -> np.ndarray:
    """Session seconds of the clicks of a Tone."""
    samples, times = sound(messages)
    loud = times[np.abs(samples.astype(int)) > 16_000]
    return loud[np.concatenate([[True], np.diff(loud) > 0.5])]


async def test_a_peer_from_offer_to_goodbye(bus: Bus, node: Node, heard: Heard) -> None:
    peer = Publisher(bus, "s1", Picture(fps=15), Tone())
    await peer.start()
    await eventually(lambda: len(heard.frames) >= 16 and len(heard.audio) >= 16, 15)
    await peer.close()
    await eventually(lambda: heard.observed(observations.SourceLost) and heard.ended, 10)

    frames = heard.frames
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert {(frame.session, frame.width_px, frame.height_px) for frame in frames} == {("s1", 640, 360)}
    assert np.diff([frame.t_s for frame in frames]) == pytest.approx(0.2, abs=0.002)
    now_s = frames[0].received_unix_s - peer.created_unix_s
    assert 0 < frames[0].t_s == pytest.approx(now_s, abs=0.2)

    continuous(heard.audio)
    assert [type(message) for message in heard.audio[-1:]] == [media.AudioEnd]
    whole = heard.audio[:-2]
    assert {len(message.pcm) for message in whole if isinstance(message, media.AudioChunk)} == {6400}
    assert all(isinstance(message, media.AudioChunk) for message in whole)
    samples, _ = sound(heard.audio)
    spectrum = np.abs(np.fft.rfft(samples[8000:40_000].astype(float)))
    assert np.argmax(spectrum[1:]) * media.SAMPLE_RATE_HZ / 32_000 == pytest.approx(TONE_HZ, abs=1)
    assert np.diff(clicks_s(heard.audio)) == pytest.approx(1.0, abs=0.001)

    [up] = heard.observed(observations.SourceUp)
    assert (up.source, up.node, up.video, up.audio) == (frames[0].source, node.name, True, True)
    [lost] = heard.observed(observations.SourceLost)
    assert (lost.source, lost.reason) == (up.source, "closed")
    stats = heard.observed(observations.SourceStats)
    assert [entry.seq for entry in stats] == list(range(len(stats)))
    assert stats[-1].frames_sent == len(frames)
    assert stats[-1].packets_lost == 0
    assert stats[-1].packets_received > 100
    assert (stats[-1].width_px, stats[-1].height_px) == (640, 360)


async def test_policy_says_how_often_and_how_large(bus: Bus, node: Node, heard: Heard) -> None:
    analysis = Analysis(fps=2, width_px=320, audio=False)
    peer = Publisher(bus, "s1", Picture(1280, 720), Tone(), analysis=analysis)
    await peer.start()
    await eventually(lambda: len(heard.frames) >= 5, 15)
    await peer.close()
    assert {(frame.width_px, frame.height_px) for frame in heard.frames} == {(320, 180)}
    assert np.diff([frame.t_s for frame in heard.frames]) == pytest.approx(0.5, abs=0.04)
    await eventually(lambda: heard.observed(observations.SourceLost), 10)
    assert heard.audio == []


@pytest.mark.parametrize("emotion", [False, True])
async def test_frames_say_what_is_due_on_them(bus: Bus, node: Node, heard: Heard, emotion: bool) -> None:
    peer = Publisher(bus, "s1", Picture(fps=15), analysis=Analysis(emotion=emotion, keep_text=emotion))
    await peer.start()
    await eventually(lambda: len(heard.frames) >= 13, 15)
    await peer.close()
    start_s = heard.frames[0].t_s
    due = [(round(frame.t_s - start_s, 1), look) for frame in heard.frames for look in frame.looks]
    expected = [(0.0, "objects"), (0.2, "identity"), (0.4, "expression"), (0.6, "objects"), (1.0, "objects")]
    assert due[: 5 if emotion else 4] == [entry for entry in expected if emotion or entry[1] != "expression"]
    assert (1.8, "text") in due
    assert ("expression" in {look for _, look in due}) is emotion
    assert {frame.keep_text for frame in heard.frames} == {emotion}


async def test_what_was_due_on_a_dropped_picture_is_due_on_the_next(
    bus: Bus, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = FramePublisher(bus, "s1", "cam", Ring(1.0, 1000))
    for number, looks in enumerate([("objects", "text"), (), ("objects", "identity"), ()]):
        frames.offer(Sampled(number / 5, 0.0, Jpeg(2, 2, b"jpeg"), looks))
    running = asyncio.create_task(frames.run())
    await eventually(lambda: heard.frames, 5)
    assert (heard.frames[0].t_s, heard.frames[0].looks) == (0.6, ("objects", "text", "identity"))
    assert frames.dropped == 3

    # One that the bus would not take owes its looks, too, and only once.
    publish = bus.publish

    async def refused(*_: object) -> bool:
        return False

    monkeypatch.setattr(bus, "publish", refused)
    frames.offer(Sampled(1.0, 0.0, Jpeg(2, 2, b"jpeg"), ("text",)))
    await eventually(lambda: frames.dropped == 4, 5)
    monkeypatch.setattr(bus, "publish", publish)
    for number in (6, 7):
        frames.offer(Sampled(number / 5, 0.0, Jpeg(2, 2, b"jpeg")))
        await eventually(lambda number=number: len(heard.frames) == number - 4, 5)
    assert [frame.looks for frame in heard.frames[1:]] == [("text",), ()]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("tracks", [[Picture], [Tone]])
async def test_one_track_alone(bus: Bus, node: Node, heard: Heard, tracks: list[Callable[[], Picture | Tone]]) -> None:
    peer = Publisher(bus, "s1", *[make() for make in tracks])
    await peer.start()
    await eventually(lambda: len(heard.frames if tracks == [Picture] else heard.audio) >= 3, 15)
    assert (heard.audio if tracks == [Picture] else heard.frames) == [], "the other track was never offered"
    await peer.close()


async def test_lost_sound_is_a_gap_where_it_was_lost(bus: Bus, node: Node, heard: Heard) -> None:
    """15 packets of 20 ms vanish, later a single one: gaps of exactly that, and the clicks after them stay in time."""
    peer = Publisher(bus, "s1", Tone())
    peer.lose(lambda kind, n: kind == "audio" and (70 <= n < 85 or n == 120))
    await peer.start()
    await eventually(lambda: len(heard.audio) >= 24, 20)
    await peer.close()
    await eventually(lambda: heard.ended, 10)
    continuous(heard.audio)
    gaps = [message for message in heard.audio if isinstance(message, media.AudioGap)]
    assert [gap.reason for gap in gaps] == ["loss", "loss"]
    assert [gap.duration_s for gap in gaps] == pytest.approx([0.3, 0.02], abs=0.003)
    start_s = heard.audio[0].t_s
    assert [gap.t_s - start_s for gap in gaps] == pytest.approx([1.4, 2.4], abs=0.003)
    since_first = clicks_s(heard.audio) - clicks_s(heard.audio)[0]
    assert since_first == pytest.approx(np.round(since_first), abs=0.002)
    stats = heard.observed(observations.SourceStats)
    assert stats[-1].packets_lost == 16


class Pausing(Tone):
    """Falls silent, with its clock running, after 1 s: as discontinuous transmission does."""

    async def recv(self) -> object:
        if self._count == 50:
            self._count += 40
        return await super().recv()


async def test_sound_that_was_not_sent_is_a_pause(bus: Bus, node: Node, heard: Heard) -> None:
    peer = Publisher(bus, "s1", Pausing())
    await peer.start()
    await eventually(lambda: len(heard.audio) >= 12, 15)
    await peer.close()
    await eventually(lambda: heard.ended, 10)
    continuous(heard.audio)
    [gap] = [message for message in heard.audio if isinstance(message, media.AudioGap)]
    assert gap.reason == "pause"
    assert gap.duration_s == pytest.approx(0.8, abs=0.03)


async def test_lost_video_is_sent_again(bus: Bus, node: Node, heard: Heard) -> None:
    """Every 20th packet vanishes once: retransmission brings it back, and no frame is missing."""
    peer = Publisher(bus, "s1", Picture(1280, 720, fps=15))
    peer.lose(lambda kind, n: kind == "video" and n % 20 == 19)
    await peer.start()
    await eventually(lambda: len(heard.frames) >= 16, 20)
    await peer.close()
    assert np.diff([frame.t_s for frame in heard.frames]) == pytest.approx(0.2, abs=0.08)


async def test_video_goes_on_at_a_key_picture_after_a_loss_for_good(bus: Bus, node: Node, heard: Heard) -> None:
    peer = Publisher(bus, "s1", Picture(fps=15))
    peer.lose(lambda kind, n: (kind == "video" and 40 <= n < 50) or (kind == "rtx" and n < 100))
    await peer.start()
    await eventually(lambda: len(heard.frames) >= 30, 25)
    await peer.close()
    await eventually(lambda: heard.observed(observations.SourceLost), 10)
    steps = np.diff([frame.t_s for frame in heard.frames])
    assert steps.max() < 4
    assert heard.observed(observations.SourceStats)[-1].packets_lost >= 10


async def test_candidates_that_come_later(bus: Bus, node: Node, heard: Heard) -> None:
    """Trickle ICE: an offer without candidates, and among the later ones some that are of no use."""
    peer = Publisher(bus, "s1", Picture())
    full = await peer.offer()
    bare = "\r\n".join(line for line in full.splitlines() if "candidate" not in line) + "\r\n"
    answer = await peer.ask(bare)
    peer.take(answer)
    await peer.receive()
    lines = [line for line in full.splitlines() if line.startswith(("a=ice-ufrag", "a=ice-pwd", "a=candidate"))]
    junk = [
        "a=candidate:9 1 udp 5 0a1b2c3d.local 50000 typ host",
        "a=candidate:9 1 tcp 5 192.0.2.1 9 typ host",
        "a=candidate:x",
    ]
    assert await peer.patch("\r\n".join([*lines[:2], "m=video 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", *junk, *lines[2:]]))
    await peer.connected()
    await eventually(lambda: heard.frames, 10)
    await peer.close()


async def test_sound_waits_for_nats_and_frames_do_not(bus: Bus, heard: Heard, nats_server: object) -> None:
    """NATS is away for three seconds: no sound is missing afterwards, and the frames of that time are gone."""
    async with running(bus, IngestSettings(drain_s=0)):
        peer = Publisher(bus, "s1", Picture(), Tone())
        await peer.start()
        await eventually(lambda: len(heard.audio) >= 3 and heard.frames, 10)
        nats_server.stop()
        await eventually(lambda: not bus.connected, 10)
        away = asyncio.get_running_loop().time()
        await eventually(lambda: asyncio.get_running_loop().time() - away > 3, 10)
        nats_server.start()
        await eventually(lambda: bus.connected, 15)
        seen = len(heard.frames)
        await eventually(lambda: len(heard.frames) > seen + 3, 15)
        await peer.close()
        await eventually(lambda: heard.observed(observations.SourceLost), 20)
    stored = [codec.decode(d.data, media.Audio) async for d in bus.read(subjects.AUDIO, subjects.audio("s1"))]
    assert all(isinstance(message, media.AudioChunk | media.AudioEnd) for message in stored)
    continuous(stored)
    assert stored[-1].t_s > 3.5


async def test_a_jump_of_the_media_clock_is_said(bus: Bus, node: Node, heard: Heard) -> None:
    """The sender's clock leaps an hour ahead: session time goes on, and sound says that something moved."""

    class Leaping(Tone):
        async def recv(self) -> object:
            frame = await super().recv()
            if self._count > 60:
                frame.pts += 3600 * AUDIO_RATE_HZ
            return frame

    peer = Publisher(bus, "s1", Leaping())
    await peer.start()
    await eventually(lambda: len(heard.audio) >= 12, 15)
    await peer.close()
    await eventually(lambda: heard.ended, 10)
    assert heard.audio[-1].t_s < 10
    assert all(later.t_s >= earlier.t_s for earlier, later in zip(heard.audio, heard.audio[1:], strict=False))

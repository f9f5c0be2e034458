"""A consumer that stalls costs frames, counted; never memory."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from av import VideoFrame

from ingest import video
from ingest.outbox import AudioOutbox
from ingest.picture import Picture as Jpeg
from ingest.picture import to_jpeg
from ingest.settings import IngestSettings
from proto import observations
from runtime.bus import Bus
from tests.support.ingest import Heard, running
from tests.support.publisher import Picture, Publisher, Tone
from tests.support.wait import eventually

GROWTH_LIMIT_MIB = 32
"""The sender's encoder and whatever ran before share this process and move by some 25; decoded pictures that were kept
for five seconds would be 50 (360p) to 100 (720p)."""


def resident_mib() -> float:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


class Stalled:
    """JPEG encoding that hangs while closed."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()

    def __call__(self, frame: VideoFrame, width_px: int, quality: int) -> Jpeg:
        self.open.wait(60)
        return to_jpeg(frame, width_px, quality)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Stalled:
    stalled = Stalled()
    monkeypatch.setattr(video.VideoTrack.__init__, "__defaults__", (stalled,))
    return stalled


async def grown_mib(seconds: float, watch: asyncio.Event) -> float:
    """How much more memory is held after `seconds` than after the first of them; ends early if `watch` is set."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    first = None
    while loop.time() - start < seconds and not watch.is_set():
        await asyncio.sleep(0.1)
        if first is None and loop.time() - start > 1:
            first = resident_mib()
    return resident_mib() - (first or resident_mib())


async def test_stalled_bus_keeps_one_frame(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishing hangs, appending hangs: one frame waits, the rest is dropped and counted; sound up to its bound."""
    release = asyncio.Event()
    publish, append = bus.publish, bus.append

    async def slow_publish(*args: object) -> bool:
        await release.wait()
        return await publish(*args)

    async def slow_append(subject: str, *args: object, **more: object) -> int:
        if subject.startswith("audio."):
            await release.wait()
        return await append(subject, *args, **more)

    async with Heard(bus) as heard, running(bus, IngestSettings(audio_outbox_s=1, drain_s=0)) as node:
        monkeypatch.setattr(bus, "publish", slow_publish)
        monkeypatch.setattr(bus, "append", slow_append)
        peer = Publisher(bus, "s1", Picture(1280, 720, fps=15), Tone())
        await peer.start()
        await peer.connected()
        growth = await grown_mib(6, release)
        [held] = node.peers
        assert held.video.waiting <= 2
        assert held.audio.waiting <= 7
        assert held.audio.dropped >= 10
        assert growth < GROWTH_LIMIT_MIB
        await eventually(lambda: heard.observed(observations.SourceStats)[-1].frames_dropped >= 20, 5)
        release.set()
        monkeypatch.undo()
        await eventually(lambda: len(heard.frames) >= 3 and len(heard.audio) >= 8, 10)
        assert heard.observed(observations.SourceLost) == []
        assert heard.audio[1].t_s > heard.audio[0].t_s
        await peer.close()


async def test_stalled_encoder_is_thinned_and_recovers(bus: Bus, encoder: Stalled) -> None:
    settings = IngestSettings(thin_after_s=0.3, cut_after_s=60, drain_s=0)
    async with Heard(bus) as heard, running(bus, settings) as node:
        peer = Publisher(bus, "s1", Picture(640, 360, fps=30))
        await peer.start()
        await eventually(lambda: heard.frames, 10)
        encoder.open.clear()
        growth = await grown_mib(5, asyncio.Event())
        [held] = node.peers
        assert held.video.waiting <= 10
        assert held.video.lag_s > 3
        assert held.video.dropped > 60
        assert growth < GROWTH_LIMIT_MIB
        encoder.open.set()
        seen = len(heard.frames)
        await eventually(lambda: len(heard.frames) > seen + 8, 15)
        assert held.video.lag_s < 0.3
        assert heard.frames[-1].received_unix_s - peer.created_unix_s == pytest.approx(heard.frames[-1].t_s, abs=0.5)
        await peer.close()


async def test_session_that_stays_behind_is_cut(bus: Bus, encoder: Stalled) -> None:
    settings = IngestSettings(thin_after_s=0.3, cut_after_s=1.5, drain_s=0)
    async with Heard(bus) as heard, running(bus, settings) as node:
        peer = Publisher(bus, "s1", Picture(640, 360, fps=30), Tone())
        await peer.start()
        await eventually(lambda: heard.frames, 10)
        encoder.open.clear()
        await eventually(lambda: heard.observed(observations.SourceLost), 15)
        assert [lost.reason for lost in heard.observed(observations.SourceLost)] == ["behind"]
        encoder.open.set()
        await eventually(lambda: not node.peers, 5)
        assert heard.ended
        await peer.close()


async def test_node_goes_on_for_others_while_one_is_stalled(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """One session's encoder hangs; the event loop and the other session do not notice."""
    gate = Stalled()
    gate.open.clear()
    stuck: list[int] = []

    def encode(frame: VideoFrame, width_px: int, quality: int) -> Jpeg:
        if frame.width == 320:
            stuck.append(1)
            return gate(frame, width_px, quality)
        return to_jpeg(frame, width_px, quality)

    monkeypatch.setattr(video.VideoTrack.__init__, "__defaults__", (encode,))
    async with Heard(bus) as heard, running(bus, IngestSettings(drain_s=0)):
        peers = [Publisher(bus, "stuck", Picture(320, 180)), Publisher(bus, "well", Picture(640, 360))]
        for peer in peers:
            await peer.start()
        await eventually(lambda: stuck and sum(frame.session == "well" for frame in heard.frames) >= 8, 15)
        assert {frame.session for frame in heard.frames} == {"well"}
        gate.open.set()
        for peer in peers:
            await peer.close()


async def test_peer_whose_worker_breaks_is_ended(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours ends that peer, said as failed, and the node goes on."""
    publish = bus.publish

    async def broken(subject: str, *args: object) -> bool:
        if subject == "frames.s1":
            raise RuntimeError("a fault")
        return await publish(subject, *args)

    async with Heard(bus) as heard, running(bus, IngestSettings(drain_s=0)) as node:
        monkeypatch.setattr(bus, "publish", broken)
        peers = [Publisher(bus, "s1", Picture(320, 180)), Publisher(bus, "s2", Picture(320, 180))]
        for peer in peers:
            await peer.start()
        await eventually(lambda: heard.observed(observations.SourceLost) and len(heard.frames) > 3, 15)
        [lost] = heard.observed(observations.SourceLost)
        assert (lost.session, lost.reason) == ("s1", "failed")
        assert [held.session for held in node.peers] == ["s2"]
        for peer in peers:
            await peer.close()


def test_outbox_of_the_default_size_is_a_megabyte() -> None:
    outbox = AudioOutbox(IngestSettings().audio_outbox_s)
    assert outbox.limit_bytes < 1 << 20

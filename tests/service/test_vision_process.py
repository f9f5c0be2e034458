"""A vision worker as a process of its own: killed in the middle of its work, and ended politely."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proto import codec, subjects
from proto.media import Frame
from proto.observations import FrameSeen
from runtime.bus import Bus
from tests.support.clips import encode_jpeg, picture, scaled
from tests.support.wait import eventually

WORKER = """
import sys
from inference.vision.service import serve
from inference.vision.settings import VisionSettings
from runtime.lifecycle import run
sys.exit(run("vision", VisionSettings, serve))
"""
SESSIONS = ("a", "b", "c")


@asynccontextmanager
async def worker(nats_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, env=os.environ | {"CANDOR_NATS_URL": nats_url}, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def feeding(bus: Bus, jpeg: bytes) -> AsyncIterator[None]:
    """Frames of three sessions, ten a second each, until the end."""

    async def feed() -> None:
        for seq in itertools.count():
            for session in SESSIONS:
                frame = Frame(session, "peer", seq, seq / 10, 320, 439, jpeg, time.time())
                await bus.publish(subjects.frames(session), frame)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def seen(bus: Bus, session: str) -> list[int]:
    deliveries = bus.read(subjects.LOG, subjects.log(session, "frame.seen"))
    return [codec.decode(delivery.data, FrameSeen).seq async for delivery in deliveries]


async def more_than(bus: Bus, counts: dict[str, int], extra: int) -> bool:
    return all([len(await seen(bus, session)) >= counts[session] + extra for session in SESSIONS])


@pytest.fixture
def portrait(media: Path) -> bytes:
    return encode_jpeg(scaled(picture(media / "photos" / "person_a_1.jpg"), 320))


async def test_a_killed_worker_is_replaced_and_nothing_counts_twice(bus: Bus, nats_url: str, portrait: bytes) -> None:
    async with feeding(bus, portrait):
        async with worker(nats_url) as first:
            await eventually(lambda: more_than(bus, dict.fromkeys(SESSIONS, 0), 3), 40)
            first.send_signal(signal.SIGKILL)
            await first.wait()
        before = {session: len(await seen(bus, session)) for session in SESSIONS}
        async with worker(nats_url) as second:
            await eventually(lambda: more_than(bus, before, 3), 40)
            second.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(second.wait(), 20) == 0
    for session in SESSIONS:
        seqs = await seen(bus, session)
        assert len(seqs) == len(set(seqs))


async def test_two_workers_share_the_sessions_and_never_a_frame(bus: Bus, nats_url: str, portrait: bytes) -> None:
    async with worker(nats_url) as one, worker(nats_url) as other, feeding(bus, portrait):
        await eventually(lambda: more_than(bus, dict.fromkeys(SESSIONS, 0), 10), 60)
        for process in (one, other):
            process.send_signal(signal.SIGTERM)
        assert [await asyncio.wait_for(process.wait(), 20) for process in (one, other)] == [0, 0]
    for session in SESSIONS:
        seqs = await seen(bus, session)
        assert len(seqs) == len(set(seqs))

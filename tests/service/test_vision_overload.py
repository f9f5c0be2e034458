"""More sessions than a worker can do: everybody gets the same share, frames are done young, the dear goes first."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import numpy as np
import pytest

from inference.backends import registry
from inference.vision import metrics
from proto import subjects
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support import models_that_misbehave
from tests.support.clips import encode_jpeg
from tests.support.models_that_misbehave import SlowDetector
from tests.support.vision import frame, send, vision, wait_for_log
from tests.support.wait import eventually

FPS = 5
GREY = encode_jpeg(np.full((64, 64, 3), 120, dtype=np.uint8))


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty frames a second, on any machine."""
    monkeypatch.setitem(registry.BACKENDS, "face-detector", models_that_misbehave.STEADY)


@asynccontextmanager
async def feeding(bus: Bus, sessions: int, looks: tuple[str, ...] = ()) -> AsyncIterator[None]:
    """So many sessions at 5 fps, each always at the same moment of the period."""
    begin = time.monotonic()

    async def feed(number: int) -> None:
        for seq in itertools.count():
            at = begin + number / sessions / FPS + seq / FPS
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            one = msgspec.structs.replace(frame(f"s{number}", seq, GREY, seq / FPS), looks=looks)
            await bus.publish(subjects.frames(one.session), one)

    tasks = [asyncio.create_task(feed(number)) for number in range(sessions)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def shares(bus: Bus) -> Counter[str]:
    deliveries = bus.read(subjects.LOG, subjects.log_kind("frame.seen"))
    return Counter([subjects.session_of(delivery.subject) async for delivery in deliveries])


async def seen_in_all(bus: Bus) -> int:
    return sum((await bus.info(subjects.LOG, subjects.log_kind("frame.seen"))).subjects.values())


@pytest.mark.parametrize("workers", [1, 2])
async def test_shares_are_even_when_there_is_time_for_half(
    bus: Bus, connect: Connect, steady: None, workers: int
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(workers):
            await stack.enter_async_context(vision(await connect(), person=False, hands=False))
        async with feeding(bus, 20 * workers):
            await eventually(lambda: _enough(bus, 220 * workers), 60, "220 frames a worker")
    counts = await shares(bus)
    assert len(counts) == 20 * workers
    assert max(counts.values()) / min(counts.values()) <= 1.5, sorted(counts.values())


async def _enough(bus: Bus, count: int) -> bool:
    return await seen_in_all(bus) >= count


async def test_what_there_is_no_time_for_goes_back_and_another_worker_takes_it(
    bus: Bus, connect: Connect, portrait: bytes, slow_detector: type[SlowDetector]
) -> None:
    async with vision(await connect(), batch_frames=1):
        await send(bus, [frame("first", 0, portrait)])
        await eventually(lambda: slow_detector.batches == [1])
        await send(bus, [frame(f"s{number}", 0, portrait) for number in range(3)])
        returned = metrics.RETURNED._value.get()
        slow_detector.permits.release()
        # The slow one has one of the three in hand and gave back two.
        await eventually(lambda: slow_detector.batches == [1, 1] and metrics.RETURNED._value.get() == returned + 2)
        async with vision(await connect(), batch_frames=1):
            slow_detector.permits.release(20)
            for number in range(3):
                await wait_for_log(bus, f"s{number}", 1)


async def test_overload_leaves_out_the_dear_looks_but_never_the_faces(
    bus: Bus, connect: Connect, steady: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.BACKENDS, "yolo", models_that_misbehave.BRITTLE_OBJECTS)
    monkeypatch.setattr("inference.vision.schedule.PRESSURE_S", 0.2)
    before = metrics.SHED.labels("expression")._value.get()
    # Any model that is here will do: the one that stands in for the detector reads none.
    settings = {"person": False, "hands": False, "objects_model": "face-mesh"}
    async with vision(await connect(), **settings), feeding(bus, 20, ("objects", "expression")):
        await eventually(lambda: metrics.SHED.labels("expression")._value.get() > before, 30)
        count = await seen_in_all(bus)
        await eventually(lambda: _enough(bus, count + 20), 20, "frames go on")

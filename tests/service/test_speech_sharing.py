"""Two speech workers and the sessions that they share: the one with more room takes what comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from inference.backends.silero import SileroBackend
from inference.backends.whisper import Passage
from inference.speech import metrics
from inference.speech.decoding import Decoder
from inference.speech.encoder import VoiceEncoder
from inference.speech.service import Worker
from inference.speech.settings import SpeechSettings
from proto import subjects
from proto.observations import SpeechHeard
from runtime.bus import Bus
from runtime.leases import Leases
from tests.support.sessions import create_session, observations, send
from tests.support.speech import TEST_MODEL, messages
from tests.support.wait import eventually

Connect = Callable[[], Awaitable[Bus]]
QUIET = np.zeros(16_000 * 2, np.int16)


class Busy(Decoder):
    """A decoder that has had as much to do as the test says."""

    busy = 0.0

    @property
    def realtime_factor(self) -> float:
        return self.busy


@pytest.fixture
def settings(models_dir: Path, tmp_path: Path) -> SpeechSettings:
    return SpeechSettings(
        model=str(models_dir / TEST_MODEL), models_dir=tmp_path, device="cpu", compute_type="int8", threads=1
    )


@asynccontextmanager
async def crew(connect: Connect, settings: SpeechSettings, **busy: float) -> AsyncIterator[None]:
    """Workers by name, each with the real-time factor of its decoding."""
    stop = asyncio.Event()
    silero = SileroBackend()
    silero.load()
    async with AsyncExitStack() as stack:
        tasks = []
        for name, factor in busy.items():
            bus = await connect()
            leases = await stack.enter_async_context(Leases(bus, name))
            decoder = await stack.enter_async_context(Busy(settings))
            decoder.busy = factor
            await decoder.ensure()
            encoder = await stack.enter_async_context(VoiceEncoder(settings))
            worker = Worker(settings, bus, leases, silero, decoder, encoder)
            tasks.append(asyncio.create_task(worker.run(stop)))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 20)


async def owners(bus: Bus, sessions: list[str]) -> list[str]:
    """Who has each session; "" where nobody has."""
    async with Leases(bus, "onlooker") as leases:
        held = await leases.owners()
    return [held.get(subjects.lease_audio(session), "") for session in sessions]


async def all_taken(bus: Bus, sessions: list[str]) -> bool:
    return all(await owners(bus, sessions))


async def begin(bus: Bus, sessions: list[str]) -> None:
    for session in sessions:
        await create_session(bus, session)
        await send(bus, messages(QUIET, session, end=False))


async def test_sessions_that_come_at_once_are_shared_evenly(
    bus: Bus, connect: Connect, settings: SpeechSettings
) -> None:
    sessions = [f"s{number}" for number in range(8)]
    async with crew(connect, settings.model_copy(update={"max_sessions": 10}), one=0.0, other=0.0):
        await begin(bus, sessions)
        await eventually(lambda: all_taken(bus, sessions), 30)
        found = await owners(bus, sessions)
    assert sorted(set(found)) == ["one", "other"]
    assert 3 <= found.count("one") <= 5


async def test_a_saturated_worker_leaves_sessions_to_one_that_is_not(
    bus: Bus, connect: Connect, settings: SpeechSettings
) -> None:
    sessions = [f"s{number}" for number in range(6)]
    async with crew(connect, settings, saturated=0.95, free=0.1):
        await begin(bus, sessions)
        await eventually(lambda: all_taken(bus, sessions), 30)
        assert await owners(bus, sessions) == ["free"] * 6


async def test_a_saturated_worker_that_is_alone_takes_them_all_the_same(
    bus: Bus, connect: Connect, settings: SpeechSettings
) -> None:
    async with crew(connect, settings, saturated=0.95):
        await begin(bus, ["s1"])
        await eventually(lambda: all_taken(bus, ["s1"]), 30)
        await eventually(lambda: observations(bus, "s1", "speech.heard", SpeechHeard), 20)


async def test_the_load_is_told(bus: Bus, connect: Connect, settings: SpeechSettings) -> None:
    async with crew(connect, settings, one=0.42):
        await eventually(lambda: metrics.REALTIME_FACTOR._value.get() == 0.42, 10)


async def test_decoding_is_load(settings: SpeechSettings) -> None:
    async with Decoder(settings) as decoder:
        await decoder.ensure()
        assert decoder.realtime_factor == 0.0
        await decoder.decode(Passage(np.zeros(16_000 * 5, np.float32)), "final")
        assert decoder.realtime_factor > 0.0

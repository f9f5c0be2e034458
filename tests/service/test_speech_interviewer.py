"""An interviewer's sound in AUDIO: the worker hears the candidate as if it were not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from inference.speech.hearing import Event, Hearing
from inference.speech.service import serve
from inference.speech.settings import SpeechSettings
from proto.media import Audio
from proto.observations import FeatureStatus, SpeechHeard, WordsCommitted
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support.sessions import create_session, observations, send
from tests.support.speech import Clip, load, messages
from tests.support.wait import eventually

THEIRS = "interviewer-0f3a9c1e5b7d2468"


@pytest.fixture
def clip(media: Path) -> Clip:
    return load(media)["07_pause_3s"]


@pytest.fixture
def settings(tmp_path: Path) -> SpeechSettings:
    """Without weights: who is heard does not hang on what is understood."""
    return SpeechSettings(model="whisper-tiny", models_dir=tmp_path)


@asynccontextmanager
async def worker(connect: Connect, settings: SpeechSettings) -> AsyncIterator[None]:
    bus, stop = await connect(), asyncio.Event()
    task = asyncio.create_task(serve(settings, bus, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def seconds_of(bus: Bus, session: str) -> list[SpeechHeard]:
    return await observations(bus, session, "speech.heard", SpeechHeard)


async def heard_until(bus: Bus, session: str, second: int) -> bool:
    seconds = await seconds_of(bus, session)
    return bool(seconds) and seconds[-1].seq >= second


def seen(second: SpeechHeard) -> SpeechHeard:
    """A second but for where it stands in the stream."""
    return msgspec.structs.replace(second, session="", resume_seq=0)


async def test_an_interviewer_alone_is_no_speech_of_the_candidate(
    bus: Bus, connect: Connect, settings: SpeechSettings, clip: Clip
) -> None:
    for session in ("s1", "s2"):
        await create_session(bus, session)
    async with worker(connect, settings):
        await send(bus, messages(clip.samples, "s1", source=THEIRS))
        # The session was found and taken, as it must be for when the candidate comes.
        await eventually(lambda: observations(bus, "s1", "feature.status", FeatureStatus), 20)
        await send(bus, messages(clip.samples, "s2"))
        await eventually(lambda: heard_until(bus, "s2", 9), 20)
    assert await seconds_of(bus, "s1") == []
    assert await observations(bus, "s1", "words.committed", WordsCommitted) == []


async def test_what_is_heard_of_the_candidate_is_the_same_with_and_without(
    bus: Bus, connect: Connect, settings: SpeechSettings, clip: Clip
) -> None:
    """The interviewer speaks before, over and after the candidate, and hangs up in between."""
    for session in ("s1", "s2"):
        await create_session(bus, session)
    alone: list[Audio] = messages(clip.samples, "s1", t_s=2.0)
    theirs = messages(clip.samples[::-1].copy(), "s2", source=THEIRS, t_s=0.5)
    ours: list[Audio] = [msgspec.structs.replace(message, session="s2") for message in alone]
    mixed = sorted([*ours, *theirs], key=lambda message: message.t_s)
    mixed.append(msgspec.structs.replace(theirs[0], source="interviewer-1", t_s=20.0))
    async with worker(connect, settings):
        await send(bus, alone)
        await send(bus, mixed)
        for session in ("s1", "s2"):
            await eventually(lambda session=session: heard_until(bus, session, 11), 20)
    expected, found = await seconds_of(bus, "s1"), await seconds_of(bus, "s2")
    assert [seen(second) for second in found] == [seen(second) for second in expected]
    assert sum(second.speech_s for second in found) > 2.0
    assert sum(second.gap_s for second in found) == 0.0


async def test_an_interviewer_who_talks_on_does_not_keep_the_candidates_last_second_waiting(
    bus: Bus, connect: Connect, settings: SpeechSettings, clip: Clip
) -> None:
    """The candidate vanishes without a farewell while they speak; the interviewer asks whether they are still there."""
    await create_session(bus, "s1")
    stalls = settings.model_copy(update={"stall_s": 1.0, "idle_release_s": 60.0})
    theirs = messages(clip.samples, "s1", source=THEIRS, end=False)
    silent: list[str] = []
    stall = Hearing.stall

    def noted(self: Hearing) -> list[Event]:
        silent.append("stalled")
        return stall(self)

    async with worker(connect, stalls):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Hearing, "stall", noted)
            await send(bus, messages(clip.samples[:16_000], "s1", end=False))
            for message in theirs:
                await send(bus, [message])
                await asyncio.sleep(0.1)
                if silent:
                    break
    assert silent, "while the interviewer talked nobody noticed that the candidate was gone"

"""Whose voice it is, on a real bus with the real encoder: numbers in the log, takeovers, the interviewer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from inference.speech.encoder import VoiceEncoder
from inference.speech.service import serve
from inference.speech.settings import SpeechSettings
from proto import codec, subjects
from proto.media import CHUNK_S, SAMPLE_RATE_HZ
from proto.observations import FeatureStatus, VoiceHeard, WordsCommitted
from runtime.bus import Bus
from tests.support.sessions import POLICY, create_session, observations, send
from tests.support.speech import messages, read
from tests.support.wait import eventually

Connect = Callable[[], Awaitable[Bus]]
Samples = np.ndarray

PAUSE = np.zeros(SAMPLE_RATE_HZ, np.int16)


@pytest.fixture
def settings(models_dir: Path, tmp_path: Path) -> SpeechSettings:
    # Without text: the folder has a Whisper only for synthetic speech.
    return SpeechSettings(model=str(tmp_path / "none"), models_dir=models_dir, device="cpu")


class Worker:
    """One worker of this process, that can be stopped without a farewell."""

    def __init__(self, connect: Connect, settings: SpeechSettings) -> None:
        self._connect, self._settings = connect, settings
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(serve(self._settings, await self._connect(), self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.wait_for(self._task, 30)


@pytest.fixture
def readers(media: Path) -> dict[str, Samples]:
    """12 s of three people each."""
    found: dict[str, Samples] = {}
    for path in sorted((media / "audio" / "speakers").glob("*.flac")):
        name = path.name.partition("-")[0]
        found[name] = np.concatenate([found.get(name, np.zeros(0, np.int16)), read(path)])
    return {name: samples[: 12 * SAMPLE_RATE_HZ] for name, samples in found.items()}


def joined(*parts: Samples) -> Samples:
    return np.concatenate([piece for part in parts for piece in (part, PAUSE)])


async def voices(bus: Bus, session: str) -> list[VoiceHeard]:
    deliveries = bus.read(subjects.LOG, subjects.log(session, "voice.heard"))
    return [codec.decode(d.data, VoiceHeard) async for d in deliveries if not d.data.startswith(b"\xc1")]


async def over(bus: Bus, session: str, until_s: float) -> bool:
    found = await voices(bus, session)
    return bool(found) and found[-1].t_s + found[-1].duration_s >= until_s


def shares(found: Sequence[VoiceHeard]) -> dict[int | None, float]:
    total: dict[int | None, float] = {}
    for one in found:
        total[one.voice] = total.get(one.voice, 0.0) + one.duration_s
    return total


async def test_two_readers_are_two_voices_and_one_is_one(
    bus: Bus, connect: Connect, settings: SpeechSettings, readers: dict[str, Samples]
) -> None:
    first, second, *_ = readers.values()
    # A voice that is a little like the first counts as another only once the first was heard again.
    parts = (first, second, first[: 6 * SAMPLE_RATE_HZ], second)
    sounds = {"one": joined(first), "two": joined(*parts)}
    async with Worker(connect, settings):
        for session, samples in sounds.items():
            await create_session(bus, session)
            await send(bus, messages(samples, session))
        await eventually(lambda: over(bus, "one", 10.0), 30)
        await eventually(lambda: over(bus, "two", 43.0), 30)
    told = shares(await voices(bus, "one"))
    assert set(told) <= {0, None}
    assert told[0] > 6.0
    found = await voices(bus, "two")
    told = shares(found)
    assert set(told) <= {0, 1, None}
    assert min(told[0], told[1]) > 5.0
    assert {one.voice for one in found if one.t_s < 12.0} <= {0, None}
    assert {one.voice for one in found if 13.5 < one.t_s < 24.0} <= {1, None}
    assert {one.voice for one in found if 27.5 < one.t_s < 31.5} == {0}
    assert {one.voice for one in found if one.t_s > 35.0} == {1}
    assert all(one.model == "voice-encoder" and one.role == "" for one in found)
    (status,) = [
        one for one in await observations(bus, "two", "feature.status", FeatureStatus) if one.feature == "voices"
    ]
    assert status.available
    for delivery in [d async for d in bus.read(subjects.LOG, subjects.log("two", "voice.heard"))]:
        assert len(delivery.data) < 400, "no embedding is in the log"


async def test_a_successor_goes_on_with_the_same_numbers(
    bus: Bus, connect: Connect, settings: SpeechSettings, readers: dict[str, Samples]
) -> None:
    first, second, *_ = readers.values()
    sound = messages(joined(first, second, first[: 6 * SAMPLE_RATE_HZ], second[: 6 * SAMPLE_RATE_HZ]), "s1")
    await create_session(bus, "s1")
    cut = round(len(sound) * 0.62)
    async with Worker(connect, settings):
        await send(bus, sound[:cut])
        await eventually(lambda: over(bus, "s1", 22.0), 30)
    before = await voices(bus, "s1")
    # What is no observation must not keep a successor from the session.
    await bus._client.publish(subjects.log("s1", "voice.heard"), b"\xc1 nonsense")
    async with Worker(connect, settings):
        await send(bus, sound[cut:])
        await eventually(lambda: over(bus, "s1", 37.0), 30)
    found = await voices(bus, "s1")
    assert found[: len(before)] == before
    assert len({one.seq for one in found}) == len(found)
    assert {one.voice for one in found if 27.5 < one.t_s < 31.5} == {0}
    assert {one.voice for one in found if one.t_s > 34.5} == {1}


async def test_the_interviewers_own_source_is_no_second_voice(
    bus: Bus, connect: Connect, settings: SpeechSettings, readers: dict[str, Samples]
) -> None:
    candidate, interviewer, *_ = readers.values()
    await create_session(bus, "s1")
    theirs = messages(joined(interviewer, interviewer[: 4 * SAMPLE_RATE_HZ]), "s1", source="interviewer-1", end=False)
    # The interviewer is heard through the candidate's loudspeaker, too.
    mine = messages(joined(candidate, interviewer[: 6 * SAMPLE_RATE_HZ]), "s1", t_s=18.0)
    async with Worker(connect, settings):
        await send(bus, theirs)
        await send(bus, mine)
        await eventually(lambda: over(bus, "s1", 36.0), 30)
        words = await observations(bus, "s1", "words.committed", WordsCommitted)
    found = await voices(bus, "s1")
    assert words == []
    assert all(one.t_s >= 17.9 for one in found), "what the interviewer's source says is not the candidate's"
    assert {one.role for one in found if one.t_s < 30.0} == {""}
    assert [one.role for one in found if one.t_s > 32.0].count("interviewer") >= 3


async def test_a_successor_knows_the_interviewers_voice_again(
    bus: Bus, connect: Connect, settings: SpeechSettings, readers: dict[str, Samples]
) -> None:
    candidate, interviewer, *_ = readers.values()
    await create_session(bus, "s1")
    theirs = messages(joined(interviewer, interviewer[: 4 * SAMPLE_RATE_HZ]), "s1", source="interviewer-1", end=False)
    mine = messages(joined(candidate, interviewer[: 6 * SAMPLE_RATE_HZ]), "s1", t_s=18.0)
    cut = round(13.0 / CHUNK_S)
    async with Worker(connect, settings):
        await send(bus, theirs)
        await send(bus, mine[:cut])
        await eventually(lambda: over(bus, "s1", 28.0), 30)
    async with Worker(connect, settings):
        await send(bus, mine[cut:])
        await eventually(lambda: over(bus, "s1", 36.0), 30)
    found = await voices(bus, "s1")
    assert [one.role for one in found if one.t_s > 32.0].count("interviewer") >= 3


async def test_an_encoder_that_fails_costs_the_voice_and_nothing_else(
    bus: Bus, connect: Connect, settings: SpeechSettings, readers: dict[str, Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(VoiceEncoder, "_embed", broken)
    (first, *_) = readers.values()
    await create_session(bus, "s1")
    async with Worker(connect, settings):
        await send(bus, messages(joined(first), "s1"))
        await eventually(lambda: over(bus, "s1", 10.0), 30)
    found = await voices(bus, "s1")
    assert {one.voice for one in found} == {None}
    assert "failed" in {one.reason for one in found}
    dead = [delivery async for delivery in bus.read(subjects.DEAD, subjects.dead("speech"))]
    assert dead == []


async def test_a_policy_and_a_missing_model_say_so(
    bus: Bus, connect: Connect, settings: SpeechSettings, readers: dict[str, Samples], tmp_path: Path
) -> None:
    (first, *_) = readers.values()
    await create_session(bus, "off", POLICY + "[analysis]\nvoices = false\n")
    await create_session(bus, "lacks")
    async with Worker(connect, settings):
        await send(bus, messages(first, "off"))
        await eventually(lambda: status_of(bus, "off"), 20)
    async with Worker(connect, settings.model_copy(update={"models_dir": tmp_path})):
        await send(bus, messages(first, "lacks"))
        await eventually(lambda: status_of(bus, "lacks"), 20)
    off, lacks = await status_of(bus, "off"), await status_of(bus, "lacks")
    assert (off.available, off.command) == (False, "")
    assert (lacks.available, lacks.command) == (False, "candor models pull voice-encoder")
    for session in ("off", "lacks"):
        assert await voices(bus, session) == []


async def status_of(bus: Bus, session: str) -> FeatureStatus | None:
    deliveries = bus.read(subjects.LOG, subjects.log(session, "feature.status"))
    found = [codec.decode(delivery.data, FeatureStatus) async for delivery in deliveries]
    return next((one for one in found if one.feature == "voices"), None)

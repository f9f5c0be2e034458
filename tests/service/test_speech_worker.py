"""A speech worker on a real bus: what it writes to the log, and to whom it tells what is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.transcripts import word_errors
from inference.speech import metrics
from inference.speech.service import serve
from inference.speech.settings import SpeechSettings
from inference.speech.timeline import Stretch, Timeline
from proto import codec, subjects
from proto.media import Audio, AudioGap
from proto.observations import FeatureStatus, SpeechHeard, WordsCommitted
from proto.views import Committed, Live, Tentative
from runtime.bus import Bus
from tests.support.sessions import POLICY, create_session, observations, send
from tests.support.speech import TEST_MODEL, Clip, load, messages
from tests.support.wait import eventually

Connect = Callable[[], Awaitable[Bus]]


@pytest.fixture
def clips(media: Path) -> dict[str, Clip]:
    return load(media)


@pytest.fixture
def settings(models_dir: Path, tmp_path: Path) -> SpeechSettings:
    return SpeechSettings(
        model=str(models_dir / TEST_MODEL), models_dir=tmp_path, device="cpu", compute_type="int8", threads=1
    )


@asynccontextmanager
async def worker(connect: Connect, settings: SpeechSettings) -> AsyncIterator[Bus]:
    bus, stop = await connect(), asyncio.Event()
    task = asyncio.create_task(serve(settings, bus, stop))
    try:
        yield bus
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def words_of(bus: Bus, session: str) -> list[WordsCommitted]:
    return await observations(bus, session, "words.committed", WordsCommitted)


async def seconds_of(bus: Bus, session: str) -> list[SpeechHeard]:
    return await observations(bus, session, "speech.heard", SpeechHeard)


async def status_of(bus: Bus, session: str) -> FeatureStatus:
    """What was said, once, of the transcript."""
    told = await observations(bus, session, "feature.status", FeatureStatus)
    (status,) = [status for status in told if status.feature == "transcript"]
    return status


def text_of(commits: list[WordsCommitted]) -> list[str]:
    return [word.text for commit in commits for word in commit.words]


async def finished(bus: Bus, session: str) -> bool:
    commits = await words_of(bus, session)
    return bool(commits) and commits[-1].final


async def heard_until(bus: Bus, session: str, second: int) -> bool:
    seconds = await seconds_of(bus, session)
    return bool(seconds) and seconds[-1].seq >= second


async def test_sound_becomes_words_seconds_and_live_text(
    bus: Bus, connect: Connect, settings: SpeechSettings, clips: dict[str, Clip]
) -> None:
    clip = clips["02_short_gb"]
    await create_session(bus, "s1")
    told: list[Live] = []

    async def watch() -> None:
        async with bus.subscribe(subjects.live("s1")) as sub:
            while True:
                if (delivery := await sub.next(1.0)) is not None:
                    told.append(codec.decode(delivery.data, Live))

    watching = asyncio.create_task(watch())
    async with worker(connect, settings) as used:
        await send(bus, messages(clip.samples, "s1", t_s=5.0))
        await eventually(lambda: finished(bus, "s1"), 30)
        await eventually(lambda: heard_until(bus, "s1", 8), 10)
        assert used.health.providers() == {TEST_MODEL: "cpu", "silero-vad-v6": "CPUExecutionProvider"}
    watching.cancel()

    commits = await words_of(bus, "s1")
    assert text_of(commits) == clip.text.split()
    assert [commit.seq for commit in commits] == list(range(len(commits)))
    assert [commit.final for commit in commits] == [False] * (len(commits) - 1) + [True]
    assert {commit.model for commit in commits} == {TEST_MODEL}
    heard = [word for commit in commits for word in commit.words]
    assert all(abs(a.start_s - 5.0 - b.start_s) < 0.15 for a, b in zip(heard, clip.words, strict=True))

    seconds = await seconds_of(bus, "s1")
    assert [second.seq for second in seconds] == [5, 6, 7, 8]
    assert sum(second.duration_s for second in seconds) == pytest.approx(clip.duration_s, abs=0.01)

    said = " ".join(message.text for message in told if isinstance(message, Committed))
    assert said == clip.text
    tentative = [message for message in told if isinstance(message, Tentative)]
    assert any(message.text for message in tentative)
    assert tentative[-1].text == ""
    status = await status_of(bus, "s1")
    assert status.available


async def test_without_weights_it_hears_and_says_what_is_missing(
    bus: Bus, connect: Connect, tmp_path: Path, clips: dict[str, Clip]
) -> None:
    await create_session(bus, "s1")
    async with worker(connect, SpeechSettings(model="whisper-tiny", models_dir=tmp_path)) as used:
        await send(bus, messages(clips["07_pause_3s"].samples, "s1"))
        await eventually(lambda: heard_until(bus, "s1", 9), 20)
        status = await status_of(bus, "s1")
        assert not status.available
        assert status.command == "candor models pull whisper-tiny"
        assert used.health.ready
        (part,) = [part for part in used.health.parts() if part.name == "feature:transcript"]
        assert not part.ok
        assert "candor models pull whisper-tiny" in part.detail
    assert await words_of(bus, "s1") == []
    seconds = await seconds_of(bus, "s1")
    assert [second.seq for second in seconds] == list(range(10))
    assert max(second.ended_pause_s for second in seconds) > 2.5


async def test_broken_weights_are_missing_weights(bus: Bus, connect: Connect, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (folder / name).write_bytes(b"{}")
    await create_session(bus, "s1")
    async with worker(connect, SpeechSettings(model=str(folder), models_dir=tmp_path)):
        await send(bus, messages(np.zeros(48_000, np.int16), "s1"))
        await eventually(lambda: heard_until(bus, "s1", 2), 20)
    status = await status_of(bus, "s1")
    assert not status.available
    assert "does not load" in status.reason


async def test_a_poisoned_message_is_put_aside_and_the_rest_is_heard(
    bus: Bus, connect: Connect, settings: SpeechSettings, clips: dict[str, Clip]
) -> None:
    clip = clips["02_short_gb"]
    await create_session(bus, "s1")
    sound = messages(clip.samples, "s1")
    await send(bus, sound[:6])
    odd = [
        AudioGap("s1", "peer-1", 6, float("nan"), 1.0, "loss"),
        Committed(session="s1", utterance=0, start_s=0.0, end_s=0.0, text="no sound"),
    ]
    for number, message in enumerate(odd):
        await bus.append(subjects.audio("s1"), message, f"odd-{number}")
    await send(bus, sound[6:])
    async with worker(connect, settings):
        await eventually(lambda: finished(bus, "s1"), 30)
    assert text_of(await words_of(bus, "s1")) == clip.text.split()
    dead = [delivery async for delivery in bus.read(subjects.DEAD, subjects.dead("speech"))]
    assert [delivery.data for delivery in dead] == [codec.encode(message) for message in odd]


async def test_a_message_that_breaks_the_listener_is_put_aside_too(
    bus: Bus, connect: Connect, settings: SpeechSettings, clips: dict[str, Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clips["02_short_gb"]
    take = Timeline.take

    def breaking(self: Timeline, message: Audio, seq: int) -> list[Stretch]:
        if message.source == "odd":
            raise ZeroDivisionError
        return take(self, message, seq)

    monkeypatch.setattr(Timeline, "take", breaking)
    await create_session(bus, "s1")
    sound = messages(clip.samples, "s1")
    await send(bus, sound[:8])
    await send(bus, messages(clip.samples[:3200], "s1", source="odd", end=False))
    await send(bus, sound[8:])
    async with worker(connect, settings):
        await eventually(lambda: finished(bus, "s1"), 30)
    assert text_of(await words_of(bus, "s1")) == clip.text.split()
    assert [second.seq for second in await seconds_of(bus, "s1")] == [0, 1, 2, 3]
    assert len([delivery async for delivery in bus.read(subjects.DEAD, subjects.dead("speech"))]) == 1


async def test_the_policy_is_honoured(
    bus: Bus, connect: Connect, settings: SpeechSettings, clips: dict[str, Clip]
) -> None:
    await create_session(bus, "deaf", POLICY + "[analysis]\naudio = false\n")
    await create_session(bus, "mute", POLICY + "[analysis]\ntranscript = false\n")
    async with worker(connect, settings):
        for session in ("deaf", "mute", "nobody"):
            await send(bus, messages(clips["01_short_us"].samples, session))
        await eventually(lambda: heard_until(bus, "mute", 3), 20)
    status = await status_of(bus, "mute")
    assert (status.available, status.command) == (False, "")
    assert await words_of(bus, "mute") == []
    for session in ("deaf", "nobody"):
        assert await seconds_of(bus, session) == []


async def test_lost_sound_is_told_as_a_gap(bus: Bus, connect: Connect, settings: SpeechSettings) -> None:
    await create_session(bus, "s1")
    sound = messages(np.zeros(16_000 * 6, np.int16), "s1")
    async with worker(connect, settings):
        await send(bus, sound[:7])
        await bus.append(subjects.audio("s1"), AudioGap("s1", "peer-1", 7, 1.4, 2.0, "loss"), "gap")
        await send(bus, sound[17:])
        await eventually(lambda: heard_until(bus, "s1", 5), 20)
    seconds = await seconds_of(bus, "s1")
    assert [round(second.gap_s, 2) for second in seconds] == [0.0, 0.6, 1.0, 0.4, 0.0, 0.0]
    assert all(second.speech_s == 0 for second in seconds)


async def test_two_people_after_one_another_in_one_session(
    bus: Bus, connect: Connect, settings: SpeechSettings, clips: dict[str, Clip]
) -> None:
    """A peer goes, another comes later: seconds and utterances go on counting."""
    first, second = clips["01_short_us"], clips["02_short_gb"]
    await create_session(bus, "s1")
    async with worker(connect, settings):
        await send(bus, messages(first.samples, "s1"))
        await eventually(lambda: finished(bus, "s1"), 30)
        await send(bus, messages(second.samples, "s1", source="peer-2", t_s=60.0))
        await eventually(lambda: heard_until(bus, "s1", 62), 30)
        await eventually(lambda: finished(bus, "s1"), 30)
    commits = await words_of(bus, "s1")
    assert text_of(commits) == first.text.split() + second.text.split()
    assert sorted({commit.utterance for commit in commits}) == [0, 1]
    assert [second.seq for second in await seconds_of(bus, "s1")] == [0, 1, 2, 3, 60, 61, 62, 63]
    assert all(second.gap_s == 0 for second in await seconds_of(bus, "s1"))


async def test_a_wire_that_falls_silent_finishes_what_was_said(
    bus: Bus, connect: Connect, settings: SpeechSettings, clips: dict[str, Clip]
) -> None:
    clip = clips["02_short_gb"]
    await create_session(bus, "s1")
    async with worker(connect, settings.model_copy(update={"stall_s": 1.0})):
        await send(bus, messages(clip.samples[: 16_000 * 2], "s1", end=False))
        await eventually(lambda: finished(bus, "s1"), 30)
    said = [word.text for word in clip.words if word.end_s < 1.9]
    assert word_errors(said, text_of(await words_of(bus, "s1"))) <= 1


async def test_a_full_worker_leaves_sessions_to_others(bus: Bus, connect: Connect, settings: SpeechSettings) -> None:
    small = settings.model_copy(update={"max_sessions": 1})
    quiet = np.zeros(16_000 * 3, np.int16)
    for session in ("s1", "s2"):
        await create_session(bus, session)
    async with worker(connect, small):
        await send(bus, messages(quiet, "s1", end=False))
        await eventually(lambda: heard_until(bus, "s1", 2), 20)
        assert metrics.FREE._value.get() == 0
        await send(bus, messages(quiet, "s2", end=False))
        before = metrics.TURNED_AWAY._value.get()
        await eventually(lambda: metrics.TURNED_AWAY._value.get() > before, 10)
        assert await seconds_of(bus, "s2") == []
        async with worker(connect, small):
            await eventually(lambda: heard_until(bus, "s2", 2), 20)
    assert [second.seq for second in await seconds_of(bus, "s1")] == [0, 1, 2]

"""Speech workers that die: the transcript is the one that a single worker would have written."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from proto import subjects
from proto.media import Audio
from proto.observations import SpeechHeard, WordsCommitted
from runtime.bus import Bus
from runtime.leases import Leases
from tests.support.holes import arrived, leave_out_silence, lose, slots
from tests.support.nats import NatsServer
from tests.support.sessions import create_session, observations, send
from tests.support.speech import TEST_MODEL, Clip, joined, load, messages
from tests.support.wait import eventually

Connect = Callable[[], Awaitable[Bus]]
REPOSITORY = Path(__file__).resolve().parents[2]


class Workers:
    """Worker processes, as `candor speech` starts them."""

    def __init__(self, nats_url: str, models_dir: Path, folder: Path) -> None:
        self._environment = os.environ | {
            "CANDOR_NATS_URL": nats_url,
            "CANDOR_SPEECH_MODEL": str(models_dir / TEST_MODEL),
            "CANDOR_SPEECH_DEVICE": "cpu",
            "CANDOR_SPEECH_COMPUTE_TYPE": "int8",
            "CANDOR_SPEECH_THREADS": "1",
            # A busy machine must not change how often is decoded: the transcripts are compared word by word.
            "CANDOR_SPEECH_MAX_STEP_S": "1",
            "CANDOR_MODELS_DIR": str(folder),
            "PYTHONUNBUFFERED": "1",
        }
        self._folder = folder
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        log = (self._folder / f"worker-{len(self.running)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "inference.speech.service"],
                cwd=REPOSITORY,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.running.append(process)
        return process

    def stop(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)


@pytest.fixture
def workers(nats_url: str, models_dir: Path, tmp_path: Path) -> Iterator[Workers]:
    crew = Workers(nats_url, models_dir, tmp_path)
    yield crew
    crew.stop()


@pytest.fixture
def clip(media: Path) -> Clip:
    clips = load(media)
    return joined([clips["02_short_gb"], clips["10_long"]])


async def words_of(bus: Bus, session: str) -> list[WordsCommitted]:
    return await observations(bus, session, "words.committed", WordsCommitted)


async def seconds_of(bus: Bus, session: str) -> list[SpeechHeard]:
    return await observations(bus, session, "speech.heard", SpeechHeard)


async def count_words(bus: Bus, session: str) -> int:
    return sum(len(commit.words) for commit in await words_of(bus, session))


async def done(bus: Bus, session: str, clip: Clip) -> bool:
    seconds = await seconds_of(bus, session)
    commits = await words_of(bus, session)
    return bool(seconds and commits and commits[-1].final and seconds[-1].seq >= int(clip.duration_s - 0.01))


async def owner(bus: Bus, session: str) -> str | None:
    async with Leases(bus, "onlooker") as leases:
        return (await leases.owners()).get(subjects.lease_audio(session))


def messages_of(clip: Clip, session: str, kind: str) -> list[Audio]:
    """The clip as it arrives: whole, or with holes of a kind."""
    match kind:
        case "packets lost":
            return arrived(lose(slots(clip.samples), 0.1), session)
        case "silence left out":
            return arrived(leave_out_silence(clip.samples), session)
        case _:
            return messages(clip.samples, session)


async def undisturbed(bus: Bus, workers: Workers, clip: Clip, kind: str = "whole") -> list[WordsCommitted]:
    """The transcript of the clip by one worker that nothing happens to."""
    await create_session(bus, "alone")
    process = workers.start()
    await send(bus, messages_of(clip, "alone", kind))
    await eventually(lambda: done(bus, "alone", clip), 60)
    process.terminate()
    await asyncio.to_thread(process.wait, 20)
    assert process.returncode == 0
    return await words_of(bus, "alone")


def told(commits: list[WordsCommitted]) -> list[tuple[int, bool, float, list[tuple[str, float, float]]]]:
    return [(c.utterance, c.final, c.heard_until_s, [(w.text, w.start_s, w.end_s) for w in c.words]) for c in commits]


def measures(seconds: list[SpeechHeard]) -> list[tuple[object, ...]]:
    return [
        (s.seq, s.speech_s, s.gap_s, s.whisper_likelihood, s.voiced_share, s.speech_dbfs, s.noise_dbfs, s.problems)
        for s in seconds
    ]


async def check_seconds(bus: Bus, session: str, clip: Clip) -> None:
    seconds = await seconds_of(bus, session)
    assert [second.seq for second in seconds] == list(range(len(seconds)))
    assert sum(second.duration_s for second in seconds) == pytest.approx(clip.duration_s, abs=1.0)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["whole", "packets lost", "silence left out"])
async def test_kill_nine_in_mid_sentence_changes_nothing(bus: Bus, workers: Workers, clip: Clip, kind: str) -> None:
    expected = await undisturbed(bus, workers, clip, kind)
    await create_session(bus, "killed")
    victim = workers.start()
    sound = messages_of(clip, "killed", kind)
    middle = sum(message.t_s < 12.49 for message in sound)
    await send(bus, sound[:middle])
    await eventually(lambda: count_words(bus, "killed"), 60)
    workers.start()
    before = await words_of(bus, "killed")
    victim.kill()
    await send(bus, sound[middle:])
    await eventually(lambda: done(bus, "killed", clip), 60)
    after = await words_of(bus, "killed")
    assert len(after) > len(before)
    assert told(after) == told(expected)
    await check_seconds(bus, "killed", clip)
    # A second in which the successor took over may be told from there on only.
    alone, killed = await seconds_of(bus, "alone"), await seconds_of(bus, "killed")
    whole = [k for k, (a, b) in enumerate(zip(alone, killed, strict=True)) if a.duration_s == b.duration_s]
    assert len(whole) >= len(alone) - 1
    assert measures([killed[k] for k in whole]) == measures([alone[k] for k in whole])
    assert any(second.voiced_share for second in alone)


@pytest.mark.timeout(180)
async def test_a_worker_that_freezes_and_wakes_writes_nothing_twice(bus: Bus, workers: Workers, clip: Clip) -> None:
    expected = await undisturbed(bus, workers, clip)
    await create_session(bus, "frozen")
    sleeper = workers.start()
    sound = messages(clip.samples, "frozen")
    middle = round(12.5 / 0.2)
    await send(bus, sound[:middle])
    await eventually(lambda: count_words(bus, "frozen"), 60)
    first_owner = await owner(bus, "frozen")
    sleeper.send_signal(signal.SIGSTOP)
    workers.start()
    await send(bus, sound[middle:-10])

    async def taken_over() -> bool:
        now = await owner(bus, "frozen")
        return now not in (None, "", first_owner)

    await eventually(taken_over, 60)
    sleeper.send_signal(signal.SIGCONT)
    await send(bus, sound[-10:])
    await eventually(lambda: done(bus, "frozen", clip), 60)
    assert told(await words_of(bus, "frozen")) == told(expected)
    await check_seconds(bus, "frozen", clip)


@pytest.mark.timeout(180)
async def test_a_worker_that_is_drained_hands_over_at_once(bus: Bus, workers: Workers, clip: Clip) -> None:
    expected = await undisturbed(bus, workers, clip)
    await create_session(bus, "drained")
    first = workers.start()
    sound = messages(clip.samples, "drained")
    middle = round(12.5 / 0.2)
    await send(bus, sound[:middle])
    await eventually(lambda: count_words(bus, "drained"), 60)
    workers.start()
    first.terminate()
    await asyncio.to_thread(first.wait, 20)
    assert first.returncode == 0
    await send(bus, sound[middle:])
    await eventually(lambda: done(bus, "drained", clip), 60)
    assert told(await words_of(bus, "drained")) == told(expected)


@pytest.mark.timeout(180)
async def test_sound_that_ended_while_nobody_listened_is_still_heard(bus: Bus, workers: Workers, clip: Clip) -> None:
    await create_session(bus, "late")
    await send(bus, messages(clip.samples, "late"))
    workers.start()
    await eventually(lambda: done(bus, "late", clip), 60)
    assert " ".join(w.text for c in await words_of(bus, "late") for w in c.words) == clip.text


@pytest.mark.timeout(180)
async def test_nats_that_goes_away_and_comes_back_changes_nothing(
    bus: Bus, workers: Workers, clip: Clip, nats_server: NatsServer
) -> None:
    expected = await undisturbed(bus, workers, clip)
    await create_session(bus, "cut-off")
    workers.start()
    sound = messages(clip.samples, "cut-off")
    middle = round(12.5 / 0.2)
    await send(bus, sound[:middle])
    await eventually(lambda: count_words(bus, "cut-off"), 60)
    nats_server.stop()
    nats_server.start()
    await send(bus, sound[middle:])
    await eventually(lambda: done(bus, "cut-off", clip), 60)
    assert told(await words_of(bus, "cut-off")) == told(expected)
    await check_seconds(bus, "cut-off", clip)

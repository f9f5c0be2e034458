"""Sound that nobody should send: each message is a gap, nothing at all, or put aside; the session goes on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bench.transcripts import plain
from inference.backends.silero import SileroBackend
from inference.backends.whisper import WhisperBackend
from inference.speech.hearing import Heard
from inference.speech.timeline import check
from proto import codec, subjects
from proto.errors import BadMessage
from proto.media import SAMPLE_RATE_HZ, Audio, AudioChunk, AudioEnd, AudioGap
from proto.observations import SpeechHeard, WordsCommitted
from runtime.bus import Bus
from tests.service.test_speech_worker import Connect, finished, settings, worker  # noqa: F401 - a fixture
from tests.support.sessions import create_session, observations, send
from tests.support.speech import TEST_MODEL, Clip, Listener, load, messages
from tests.support.wait import eventually

FULL_SCALE = np.iinfo(np.int16)


def odd_messages(rng: np.random.Generator, count: int) -> list[Audio]:
    """Chunks, gaps and ends with impossible times, sizes and orders."""
    times = [float("nan"), float("inf"), -1.0, -1e300, 1e300, 1e6, 0.0, 0.1, 2.0]
    made: list[Audio] = []
    for number in range(count):
        t_s = times[rng.integers(len(times))]
        size = int(rng.choice([0, 1, 2, 3, 6399, 6400, 31 * SAMPLE_RATE_HZ * 2]))
        match rng.integers(4):
            case 0:
                made.append(AudioChunk("s1", "odd", number, t_s, rng.bytes(size)))
            case 1:
                made.append(AudioGap("s1", "odd", number, t_s, float(rng.choice([-1.0, math.nan, 1e12, 0.0])), "loss"))
            case 2:
                made.append(AudioChunk("s1", "", -number, t_s, b"\x00" * size))
            case _:
                made.append(AudioEnd("s1", "odd", number, t_s))
    return made


async def test_odd_messages_are_put_aside_or_nothing_and_the_words_are_heard(
    bus: Bus,
    connect: Connect,
    settings,  # noqa: F811
    media: Path,
):
    clip = load(media)["02_short_gb"]
    await create_session(bus, "s1")
    sound = messages(clip.samples, "s1")
    odd = odd_messages(np.random.default_rng(7), 80)
    refused = []
    for message in odd:
        try:
            check(message, b"")
        except BadMessage:
            refused.append(codec.encode(message))
    assert 10 < len(refused) < len(odd)
    await send(bus, sound[:6])
    for number, message in enumerate(odd):
        await bus.append(subjects.audio("s1"), message, f"odd-{number}")
    await send(bus, sound[6:])
    async with worker(connect, settings):
        await eventually(lambda: finished(bus, "s1"), 60)
        words = await observations(bus, "s1", "words.committed", WordsCommitted)
        seconds = await observations(bus, "s1", "speech.heard", SpeechHeard)
    assert plain([word for commit in words for word in commit.words]) == plain(clip.text.split())
    assert [one.seq for one in seconds] == [0, 1, 2, 3]
    dead = [delivery.data async for delivery in bus.read(subjects.DEAD, subjects.dead("speech"))]
    assert dead == refused


def wild(rng: np.random.Generator, kind: int, count: int) -> np.ndarray:
    match kind:
        case 0:
            return rng.integers(FULL_SCALE.min, FULL_SCALE.max, count).astype(np.int16)
        case 1:
            return np.where(np.arange(count) % 2, FULL_SCALE.max, FULL_SCALE.min).astype(np.int16)
        case 2:
            return np.full(count, FULL_SCALE.min, np.int16)
        case 3:
            return np.zeros(count, np.int16)
        case _:
            # Speech as if its rate were another: every third sample only.
            return (12_000 * np.sin(np.arange(count) ** 1.5 / 40)).astype(np.int16)


@pytest.mark.parametrize("seed", range(4))
def test_wild_samples_are_heard_without_an_error_and_are_finite(seed: int, models_dir: Path):
    rng = np.random.default_rng(seed)
    silero = SileroBackend()
    silero.load()
    whisper = WhisperBackend(models_dir / TEST_MODEL, name=TEST_MODEL, device="cpu", compute_type="int8", threads=1)
    whisper.load()
    listener = Listener(silero, whisper)
    t_s = 0.0
    for seq in range(60):
        samples = wild(rng, int(rng.integers(5)), int(rng.choice([0, 1, 37, 3200, 16_000])))
        listener.hear([AudioChunk("s", "peer", seq, t_s, samples.tobytes())])
        t_s += len(samples) / SAMPLE_RATE_HZ
    listener.hear([AudioEnd("s", "peer", 60, t_s)])
    numbers = [value for event in listener.events if isinstance(event, Heard) for value in vars_of(event.second)]
    assert numbers
    assert all(math.isfinite(value) for value in numbers)


def vars_of(second: object) -> list[float]:
    names = type(second).__dataclass_fields__
    values = [getattr(second, name) for name in names]
    return [float(value) for value in values if isinstance(value, int | float)]


def test_speech_of_another_rate_is_no_error(silero_speech: Clip, models_dir: Path):
    """A sender that lies about its rate: whatever becomes of it, it is finite and bounded."""
    silero = SileroBackend()
    silero.load()
    fast = silero_speech.samples[::3].copy()
    listener = Listener(silero)
    listener.hear(messages(fast, "s"))
    assert sum(event.second.speech_s for event in listener.seconds) <= len(fast) / SAMPLE_RATE_HZ


@pytest.fixture
def silero_speech(media: Path) -> Clip:
    return load(media)["10_long"]

"""Two hours of one session, as fast as a worker takes them: every word is there, and memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.stack import Stack
from bench.transcripts import plain, word_errors
from proto import codec, subjects
from proto.media import CHUNK_S, SAMPLE_RATE_HZ, Audio, AudioChunk, AudioEnd, AudioGap
from proto.observations import SpeechHeard, WordsCommitted
from runtime.bus import Bus
from runtime.settings import RuntimeSettings
from tests.support.sessions import create_session, observations, send
from tests.support.speech import TEST_MODEL, Clip, load
from tests.support.wait import eventually

pytestmark = pytest.mark.timeout(600)

HOURS_S = 7200.0
BLOCK_S = 240.0
"""One clip every four minutes; the rest is a quiet room, a gap and a muted microphone."""

SETTLED_S = 1200.0
GROWTH_BYTES = 24 * 1024 * 1024


def room(rng: np.random.Generator, seconds: float) -> np.ndarray:
    return (rng.standard_normal(round(seconds * SAMPLE_RATE_HZ)) * 12).astype(np.int16)


def block(number: int, clip: Clip, rng: np.random.Generator, seq: int) -> Iterator[Audio]:
    """Messages of one block: a clip in a quiet room, 2 s lost, digital silence."""
    start_s = number * BLOCK_S
    sound = np.concatenate([room(rng, 1.0), clip.samples, room(rng, 60.0)])
    muted = np.zeros(round((BLOCK_S - 2.0) * SAMPLE_RATE_HZ) - len(sound), np.int16)
    step = round(CHUNK_S * SAMPLE_RATE_HZ)
    t_s = start_s
    for samples in (sound, muted):
        for at in range(0, len(samples), step):
            piece = samples[at : at + step]
            yield AudioChunk("long", "peer", seq, t_s, piece.tobytes())
            seq, t_s = seq + 1, t_s + len(piece) / SAMPLE_RATE_HZ
        if samples is sound:
            yield AudioGap("long", "peer", seq, t_s, 2.0, "loss")
            seq, t_s = seq + 1, t_s + 2.0


async def heard_until(bus: Bus, session: str) -> float:
    last = await bus.last(subjects.LOG, subjects.log(session, "speech.heard"))
    if last is None:
        return 0.0
    newest = codec.decode(last.data, SpeechHeard)
    return newest.t_s + newest.duration_s


async def test_two_hours_of_sound_leave_memory_flat_and_lose_no_word(tmp_path: Path, media: Path, models_dir: Path):
    env = {
        "CANDOR_SPEECH_MODEL": str(models_dir / TEST_MODEL),
        "CANDOR_SPEECH_DEVICE": "cpu",
        "CANDOR_SPEECH_COMPUTE_TYPE": "int8",
        "CANDOR_SPEECH_THREADS": "1",
    }
    clips = load(media)
    chosen = [clips[name] for name in ("01_short_us", "02_short_gb", "07_pause_3s")]
    rng = np.random.default_rng(1)
    async with (
        Stack(tmp_path / "stack", env, services=("speech",)) as stack,
        await Bus.connect(RuntimeSettings(nats_url=stack.nats_url), "test") as bus,
    ):
        await create_session(bus, "long")
        seq, said, settled_bytes = 0, [], 0
        for number in range(round(HOURS_S / BLOCK_S)):
            clip = chosen[number % len(chosen)]
            messages = list(block(number, clip, rng, seq))
            seq += len(messages)
            said += [word.text for word in clip.words]
            await send(bus, messages)
            until_s = (number + 1) * BLOCK_S - 5.0

            async def reached(until_s: float = until_s) -> bool:
                return await heard_until(bus, "long") >= until_s

            await eventually(reached, 60, f"the worker has heard {until_s:g} s")
            if until_s + 5.0 == SETTLED_S:
                settled_bytes = stack.rss_bytes("speech")
        await send(bus, [AudioEnd("long", "peer", seq, HOURS_S)])
        grown_bytes = stack.rss_bytes("speech") - settled_bytes
        commits = await observations(bus, "long", "words.committed", WordsCommitted)
        seconds = await observations(bus, "long", "speech.heard", SpeechHeard)
    heard = [word.text for commit in commits for word in commit.words]
    print(f"grown by {grown_bytes / 2**20:.1f} MiB from {settled_bytes / 2**20:.1f} MiB, {len(heard)} words")
    assert word_errors(plain(said), plain(heard)) <= 0.02 * len(said)
    assert [one.seq for one in seconds] == sorted({one.seq for one in seconds})
    assert len(seconds) >= HOURS_S - 10
    assert sum(one.gap_s for one in seconds) == pytest.approx(2.0 * HOURS_S / BLOCK_S, abs=0.1)
    assert all(one.speech_s == 0.0 for one in seconds if one.t_s % BLOCK_S > 70.0)
    assert settled_bytes > 0
    assert grown_bytes < GROWTH_BYTES

"""`candor bench --speech`: words while they are spoken: how late, how right, for how many sessions at once.

A real worker and a real nats-server, each a process of its own; sound comes in real time, in chunks as ingest sends
them, and what counts is when a watcher hears of a word. Delays are from the end of a word to its first tentative
appearance and to its commit, on the wall clock, the chunk's own length included.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bench import encoder_windows, spoken
from bench.figures import Report, machine, percentile
from bench.policies import PACKAGED
from bench.spoken import Spoken
from bench.stack import Stack
from bench.transcripts import Screen, pairs, plain, word_errors
from proto import codec, subjects
from proto.errors import BadInput, BadMessage
from proto.media import CHUNK_S, SAMPLE_RATE_HZ, AudioChunk, AudioEnd
from proto.observations import SessionCreated, WordsCommitted
from proto.views import Committed, Live, Tentative
from runtime.bus import Bus
from runtime.settings import RuntimeSettings

COUNTS = (1, 2, 4, 8, 16)
STAGGER_S = 0.61
"""Sessions begin so far apart: people do not speak in step."""

QUIET_S = 4.0
FINISH_S = 60.0
"""After the last sound the worker is done once it has said nothing for QUIET_S, or FINISH_S have passed."""

SOURCE = "bench"


@dataclass
class Told:
    """One session: what was said from when on, and what watchers were told."""

    name: str
    said: Spoken
    began_s: float = 0.0
    screen: Screen = field(default_factory=Screen)


@dataclass(frozen=True)
class Window:
    """What `sessions` at once got. Delays in seconds, `errors` of `words`, worker's CPU and decoding in seconds."""

    sessions: int
    sound_s: float
    elapsed_s: float
    tentative_s: tuple[float, ...]
    commit_s: tuple[float, ...]
    errors: int
    words: int
    cpu_s: float
    decode_s: float


def run(folder: Path, seconds: float, counts: Sequence[int], json_file: Path | None) -> None:
    """Measure, print, and write the figures to `json_file` if it is given.

    Raises:
        BadInput: the folder has no recordings whose words are known, or the worker has no Whisper model.
    """
    clips = spoken.material(folder)
    report = Report()
    report.say(f"Candor on {machine()}")
    report.say(f"{len(clips)} recordings of {folder}, {sum(clip.duration_s for clip in clips):.0f} s of sound")
    encoder_windows.run(report, clips)
    report.say("")
    asyncio.run(_measure(clips, seconds, counts, report))
    if json_file is not None:
        report.write(json_file)


async def _measure(clips: list[Spoken], seconds: float, counts: Sequence[int], report: Report) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="candor-bench-")))
        env = {"CANDOR_SPEECH_MAX_SESSIONS": str(max(counts))}
        worker = await stack.enter_async_context(Stack(folder, env, services=("speech",)))
        bus = await stack.enter_async_context(await Bus.connect(RuntimeSettings(nats_url=worker.nats_url), SOURCE))
        report.say(f"speech worker with {await _model(worker)}; senders and NATS share the machine")
        alone: Window | None = None
        for count in counts:
            window = await _window(worker, bus, clips, count, seconds)
            alone = alone or window
            _tell(report, window, alone)


async def _model(worker: Stack) -> str:
    async with httpx.AsyncClient(timeout=10.0) as http:
        health = (await http.get(f"{worker.health['speech']}/health")).json()
    told = {part["name"]: part for part in health["parts"]}.get("feature:transcript")
    if told is None or not told["ok"]:
        why = told["detail"] if told else "the worker says nothing of its transcript"
        raise BadInput(f"has no model: {why}; {encoder_windows.HOW}", field="CANDOR_SPEECH_MODEL")
    return str(told["detail"])


async def _window(worker: Stack, bus: Bus, clips: list[Spoken], count: int, seconds: float) -> Window:
    told = [Told(f"speech-{count}-{number}", spoken.session(clips, number, seconds)) for number in range(count)]
    for one in told:
        await bus.observe(_created(one.name))
    before_cpu_s, before_decode_s = worker.cpu_s("speech"), await _decode_s(worker)
    begin = time.monotonic()
    async with AsyncExitStack() as stack:
        stop = asyncio.Event()
        group = await stack.enter_async_context(asyncio.TaskGroup())
        ready = [asyncio.Event() for _ in told]
        watchers = [group.create_task(_watch(bus, one, seen, stop)) for one, seen in zip(told, ready, strict=True)]
        async with asyncio.timeout(10.0):
            await asyncio.gather(*(seen.wait() for seen in ready))
        await asyncio.gather(*(_send(bus, one, number * STAGGER_S) for number, one in enumerate(told)))
        await _quiet(told)
        stop.set()
        await asyncio.gather(*watchers)
    elapsed_s = time.monotonic() - begin
    cpu_s, decode_s = worker.cpu_s("speech") - before_cpu_s, await _decode_s(worker) - before_decode_s
    tentative_s: list[float] = []
    commit_s: list[float] = []
    errors = words = 0
    for one in told:
        heard = await _transcript(bus, one.name)
        errors += word_errors(plain(one.said.words), plain(heard))
        words += len(one.said.words)
        for said, shown in pairs(plain(one.said.words), plain([word.text for word in one.screen.words])):
            ended_s = one.began_s + one.said.ends_s[said]
            if not math.isnan(ended_s):
                tentative_s.append(one.screen.words[shown].tentative_at_s - ended_s)
                commit_s.append(one.screen.words[shown].committed_at_s - ended_s)
    sound_s = sum(one.said.duration_s for one in told)
    return Window(count, sound_s, elapsed_s, tuple(tentative_s), tuple(commit_s), errors, words, cpu_s, decode_s)


def _created(session: str) -> SessionCreated:
    return SessionCreated(
        session=session,
        source=SOURCE,
        seq=0,
        t_s=0.0,
        created_unix_s=time.time(),
        policy_name="standard",
        policy_toml=(PACKAGED / "standard.toml").read_text(encoding="utf-8"),
        token_sha256="",
    )


async def _send(bus: Bus, one: Told, after_s: float) -> None:
    """In real time: a chunk is sent when its last sample would have been spoken."""
    await asyncio.sleep(after_s)
    step = round(CHUNK_S * SAMPLE_RATE_HZ)
    one.began_s = time.monotonic()
    chunks = range(0, len(one.said.samples), step)
    for seq, start in enumerate(chunks):
        t_s = start / SAMPLE_RATE_HZ
        await asyncio.sleep(max(0.0, one.began_s + t_s + CHUNK_S - time.monotonic()))
        pcm = one.said.samples[start : start + step].tobytes()
        await bus.append(
            subjects.audio(one.name), AudioChunk(one.name, SOURCE, seq, t_s, pcm), f"{one.name}:{SOURCE}:{seq}:audio"
        )
    end = AudioEnd(one.name, SOURCE, len(chunks), one.said.duration_s)
    await bus.append(subjects.audio(one.name), end, f"{one.name}:{SOURCE}:end:audio")


async def _watch(bus: Bus, one: Told, ready: asyncio.Event, stop: asyncio.Event) -> None:
    async with bus.subscribe(subjects.live(one.name), limit=4096) as messages:
        ready.set()
        while not stop.is_set():
            delivery = await messages.next(0.2)
            if delivery is None:
                continue
            now_s = time.monotonic()
            match codec.decode(delivery.data, Live):
                case Tentative() as tentative:
                    one.screen.tentative(tentative, now_s)
                case Committed() as committed:
                    one.screen.committed(committed, now_s)
                case _:
                    pass


async def _quiet(told: Sequence[Told]) -> None:
    """Until no more words come."""
    begin = last = time.monotonic()
    count = -1
    while time.monotonic() - last < QUIET_S and time.monotonic() - begin < FINISH_S:
        now = sum(len(one.screen.words) for one in told)
        if now != count:
            count, last = now, time.monotonic()
        await asyncio.sleep(0.1)


async def _transcript(bus: Bus, session: str) -> list[str]:
    words: list[str] = []
    async for delivery in bus.read(subjects.LOG, subjects.log(session, "words.committed")):
        try:
            words += [word.text for word in codec.decode(delivery.data, WordsCommitted).words]
        except BadMessage as error:
            raise BadInput(f"the log of {session} does not read: {error}", field="words.committed") from error
    return words


async def _decode_s(worker: Stack) -> float:
    """Seconds of decoding that the worker has counted."""
    async with httpx.AsyncClient(timeout=10.0) as http:
        text = (await http.get(f"{worker.health['speech']}/metrics")).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "candor_speech_decode_seconds_sum"
    )


def _tell(report: Report, window: Window, alone: Window) -> None:
    count = window.sessions
    name = f"{count} session{'s' * (count > 1)}"
    report.say(f"\n{name}, {window.sound_s:.0f} s of sound in {window.elapsed_s:.0f} s")
    for what, values, first in (
        ("first seen", window.tentative_s, alone.tentative_s),
        ("committed", window.commit_s, alone.commit_s),
    ):
        if not values:
            report.say(f"  end of a word to {what}: the times of the words are not known")
            continue
        for share in (0.5, 0.95):
            value = percentile(values, share)
            label = f"{name}: end of a word to {what}, p{round(share * 100)}"
            report.add(label, value, "s", len(values))
            if count > alone.sessions:
                report.say(f"    {value / percentile(first, share):.2f} times that of {alone.sessions} session")
    report.add(f"{name}: word error rate", 100 * window.errors / window.words, "%", window.words)
    report.add(f"{name}: decoding", window.decode_s / window.sound_s, "s/s of sound", round(window.sound_s))
    report.add(f"{name}: worker's CPU", 1000 * window.cpu_s / window.sound_s, "ms/s of sound", round(window.sound_s))

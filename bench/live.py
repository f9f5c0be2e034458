"""Live sessions through the whole pipe: CPU by stage, sessions held, and the time from a frame to the feed."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
import httpx

from bench.figures import Report, percentile
from bench.recording import FPS
from bench.stack import Stack
from proto import codec, subjects
from proto.errors import Unavailable
from proto.observations import FrameSeen
from runtime.bus import Bus
from runtime.settings import RuntimeSettings

STAGES = ("ingest", "vision", "speech", "aggregator", "api", "nats")
WARM_UP_S = 4.0
CONNECT_S = 60.0
HELD_FPS_SHARE = 0.9
HELD_AGE_S = 0.5
"""A session is held while nine tenths of its frames are judged and the 95th percentile of their age is below this."""


@dataclass
class Window:
    """What was seen of `sessions` live sessions in `seconds`."""

    sessions: int
    seconds: float
    cpu_ms: dict[str, float]
    fps: list[float]
    age_s: list[float]
    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    risk_s: list[float] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return min(self.fps, default=0.0) >= 5.0 * HELD_FPS_SHARE and percentile(self.age_s, 0.95) < HELD_AGE_S


@asynccontextmanager
async def peers(stack: Stack, count: int, recording: Path, policy: str) -> AsyncIterator[list[str]]:
    """`count` publishing peers in a process of their own; gives the session ids."""
    command = [sys.executable, "-m", "bench.peers", stack.url, str(count), str(recording), policy]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(CONNECT_S):
            line = await process.stdout.readline()
        if not line:
            raise Unavailable("the peers did not connect; their error is above")
        yield json.loads(line)
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


async def measure(stack: Stack, bus: Bus, sessions: list[str], seconds: float) -> Window:
    """Watch the log, the feeds and the processes for `seconds`."""
    seen: dict[int, FrameSeen] = {}
    arrived: dict[int, float] = {}
    stop = asyncio.Event()
    watchers = [asyncio.create_task(_watch_log(bus, seen, arrived, stop))]
    risk_at: dict[int, float] = {}
    watchers += [asyncio.create_task(_watch_feed(stack, session, risk_at)) for session in sessions]
    await asyncio.sleep(WARM_UP_S)
    before = {name: stack.cpu_s(name) for name in STAGES}
    first, begin = max(seen, default=0), time.monotonic()
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - begin
    cpu = {name: (stack.cpu_s(name) - before[name]) * 1000 / elapsed / len(sessions) for name in STAGES}
    stop.set()
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    mine = {seq: o for seq, o in seen.items() if seq > first and o.session in sessions}
    window = Window(len(sessions), elapsed, cpu, [], [])
    for session in sessions:
        window.fps.append(sum(o.session == session for o in mine.values()) / elapsed)
    window.age_s = [arrived[seq] - o.received_unix_s for seq, o in mine.items()]
    for o in mine.values():
        for stage, value in o.timings_ms.items():
            window.stages_ms.setdefault(stage, []).append(value)
    window.risk_s = [at - mine[seq].received_unix_s for seq, at in risk_at.items() if seq in mine]
    return window


async def _watch_log(bus: Bus, seen: dict[int, FrameSeen], arrived: dict[int, float], stop: asyncio.Event) -> None:
    from_seq = (await bus.info(subjects.LOG)).last_seq + 1
    async with bus.follow(subjects.LOG, subjects.log_kind("frame.seen"), from_seq) as follow:
        while not stop.is_set():
            for delivery in await follow.next(200, 0.5):
                seen[delivery.seq] = codec.decode(delivery.data, FrameSeen)
                # The server's own stamp: when the observation was in the log, not when this reader came round to it.
                arrived[delivery.seq] = delivery.unix_s


async def _watch_feed(stack: Stack, session: str, risk_at: dict[int, float]) -> None:
    """Note when each new ledger line reaches a watcher, by the log sequence of the frame that caused it."""
    async with (
        httpx.AsyncClient(timeout=httpx.Timeout(10, read=None)) as http,
        http.stream("GET", f"{stack.url}/v1/sessions/{session}/feed") as response,
    ):
        event = ""
        async for line in response.aiter_lines():
            if line.startswith("event:"):
                event = line.partition(":")[2].strip()
            elif line.startswith("data:") and event == "changed":
                now = time.time()
                for ledger in json.loads(line.partition(":")[2])["view"]["ledger"]:
                    risk_at.setdefault(ledger["seq"], now)


def decoding_alone(report: Report, recording: Path) -> None:
    """What libvpx alone needs on this machine for the video of a session: no pipeline can decode it for less."""
    with av.open(str(recording)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    decoder = av.CodecContext.create("vp8", "r")
    decoder.thread_count = 1
    begin = time.process_time()
    frames = sum(len(decoder.decode(packet)) for packet in packets)
    cpu_ms = (time.process_time() - begin) * 1000
    report.add("VP8 720p30 decoding alone, one thread", cpu_ms / (frames / FPS), "ms/session-s", frames)


async def cost_and_latency(
    stack: Stack, report: Report, steady: Path, moving: Path, counts: tuple[int, ...], seconds: float
) -> None:
    """CPU by stage for each count of sessions, then the time from a frame to the feed."""
    async with await Bus.connect(RuntimeSettings(nats_url=stack.nats_url), "bench") as bus:
        for count in counts:
            async with peers(stack, count, steady, "standard") as sessions:
                window = await measure(stack, bus, sessions, seconds)
            frames = len(window.age_s)
            report.say(
                f"\n{count} live session{'s' * (count > 1)}, 720p30 VP8 + Opus, analysed at 5 fps, {seconds:g} s"
            )
            for stage in STAGES:
                report.add(f"CPU {stage}, {count} sessions", window.cpu_ms[stage], "ms/session-s", frames)
            total = sum(window.cpu_ms.values())
            report.add(f"CPU whole pipe, {count} sessions", total, "ms/session-s", frames, 85.0)
            report.add(
                f"frames judged a second, {count} sessions", min(window.fps, default=0.0), "fps (worst)", frames, 5.0
            )
            for stage, values in sorted(window.stages_ms.items()):
                report.add(f"vision {stage} p50, {count} sessions", percentile(values, 0.5), "ms/frame", len(values))
            async with peers(stack, count, moving, "bench") as sessions:
                window = await measure(stack, bus, sessions, seconds)
            ages = [age * 1000 for age in window.age_s]
            report.add(f"RTP packet to log p50, {count} sessions", percentile(ages, 0.5), "ms", len(ages))
            report.add(f"RTP packet to log p95, {count} sessions", percentile(ages, 0.95), "ms", len(ages))
            risks = [risk * 1000 for risk in window.risk_s]
            report.add(f"glass to risk p50, {count} sessions", percentile(risks, 0.5), "ms", len(risks))
            report.add(f"glass to risk p95, {count} sessions", percentile(risks, 0.95), "ms", len(risks), 150.0)


async def sessions_held(stack: Stack, report: Report, steady: Path, counts: tuple[int, ...], seconds: float) -> None:
    """More and more sessions until one is no longer judged at 5 fps without lag; senders share the machine."""
    held = 0
    report.say("\nsessions held at 5 fps without lag (the senders run on the same machine)")
    async with await Bus.connect(RuntimeSettings(nats_url=stack.nats_url), "bench") as bus:
        for count in counts:
            try:
                async with peers(stack, count, steady, "standard") as sessions:
                    window = await measure(stack, bus, sessions, seconds)
            except (Unavailable, TimeoutError):
                report.say(f"  {count}: could not connect them all")
                break
            worst, age = min(window.fps, default=0.0), percentile(window.age_s, 0.95)
            report.say(
                f"  {count}: worst {worst:.2f} fps, age p95 {age * 1000:.0f} ms -> {'held' if window.held else 'not'}"
            )
            if not window.held:
                break
            held = count
    report.add("sessions held at 5 fps without lag", held, "sessions", held)

"""How fast observations become state: the pure fold alone, and through NATS with snapshots."""

from __future__ import annotations

import asyncio
import time

import msgspec

from aggregator.risk import fold, state
from bench.figures import Report
from bench.policies import PACKAGED
from bench.stack import Stack
from proto import codec, subjects
from proto import policy as policies
from proto.observations import AnyObservation, Face, FrameSeen, Observation, Quality, SessionCreated
from proto.views import Snapshot
from runtime.bus import Bus
from runtime.settings import RuntimeSettings

PURE = 20_000
SESSIONS, FRAMES = 20, 1_000
IN_FLIGHT = 200
THROUGH_S = 120.0

FACE = Face(
    x=0.4, y=0.3, width=0.2, height=0.3, yaw_deg=2.0, pitch_deg=1.0, roll_deg=0.0, left_eye_openness=0.3,
    right_eye_openness=0.3, mouth_opening=0.02, smile=0.1, brow_raise=0.1, eye_yaw_deg=0.5, eye_pitch_deg=0.2,
    gaze_yaw_deg=2.5, gaze_pitch_deg=1.2,
)  # fmt: skip


def observations(session: str, count: int, policy_toml: str) -> list[Observation]:
    """A session of `count` frames at 5 fps in which now and then nobody is there."""
    first = SessionCreated(
        session=session, source="api", seq=0, t_s=0.0, created_unix_s=time.time(), policy_name="standard",
        policy_toml=policy_toml, token_sha256="",
    )  # fmt: skip
    frames = [
        FrameSeen(
            session=session, source="peer", seq=seq, t_s=seq / 5, quality=Quality(brightness=120.0, sharpness=200.0),
            faces=() if seq % 100 > 80 else (msgspec.structs.replace(FACE, yaw_deg=float(seq % 7)),),
            person_present=False if seq % 100 > 80 else None, models={"face": "mesh"}, timings_ms={"mesh": 2.5},
        )
        for seq in range(count)
    ]  # fmt: skip
    return [first, *frames]


def pure(report: Report) -> None:
    """Decode and fold in one process, without any bus."""
    text = (PACKAGED / "standard.toml").read_text()
    policy = policies.parse(text)
    created, *frames = observations("pure", PURE, text)
    assert isinstance(created, SessionCreated)
    now = state.initial(created, policy, policies.digest(text), 1)
    wire = [codec.encode(frame) for frame in frames]
    begin = time.perf_counter()
    for seq, data in enumerate(wire, start=2):
        now, _ = fold.apply(now, codec.decode(data, AnyObservation), policy, seq, created.created_unix_s + seq / 5)
    elapsed = time.perf_counter() - begin
    report.add("pure fold with decoding", elapsed / PURE * 1e6, "us/observation", PURE)


async def through_nats(stack: Stack, report: Report) -> None:
    """From the log through the aggregator to stored snapshots: many sessions, appended before anybody folds."""
    text = (PACKAGED / "standard.toml").read_text()
    async with await Bus.connect(RuntimeSettings(nats_url=stack.nats_url), "bench") as bus:
        stack.kill("aggregator")
        names = [f"fold{number}" for number in range(SESSIONS)]
        limit = asyncio.Semaphore(IN_FLIGHT)

        async def append(observation: Observation) -> None:
            async with limit:
                await bus.observe(observation, 60.0)

        begin = time.perf_counter()
        for name in names:
            await asyncio.gather(*(append(o) for o in observations(name, FRAMES, text)))
        total = SESSIONS * (FRAMES + 1)
        report.add("append to the log, one publisher", total / (time.perf_counter() - begin), "msg/s", total)
        stack.spawn("aggregator")
        await stack.ready("aggregator")
        done = dict.fromkeys(names, 0)
        first = cpu_s = begin = 0.0
        async with asyncio.timeout(THROUGH_S), (await bus.bucket(subjects.KV_SESSIONS)).watch() as changes:
            async for key, entry in changes:
                if key not in done or entry is None:
                    continue
                done[key] = codec.decode(entry.value, Snapshot).view.measures.frames_seen
                if not begin:
                    # It began while it was getting ready: measured from the first snapshot seen to the last.
                    first, cpu_s, begin = sum(done.values()), stack.cpu_s("aggregator"), time.perf_counter()
                if sum(done.values()) >= SESSIONS * FRAMES:
                    break
        elapsed, cpu_s = time.perf_counter() - begin, stack.cpu_s("aggregator") - cpu_s
        folded = int(SESSIONS * FRAMES - first)
        report.add("fold through NATS with snapshots", folded / elapsed, "msg/s", folded)
        report.add("CPU of the aggregator doing so", cpu_s / folded * 1e6, "us/observation", folded)

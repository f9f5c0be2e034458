"""Frames of many sessions in, one `frame.seen` each out, through a real bus and the real models."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from inference.vision import metrics
from proto import codec, subjects
from proto.observations import FrameSeen, FrameSkipped
from runtime import tracing
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support.clips import encode_jpeg, frames, picture
from tests.support.models_that_misbehave import SlowDetector
from tests.support.vision import (
    frame,
    logged,
    nothing_left,
    send,
    vision,
    wait_for_log,
)
from tests.support.wait import eventually


async def test_one_frame_seen_for_each_session(bus: Bus, connect: Connect, portrait: bytes, media: Path) -> None:
    two = encode_jpeg(picture(media / "photos" / "two_people.jpg"))
    nobody = encode_jpeg(np.full((240, 320, 3), 120, dtype=np.uint8))
    sent = {"alone": frame("alone", 4, portrait, 1.25), "pair": frame("pair", 7, two), "none": frame("none", 0, nobody)}
    async with vision(await connect()):
        await send(bus, sent.values())
        for session, one in sent.items():
            (seen,) = await wait_for_log(bus, session, 1)
            assert isinstance(seen, FrameSeen)
            assert len(seen.faces) == {"alone": 1, "pair": 2, "none": 0}[session]
            assert (seen.source, seen.seq, seen.t_s) == (one.source, one.seq, one.t_s)
            assert seen.received_unix_s == one.received_unix_s
            assert {"queue", "decode", "faces", "signals", "quality"} <= set(seen.timings_ms)
            assert "mediapipe-" in seen.models["face"]
        await eventually(lambda: nothing_left(bus))


async def test_health_names_every_feature(bus: Bus) -> None:
    async with vision(bus):
        features = {"feature:face", "feature:person", "feature:hands"}
        await eventually(lambda: features <= {part.name for part in bus.health.parts() if part.ok}, 15)
        assert bus.health.ready


async def test_only_the_newest_frame_of_a_session_is_looked_at(
    bus: Bus, connect: Connect, portrait: bytes, slow_detector: type[SlowDetector]
) -> None:
    async with vision(await connect()):
        await send(bus, [frame("other", 0, portrait)])
        await eventually(lambda: slow_detector.batches == [1])
        await send(bus, [frame("s1", seq, portrait) for seq in range(6)])
        slow_detector.permits.release(20)
        await wait_for_log(bus, "s1", 1)
        await eventually(lambda: nothing_left(bus))
    assert [one.seq for one in await logged(bus, "s1")] == [5]


async def test_frames_of_many_sessions_are_one_batch(
    bus: Bus, connect: Connect, portrait: bytes, slow_detector: type[SlowDetector]
) -> None:
    async with vision(await connect(), batch_frames=4, deadline_ms=60_000):
        await send(bus, [frame("first", 0, portrait)])
        await eventually(lambda: slow_detector.batches == [1])
        await send(bus, [frame(f"s{number}", 0, portrait) for number in range(6)])
        slow_detector.permits.release(20)
        for number in range(6):
            await wait_for_log(bus, f"s{number}", 1)
    assert slow_detector.batches == [1, 4, 2]


async def test_poison_is_put_aside_and_the_next_frame_is_seen(bus: Bus, connect: Connect, portrait: bytes) -> None:
    forged = msgspec.structs.replace(frame("victim", 0, portrait), session="victim")
    async with vision(await connect()):
        await bus.append(subjects.frames("attacker"), forged, "forged")
        await bus.append(
            subjects.frames("broken"), FrameSkipped(session="x", source="y", seq=0, t_s=0, reason="z"), "b"
        )
        await eventually(lambda: nothing_left(bus), 15)
        await send(bus, [frame("good", 0, portrait)])
        await wait_for_log(bus, "good", 1)
    dead = [delivery async for delivery in bus.read(subjects.DEAD, subjects.dead("vision"))]
    assert {delivery.headers["Candor-Subject"] for delivery in dead} == {"frames.attacker", "frames.broken"}
    assert codec.encode(forged) in {delivery.data for delivery in dead}
    assert await logged(bus, "victim") == []
    assert await logged(bus, "attacker") == []


@pytest.mark.parametrize(
    ("jpeg", "why"),
    [(b"no picture", "decoded"), (b"\xff" * 5000, "at most 4000"), ("cut", "decoded"), ("huge", "pixels")],
)
async def test_an_unreadable_picture_is_a_skipped_frame(
    bus: Bus, connect: Connect, portrait: bytes, jpeg: bytes | str, why: str
) -> None:
    if jpeg == "cut":
        jpeg = portrait[:3000]
    elif jpeg == "huge":
        jpeg = encode_jpeg(np.zeros((200, 200, 3), dtype=np.uint8))
    assert isinstance(jpeg, bytes)
    async with vision(await connect(), max_jpeg_bytes=4000, max_pixels=5000 if why == "pixels" else 4_000_000):
        await send(bus, [frame("s1", 3, jpeg, 2.0)])
        (skipped,) = await wait_for_log(bus, "s1", 1)
        await eventually(lambda: nothing_left(bus))
    assert isinstance(skipped, FrameSkipped)
    assert why in skipped.reason
    assert (skipped.source, skipped.seq, skipped.t_s) == ("peer", 3, 2.0)


@pytest.mark.parametrize("stale", ["process", "skip"])
async def test_a_stale_frame_is_looked_at_or_skipped_as_the_settings_say(
    bus: Bus, connect: Connect, portrait: bytes, stale: str
) -> None:
    old = msgspec.structs.replace(frame("old", 0, portrait), received_unix_s=time.time() - 60)
    async with vision(await connect(), stale=stale, stale_after_s=20.0):
        await send(bus, [old, frame("fresh", 0, portrait)])
        (seen,) = await wait_for_log(bus, "fresh", 1)
        (of_old,) = await wait_for_log(bus, "old", 1)
    assert isinstance(seen, FrameSeen)
    if stale == "skip":
        assert isinstance(of_old, FrameSkipped)
        assert of_old.reason == "stale"
    else:
        assert isinstance(of_old, FrameSeen)
        assert of_old.timings_ms["queue"] > 50_000


async def test_a_frame_that_comes_twice_counts_once(bus: Bus, connect: Connect, portrait: bytes) -> None:
    """A worker died between the log and the acknowledgement: its frame goes to the next."""
    dying = await bus.consumer(subjects.FRAMES, subjects.VISION_CONSUMER)
    await send(bus, [frame("s1", 9, portrait)])
    (delivery,) = await dying.fetch(1, 5.0)
    before = seen_frames()
    async with vision(await connect()):
        # Another copy, because the first is gone by the time the models are loaded.
        await send(bus, [msgspec.structs.replace(frame("s1", 9, portrait), width_px=321)])
        await bus.observe(_seen("s1", 9))
        await delivery.nak()
        await eventually(lambda: nothing_left(bus), 15)
        await eventually(lambda: seen_frames() == before + 1)
    assert [(one.kind, one.seq) for one in await logged(bus, "s1")] == [("frame.seen", 9)]
    await dying.close()


def seen_frames() -> float:
    return metrics.FRAMES.labels("seen")._value.get()


def _seen(session: str, seq: int) -> FrameSeen:
    observation: dict[str, Any] = {
        "kind": "frame.seen",
        "session": session,
        "source": "peer",
        "seq": seq,
        "t_s": 0.0,
        "faces": [],
        "quality": {"brightness": 1.0, "sharpness": 1.0},
    }
    return msgspec.convert(observation, FrameSeen)


async def test_the_trace_of_a_frame_goes_on(bus: Bus, connect: Connect, portrait: bytes) -> None:
    async with vision(await connect()):
        with tracing.of({}):
            trace = tracing.trace_id()
            await send(bus, [frame("s1", 0, portrait)])
        await wait_for_log(bus, "s1", 1)
    last = await bus.last(subjects.LOG, subjects.log("s1", "frame.seen"))
    assert last is not None
    assert trace in last.headers[codec.HEADER_TRACE]


async def test_a_clip_of_several_sessions_at_once(bus: Bus, connect: Connect, media: Path) -> None:
    """Two workers share three sessions: each frame that was sent last is seen once, by one of them."""
    clip = list(frames(media / "video" / "single_face.mp4"))
    async with vision(await connect()), vision(await connect()):
        for original in clip:
            for session in ("a", "b", "c"):
                await send(bus, [msgspec.structs.replace(original, session=session, received_unix_s=time.time())])
            await eventually(lambda: nothing_left(bus), 15)
    for session in ("a", "b", "c"):
        found = await logged(bus, session)
        assert [len(one.faces) for one in found if isinstance(one, FrameSeen)] == [1] * len(clip)
        assert {one.seq for one in found} == set(range(len(clip)))

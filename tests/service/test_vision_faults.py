"""A vision worker whose model is slow, absent or breaks, that is ended or cancelled, or whose NATS goes away."""

from __future__ import annotations

import asyncio
import itertools

import msgspec
import numpy as np
import pytest

from inference.backends import registry
from inference.vision import metrics
from inference.vision.service import serve
from inference.vision.settings import VisionSettings
from proto.observations import FeatureStatus, FrameSeen, FrameSkipped, Observation
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support import models_that_misbehave
from tests.support.clips import encode_jpeg
from tests.support.models_that_misbehave import SlowDetector
from tests.support.nats import NatsServer
from tests.support.vision import (
    frame,
    frames_left,
    is_ready,
    logged,
    nothing_left,
    send,
    vision,
    wait_for_log,
)
from tests.support.wait import eventually


async def test_draining_finishes_what_is_in_hand(
    bus: Bus, connect: Connect, portrait: bytes, slow_detector: type[SlowDetector]
) -> None:
    async with vision(await connect(), batch_frames=4, deadline_ms=60_000) as stop:
        await send(bus, [frame("first", 0, portrait)])
        await eventually(lambda: slow_detector.batches == [1])
        await send(bus, [frame(f"s{number}", 0, portrait) for number in range(4)])
        slow_detector.permits.release()
        await eventually(lambda: slow_detector.batches == [1, 4])
        stop.set()
        slow_detector.permits.release()
    assert await frames_left(bus) == 0
    for number in range(4):
        assert [one.kind for one in await logged(bus, f"s{number}")] == ["frame.seen"]


async def test_the_event_loop_stays_free_while_a_model_works(
    bus: Bus, portrait: bytes, slow_detector: type[SlowDetector]
) -> None:
    async with vision(bus):
        await send(bus, [frame("s1", 0, portrait)])
        await eventually(lambda: slow_detector.batches == [1])
        async with bus.subscribe("live.s1") as live:
            await bus.publish("live.s1", frame("s1", 1, b""))
            assert await live.next(5.0) is not None
        assert await logged(bus, "s1") == []
        slow_detector.permits.release()
        await wait_for_log(bus, "s1", 1)


async def test_a_model_that_hangs_makes_the_worker_not_ready(
    bus: Bus, portrait: bytes, slow_detector: type[SlowDetector]
) -> None:
    async with vision(bus, stuck_after_s=0.05):
        await send(bus, [frame("s1", 0, portrait)])
        await eventually(lambda: not bus.health.ready)
        slow_detector.permits.release()
        await eventually(lambda: bus.health.ready)
        await wait_for_log(bus, "s1", 1)


async def test_a_cancelled_worker_logs_nothing_and_the_next_goes_on(
    bus: Bus, connect: Connect, portrait: bytes, slow_detector: type[SlowDetector]
) -> None:
    worker_bus = await connect()
    task = asyncio.create_task(serve(VisionSettings(), worker_bus, asyncio.Event()))
    await eventually(lambda: is_ready(worker_bus), 30)
    await send(bus, [frame("s1", 0, portrait)])
    await eventually(lambda: slow_detector.batches == [1])
    task.cancel()
    slow_detector.permits.release(20)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await logged(bus, "s1") == []
    async with vision(await connect()):
        await send(bus, [frame("s1", 1, portrait)])
        found = await wait_for_log(bus, "s1", 1)
    assert 1 in {one.seq for one in found}


async def test_a_missing_face_model_is_a_state(
    bus: Bus, connect: Connect, portrait: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.BACKENDS, "face-detector", models_that_misbehave.ABSENT)
    worker_bus = await connect()
    observed: list[str] = []
    observe = worker_bus.observe

    async def counted(observation: Observation, timeout_s: float = 10.0) -> int:
        observed.append(observation.kind)
        return await observe(observation, timeout_s)

    # The log drops a second copy for two minutes only, so what counts is what the worker sends.
    monkeypatch.setattr(worker_bus, "observe", counted)
    async with vision(worker_bus):
        for seq in range(3):
            await send(bus, [frame("s1", seq, portrait)])
            await wait_for_log(bus, "s1", seq + 2)
        parts = {part.name: part for part in worker_bus.health.parts()}
        assert not parts["feature:face"].ok
        assert parts["feature:face"].command == "candor models pull face"
        assert worker_bus.health.ready
    assert observed == ["feature.status", *["frame.skipped"] * 3]
    status, *rest = await logged(bus, "s1")
    assert isinstance(status, FeatureStatus)
    assert (status.feature, status.available, status.command) == ("face", False, "candor models pull face")
    assert [type(one) for one in rest] == [FrameSkipped] * 3


async def test_without_the_person_model_nothing_is_said_of_persons(
    bus: Bus, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.BACKENDS, "person", models_that_misbehave.ABSENT)
    async with vision(await connect()):
        await send(bus, [frame("s1", 0, encode_jpeg(np.full((240, 320, 3), 120, dtype=np.uint8)))])
        status, seen = await wait_for_log(bus, "s1", 2)
    assert isinstance(status, FeatureStatus)
    assert isinstance(seen, FrameSeen)
    assert (seen.faces, seen.person_present) == ((), None)


async def test_a_picture_that_breaks_a_model_spoils_only_itself(
    bus: Bus, connect: Connect, portrait: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.BACKENDS, "face-detector", models_that_misbehave.BRITTLE)
    white = encode_jpeg(np.full((240, 320, 3), 255, dtype=np.uint8))
    async with vision(await connect()):
        await send(bus, [frame("s1", 0, portrait), frame("bad", 0, white), frame("s2", 0, portrait)])
        (first,), (bad,), (second,) = [await wait_for_log(bus, session, 1) for session in ("s1", "bad", "s2")]
        await eventually(lambda: nothing_left(bus))
    assert isinstance(first, FrameSeen)
    assert isinstance(second, FrameSeen)
    assert (len(first.faces), len(second.faces)) == (1, 1)
    assert isinstance(bad, FrameSkipped)
    assert bad.reason == "a model failed"


async def test_a_stage_that_breaks_costs_only_what_it_would_have_said(
    bus: Bus, connect: Connect, portrait: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.BACKENDS, "yolo", models_that_misbehave.BRITTLE_OBJECTS)
    white = encode_jpeg(np.full((240, 320, 3), 255, dtype=np.uint8))
    failures = metrics.MODEL_FAILURES.labels("objects")._value.get()
    sent = [frame("s1", 0, portrait), frame("bad", 0, white), frame("s2", 0, portrait)]
    # Any model that is here will do: the one that stands in for the detector reads none.
    async with vision(await connect(), objects_model="face-mesh"):
        await send(bus, [msgspec.structs.replace(one, looks=("objects",)) for one in sent])
        found = [(await wait_for_log(bus, session, 1))[0] for session in ("s1", "bad", "s2")]
        await eventually(lambda: nothing_left(bus))
    first, bad, second = found
    assert all(isinstance(one, FrameSeen) for one in found)
    assert (len(first.faces), len(bad.faces), len(second.faces)) == (1, 0, 1)
    assert ([one.label for one in first.objects], bad.objects) == (["cell phone"], None)
    assert [one.label for one in second.objects] == ["cell phone"]
    assert "objects" not in bad.models
    assert metrics.MODEL_FAILURES.labels("objects")._value.get() > failures


async def test_a_session_is_told_what_it_lacks_when_it_asks_for_it(bus: Bus, connect: Connect, portrait: bytes) -> None:
    async with vision(await connect(), objects_model=""):
        await send(bus, [frame("s1", 0, portrait)])
        assert [one.kind for one in await wait_for_log(bus, "s1", 1)] == ["frame.seen"]
        asking = msgspec.structs.replace(frame("s1", 1, portrait), looks=("objects", "expression", "identity", "text"))
        await send(bus, [asking])
        _, *told, seen = await wait_for_log(bus, "s1", 6)
    assert {one.feature: one.command for one in told if isinstance(one, FeatureStatus)} == {
        "objects": "",
        "expression": "candor models pull fer-mobilefacenet",
        "identity": "candor models pull sface",
        "text": "",
    }
    assert "CANDOR_VISION_OBJECTS_MODEL" in told[0].reason
    assert isinstance(seen, FrameSeen)
    assert (seen.objects, seen.identity, seen.models["expression"]) == (None, None, "geometry")
    assert sum(seen.faces[0].expression.values()) == 100


async def test_work_goes_on_after_nats_was_away(
    bus: Bus, connect: Connect, portrait: bytes, nats_server: NatsServer
) -> None:
    worker_bus = await connect()
    async with vision(worker_bus, fetch_wait_s=0.5):
        await send(bus, [frame("s1", 0, portrait)])
        await wait_for_log(bus, "s1", 1)
        nats_server.stop()
        await eventually(lambda: not worker_bus.connected, 10)
        nats_server.start()
        await eventually(lambda: worker_bus.connected and bus.connected, 20)
        seqs = itertools.count(1)

        async def seen_again() -> bool:
            # A fetch that was under way when NATS went waits for its own time-out, and a frame lives for 2 s only.
            await send(bus, [frame("s1", next(seqs), portrait)])
            return len(await logged(bus, "s1")) > 1

        await eventually(seen_again, 20)
    found = [one.seq for one in await logged(bus, "s1")]
    assert found[0] == 0
    assert len(set(found)) == len(found) > 1

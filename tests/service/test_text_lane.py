"""The lane that looks for text: what it logs, what it keeps to itself, what it leaves out when it is slow."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import numpy as np
import pytest

from inference.backends import registry
from inference.vision import metrics
from inference.vision.settings import VisionSettings
from inference.vision.text import TextLane
from proto import codec, subjects
from proto.errors import BusUnavailable
from proto.media import Frame
from proto.observations import TextSeen
from runtime import tracing
from runtime.bus import Bus
from tests.support import scripted_reader
from tests.support.clips import encode_jpeg
from tests.support.scripted_reader import BREAKS, SECRET, ScriptedReader
from tests.support.vision import logged, wait_for_log
from tests.support.wait import eventually


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedReader]:
    ScriptedReader.reset()
    monkeypatch.setitem(registry.BACKENDS, "text", scripted_reader.SCRIPTED)
    return ScriptedReader


def frame(session: str, shade: int = 100, *, seq: int = 0, **changes: Any) -> Frame:
    """A picture of one shade, which is how the reader tells it from others."""
    jpeg = encode_jpeg(np.full((48, 64, 3), shade, dtype=np.uint8))
    made = Frame(session, "peer", seq, seq / 5, 64, 48, jpeg, looks=("objects", "text"))
    return msgspec.structs.replace(made, **changes)


@asynccontextmanager
async def lane(bus: Bus, **settings: Any) -> AsyncIterator[TextLane]:
    async with TextLane(VisionSettings(**settings), bus) as made:
        assert await made.load() is None
        yield made


def counted(outcome: str) -> float:
    return metrics.TEXT_LOOKS.labels(outcome)._value.get()


async def test_text_is_seen_where_it_is(bus: Bus, reader: type[ScriptedReader]) -> None:
    reader.permits.release()
    async with lane(bus) as text:
        text.offer(frame("s1", seq=7))
        (seen,) = await wait_for_log(bus, "s1", 1)
    assert isinstance(seen, TextSeen)
    assert (seen.source, seen.seq, seen.t_s, seen.model) == ("peer", 7, 1.4, "scripted")
    (region,) = seen.regions
    assert (region.x, region.y, region.width, region.height) == pytest.approx((0.1, 0.2, 0.5, 0.1))
    assert (region.confidence, region.characters) == (0.95, len(SECRET) - 1)
    assert seen.spent_ms > 0


@pytest.mark.parametrize("keep_text", [False, True])
async def test_what_is_read_stays_here_unless_the_policy_keeps_it(
    bus: Bus, reader: type[ScriptedReader], capfd: pytest.CaptureFixture[str], keep_text: bool
) -> None:
    """Not on the bus, and never in a log: not even in that of a reader whose error quotes it."""
    reader.permits.release(2)
    failed = counted("failed")
    async with lane(bus) as text:
        text.offer(frame("s1", BREAKS, keep_text=keep_text))
        await eventually(lambda: counted("failed") == failed + 1)
        text.offer(frame("s1", keep_text=keep_text))
        await wait_for_log(bus, "s1", 1)
    (delivery,) = [delivery async for delivery in bus.read(subjects.LOG, subjects.log_session("s1"))]
    on_the_bus = delivery.data + repr(delivery.headers).encode()
    assert [word.encode() in on_the_bus for word in SECRET.split()] == [keep_text, keep_text]
    shown = capfd.readouterr()
    assert "vision.text_failed" in shown.out + shown.err
    assert not [word for word in SECRET.split() if word in shown.out + shown.err]


async def test_frames_on_which_it_is_not_due_are_left_alone(bus: Bus, reader: type[ScriptedReader]) -> None:
    reader.permits.release(3)
    async with lane(bus) as text:
        text.offer(frame("s1", 50, looks=("objects", "identity", "expression")))
        text.offer(frame("s2", 60, looks=()))
        text.offer(frame("s3", 70))
        await wait_for_log(bus, "s3", 1)
    assert reader.looked == [70]


async def test_the_newest_picture_of_a_session_is_read_while_the_reader_is_slow(
    bus: Bus, reader: type[ScriptedReader]
) -> None:
    superseded = counted("superseded")
    async with lane(bus) as text:
        text.offer(frame("busy", 10))
        await eventually(lambda: reader.looked == [10])
        for seq, shade in enumerate((20, 30, 40)):
            text.offer(frame("s1", shade, seq=seq))
            text.offer(frame("s2", shade + 100, seq=seq))
        reader.permits.release(3)
        await wait_for_log(bus, "s2", 1)
    assert reader.looked == [10, 40, 140]
    assert counted("superseded") == superseded + 4
    assert [one.seq for one in await logged(bus, "s1")] == [2]


async def test_of_too_many_sessions_the_one_that_waits_longest_is_left_out(
    bus: Bus, reader: type[ScriptedReader]
) -> None:
    dropped = counted("dropped")
    async with lane(bus, text_waiting=2) as text:
        text.offer(frame("busy", 10))
        await eventually(lambda: reader.looked == [10])
        for number, shade in enumerate((20, 30, 40)):
            text.offer(frame(f"s{number}", shade))
        assert metrics.TEXT_WAITING._value.get() == 2
        reader.permits.release(3)
        await wait_for_log(bus, "s2", 1)
    assert reader.looked == [10, 30, 40]
    assert counted("dropped") == dropped + 1


async def test_a_reader_that_breaks_costs_that_look_only(bus: Bus, reader: type[ScriptedReader]) -> None:
    reader.permits.release(3)
    failed, unreadable = counted("failed"), counted("unreadable")
    async with lane(bus) as text:
        text.offer(frame("s1", BREAKS))
        text.offer(frame("s2", jpeg=b"no picture"))
        text.offer(frame("s3", 30))
        await wait_for_log(bus, "s3", 1)
    assert (counted("failed"), counted("unreadable")) == (failed + 1, unreadable + 1)
    assert await logged(bus, "s1") == await logged(bus, "s2") == []


async def test_a_log_that_does_not_answer_costs_that_look_only(
    bus: Bus, reader: type[ScriptedReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.permits.release(2)
    lost, observe = counted("lost"), bus.observe

    async def away(*_args: Any, **_options: Any) -> int:
        monkeypatch.setattr(bus, "observe", observe)
        raise BusUnavailable("no acknowledgement")

    monkeypatch.setattr(bus, "observe", away)
    async with lane(bus) as text:
        text.offer(frame("s1"))
        await eventually(lambda: counted("lost") == lost + 1)
        text.offer(frame("s2"))
        await wait_for_log(bus, "s2", 1)
    assert await logged(bus, "s1") == []


async def test_leaving_waits_for_the_look_in_hand_and_no_other(bus: Bus, reader: type[ScriptedReader]) -> None:
    left = counted("left")
    async with lane(bus) as text:
        text.offer(frame("s1", 10))
        await eventually(lambda: reader.looked == [10])
        text.offer(frame("s2", 20))
        reader.permits.release(1)
    assert counted("left") == left + 1
    assert len(await logged(bus, "s1")) == 1
    assert await logged(bus, "s2") == []
    assert reader.looked == [10]
    text.offer(frame("s3", 30))
    await eventually(lambda: reader.closed == [True])
    assert reader.looked == [10]


async def test_a_look_that_does_not_end_is_told_and_does_not_hold_up_the_end(
    bus: Bus, reader: type[ScriptedReader]
) -> None:
    def health() -> list[bool]:
        return [part.ok for part in bus.health.parts() if part.name == "feature:text"]

    async with lane(bus, stuck_after_s=0.05, publish_timeout_s=0.1) as text:
        text.offer(frame("s1", 10))
        await eventually(lambda: health() == [False])
        assert bus.health.ready
    assert reader.closed == []
    reader.permits.release(1)
    await eventually(lambda: reader.closed == [True])


async def test_a_look_that_fails_after_the_end_tells_nobody(
    bus: Bus, reader: type[ScriptedReader], caplog: pytest.LogCaptureFixture
) -> None:
    async with lane(bus, stuck_after_s=0.05, publish_timeout_s=0.1) as text:
        text.offer(frame("s1", BREAKS))
        await eventually(lambda: len(reader.looked) == 1)
    reader.permits.release(1)
    await eventually(lambda: reader.closed == [True])
    # What asyncio has to say of an error that nobody took, it says when the future is thrown away.
    del text
    gc.collect()
    await asyncio.sleep(0)
    assert SECRET not in caplog.text


async def test_a_slow_look_that_ends_is_well_again(bus: Bus, reader: type[ScriptedReader]) -> None:
    async with lane(bus, stuck_after_s=0.05) as text:
        text.offer(frame("s1", 10))
        await eventually(lambda: any(part.name == "feature:text" and not part.ok for part in bus.health.parts()))
        reader.permits.release(1)
        await wait_for_log(bus, "s1", 1)
        assert all(part.ok for part in bus.health.parts())


async def test_without_a_reader_nothing_is_looked_at(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BACKENDS, "text", scripted_reader.ABSENT)
    async with TextLane(VisionSettings(), bus) as text:
        missing = await text.load()
        assert missing is not None
        assert (missing.feature, missing.command) == ("text", "uv sync")
        text.offer(frame("s1"))
        assert metrics.TEXT_WAITING._value.get() == 0


async def test_the_trace_of_a_frame_goes_on(bus: Bus, reader: type[ScriptedReader]) -> None:
    reader.permits.release(1)
    async with lane(bus) as text:
        with tracing.of({}):
            trace = tracing.trace_id()
            text.offer(frame("s1"))
        await wait_for_log(bus, "s1", 1)
    last = await bus.last(subjects.LOG, subjects.log("s1", "text.seen"))
    assert last is not None
    assert trace in last.headers[codec.HEADER_TRACE]

"""The bus against a real nats-server."""

from __future__ import annotations

import asyncio

import pytest

from proto import codec, subjects
from proto.errors import BadMessage, BusUnavailable, Conflict, NotFound
from proto.media import Frame
from proto.observations import AnyObservation, FrameSkipped, SessionEnded
from proto.signalling import Close, Done
from runtime import tracing
from runtime.bus import NoResponders
from runtime.bus.topology import streams
from runtime.settings import RuntimeSettings
from tests.support.wait import eventually


def ended(session: str, seq: int = 0, t_s: float = 0.0) -> SessionEnded:
    return SessionEnded(session=session, source="test", seq=seq, t_s=t_s)


def frame(session: str, seq: int) -> Frame:
    return Frame(session, "peer", seq, seq / 5, 640, 360, b"jpeg")


async def test_topology_exists_after_connecting_and_again(bus, connect):
    await connect()
    for stream in streams(RuntimeSettings()):
        assert (await bus.info(stream.config.name)).messages == 0
    consumer = await bus.consumer(subjects.FRAMES, subjects.VISION_CONSUMER)
    assert await consumer.fetch(1, 0.0) == []


async def test_only_the_newest_frame_of_each_session_waits(bus):
    for seq in range(5):
        for session in ("a", "b"):
            assert await bus.publish(subjects.frames(session), frame(session, seq))
    consumer = await bus.consumer(subjects.FRAMES, subjects.VISION_CONSUMER)

    async def both():
        return (await bus.info(subjects.FRAMES)).messages == 2

    await eventually(both)
    got = [codec.decode(d.data, Frame) for d in await consumer.fetch(10, 1.0)]
    assert sorted((f.session, f.seq) for f in got) == [("a", 4), ("b", 4)]


async def test_fetch_waits_for_the_first_and_takes_what_came_with_it(bus):
    consumer = await bus.consumer(subjects.FRAMES, subjects.VISION_CONSUMER)
    waiting = asyncio.create_task(consumer.fetch(10, 5.0))
    await asyncio.sleep(0)
    await bus.publish(subjects.frames("a"), frame("a", 1))
    got = await asyncio.wait_for(waiting, 3)
    assert [codec.decode(d.data, Frame).seq for d in got] == [1]
    await got[0].ack()
    assert await consumer.fetch(10, 0.05) == []


async def test_messages_that_come_one_by_one_are_all_fetched_at_once(bus):
    consumer = await bus.consumer(subjects.FRAMES, subjects.VISION_CONSUMER)
    for seq in range(30):
        fetching = asyncio.create_task(consumer.fetch(1 + seq % 3, 5.0))
        await bus.publish(subjects.frames("a"), frame("a", seq))
        (delivery,) = await asyncio.wait_for(fetching, 3)
        assert (codec.decode(delivery.data, Frame).seq, delivery.delivered) == (seq, 1)
        await delivery.ack()


async def test_the_same_observation_is_stored_once(bus):
    first = await bus.observe(ended("s"))
    assert await bus.observe(ended("s")) == first
    assert await bus.observe(ended("s", seq=1)) == first + 1
    assert (await bus.info(subjects.LOG)).messages == 2


async def test_observations_carry_schema_id_and_trace(bus):
    with tracing.of({}) as parent:
        await bus.observe(ended("s"))
    stored = await bus.last(subjects.LOG, subjects.log("s", "session.ended"))
    assert stored is not None
    assert stored.headers[codec.HEADER_SCHEMA] == codec.SCHEMA_VERSION
    assert stored.headers[codec.HEADER_MESSAGE_ID] == "s:test:0:session.ended"
    assert stored.headers[codec.HEADER_TRACE] == parent


async def test_fold_consumers_redeliver_in_order_to_a_successor(bus, connect):
    session = "s"
    name = subjects.fold_consumer(subjects.partition(session))
    for seq in range(10):
        await bus.observe(ended(session, seq))
    dying = await bus.consumer(subjects.LOG, name)
    got = await dying.fetch(6, 1.0)
    for delivery in got[:3]:
        await delivery.ack()
    successor = await (await connect()).consumer(subjects.LOG, name)

    async def rest():
        return [codec.decode(d.data, AnyObservation).seq for d in await successor.fetch(100, 0.5)]

    # At once and in order, although the dead reader's acknowledgements are not due for half a minute.
    assert await rest() == [3, 4, 5, 6, 7, 8, 9]


async def test_fold_consumer_goes_back_after_a_break(bus):
    session = "s"
    consumer = await bus.consumer(subjects.LOG, subjects.fold_consumer(subjects.partition(session)))
    for seq in range(4):
        await bus.observe(ended(session, seq))
    assert len(await consumer.fetch(2, 1.0)) == 2
    cancelled = asyncio.create_task(consumer.fetch(2, 1.0))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    got: list[int] = []

    async def all_again():
        got.extend(codec.decode(d.data, AnyObservation).seq for d in await consumer.fetch(10, 0.5))
        return len(got) >= 4

    await eventually(all_again)
    assert got == [0, 1, 2, 3]


async def test_read_ends_and_follow_goes_on(bus):
    for seq in range(3):
        await bus.observe(ended("s", seq))
        await bus.observe(ended("other", seq))
    seqs = [codec.decode(d.data, AnyObservation).seq async for d in bus.read(subjects.LOG, subjects.log_session("s"))]
    assert seqs == [0, 1, 2]
    assert [d async for d in bus.read(subjects.LOG, subjects.log_session("nobody"))] == []
    async with bus.follow(subjects.LOG, subjects.log_session("s"), from_seq=3) as follow:
        first = [codec.decode(d.data, AnyObservation).seq for d in await follow.next(10, 1.0)]
        await bus.observe(ended("s", 3))
        second = [codec.decode(d.data, AnyObservation).seq for d in await follow.next(10, 5.0)]
    assert (first, second) == ([1, 2], [3])


async def test_request_and_respond_or_nobody(bus, connect):
    server = await connect()
    with pytest.raises(NoResponders):
        await bus.request("ingest.offer", Close(session="s"), Done, 1.0)
    async with server.subscribe("ingest.offer", queue="ingest") as requests:
        asking = asyncio.create_task(bus.request("ingest.offer", Close(session="s"), Done, 5.0))
        request = await requests.next(5.0)
        assert request is not None
        assert codec.decode(request.data, Close).session == "s"
        await request.respond(Done())
        assert await asking == Done()
    with pytest.raises(NoResponders):
        await bus.request("ingest.offer", Close(session="s"), Done, 1.0)


async def test_a_slow_subscription_loses_the_oldest_and_says_so(bus, connect):
    async with bus.subscribe("live.*", limit=4) as watching:
        speaker = await connect()
        for number in range(10):
            await speaker.publish("live.s", frame("s", number))

        await eventually(lambda: watching.dropped == 6)
        assert [codec.decode((await watching.next(1.0)).data, Frame).seq for _ in range(4)] == [6, 7, 8, 9]
        assert await watching.next(0.01) is None


async def test_bucket_compare_and_set(bus):
    bucket = await bus.bucket(subjects.KV_SESSIONS)
    assert await bucket.get("s") is None
    revision = await bucket.create("s", b"1")
    with pytest.raises(Conflict):
        await bucket.create("s", b"2")
    newer = await bucket.update("s", b"2", revision)
    with pytest.raises(Conflict):
        await bucket.update("s", b"3", revision)
    entry = await bucket.get("s")
    assert entry is not None
    assert (entry.value, entry.revision) == (b"2", newer)
    await bucket.purge("s")
    assert await bucket.get("s") is None
    with pytest.raises(Conflict):
        await bucket.update("s", b"4", newer)
    assert await bucket.create("s", b"5") > newer


async def test_bucket_watch_tells_what_is_there_then_what_changes(bus):
    bucket = await bus.bucket(subjects.KV_SESSIONS)
    await bucket.put("a", b"1")
    await bucket.put("b", b"1")
    await bucket.purge("b")
    assert await bucket.keys() == ["a"]
    async with bucket.watch() as changes:
        seen = {}
        async for key, entry in changes:
            if key is None:
                break
            seen[key] = entry and entry.value
        assert seen == {"a": b"1", "b": None}
        await bucket.put("a", b"2")
        key, entry = await asyncio.wait_for(anext(changes), 5)
        assert (key, entry.value) == ("a", b"2")


async def test_objects(bus):
    objects = await bus.objects(subjects.OBJECTS_EVIDENCE)
    assert await objects.names("s/") == []
    await objects.put("s/still.jpg", b"x" * 300_000)
    await objects.put("t/still.jpg", b"y")
    assert await objects.names("s/") == ["s/still.jpg"]
    assert await objects.get("s/still.jpg") == b"x" * 300_000
    assert await objects.delete("s/still.jpg")
    assert not await objects.delete("s/still.jpg")
    with pytest.raises(NotFound):
        await objects.get("s/still.jpg")
    left = await bus.info(f"OBJ_{subjects.OBJECTS_EVIDENCE}", ">")
    assert sum(left.subjects.values()) == 2, "only the other object's name and bytes are left"


async def test_purge_and_delete_message(bus):
    for seq in range(3):
        last = await bus.observe(ended("s", seq))
    await bus.observe(ended("t"))
    await bus.delete_message(subjects.LOG, last)
    await bus.delete_message(subjects.LOG, last)
    assert await bus.purge(subjects.LOG, subjects.log_session("s")) == 2
    assert (await bus.info(subjects.LOG)).messages == 1


async def test_dead_letter_keeps_the_bytes(bus):
    await bus.append(
        subjects.log("s", "frame.seen"), FrameSkipped(session="s", source="x", seq=1, t_s=0, reason="r"), "a"
    )
    consumer = await bus.consumer(subjects.LOG, subjects.fold_consumer(subjects.partition("s")))
    (delivery,) = await consumer.fetch(1, 1.0)
    await bus.dead_letter("aggregator", delivery, BadMessage("line\nbreak", delivery.data))
    dead = await bus.last(subjects.DEAD, subjects.dead("aggregator"))
    assert dead is not None
    assert dead.data == delivery.data
    assert dead.headers["Candor-Subject"] == delivery.subject


async def test_everything_goes_on_after_nats_restarts(bus, nats_server):
    bucket = await bus.bucket(subjects.KV_SESSIONS)
    await bucket.put("s", b"1")
    consumer = await bus.consumer(subjects.FRAMES, subjects.VISION_CONSUMER)
    await bus.observe(ended("s", 0))
    async with bus.follow(subjects.LOG, subjects.log_session("s")) as follow, bus.subscribe("live.*") as live:
        assert len(await follow.next(10, 1.0)) == 1
        nats_server.stop()
        await eventually(lambda: not bus.connected)
        assert not await bus.publish(subjects.frames("s"), frame("s", 0))
        with pytest.raises(BusUnavailable):
            await bus.observe(ended("s", 1), timeout_s=0.3)
        later = asyncio.create_task(bus.observe(ended("s", 2), timeout_s=20))
        nats_server.start()
        await later
        await eventually(lambda: bus.connected)

        async def frames_flow():
            await bus.publish(subjects.frames("s"), frame("s", 1))
            return await consumer.fetch(1, 0.2)

        assert await eventually(frames_flow, 10)
        seen = []

        async def followed():
            seen.extend(codec.decode(d.data, AnyObservation).seq for d in await follow.next(10, 0.2))
            return 2 in seen

        await eventually(followed, 10)
        await bus.publish("live.s", frame("s", 5))
        assert await live.next(5.0) is not None
        entry = await bucket.get("s")
        assert entry is not None
        assert entry.value == b"1"


async def test_big_messages_come_in_batches_of_a_bounded_size(bus):
    """Forty messages of a megabyte are more than one request may carry; all of them come, in order."""
    big = "x" * 1_000_000
    for seq in range(40):
        ending = SessionEnded(session="s", source="test", seq=seq, t_s=0, reason=big)
        await bus.observe(ending)
    seqs = [codec.decode(d.data, AnyObservation).seq async for d in bus.read(subjects.LOG, subjects.log_session("s"))]
    assert seqs == list(range(40))
    consumer = await bus.consumer(subjects.LOG, subjects.fold_consumer(subjects.partition("s")))
    fetched = []
    while got := await consumer.fetch(100, 0.0):
        assert len(got) < 20
        fetched += [codec.decode(d.data, AnyObservation).seq for d in got]
        for delivery in got:
            await delivery.ack()
    assert fetched == list(range(40))

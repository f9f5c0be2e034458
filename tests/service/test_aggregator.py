"""The aggregator against a real nats-server: nothing lost, nothing counted twice, whoever dies in between."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aggregator import cli, metrics
from aggregator.replay import ReplayResult, replay
from aggregator.risk import expression, fold
from aggregator.service import quota, serve
from aggregator.settings import AggregatorSettings
from proto import codec, subjects
from proto.errors import BadInput, BadPolicy, NotFound
from proto.observations import Observation, SessionEnded
from proto.views import Alert, Changed, Snapshot
from runtime.bus import Bus
from tests.support.nats import NatsServer
from tests.support.observed import (
    FULL,
    POLICIES,
    STANDARD,
    alike,
    calm,
    created,
    document,
    face,
    frame,
    read,
    region,
    registered,
    span,
    thing,
    up,
)
from tests.support.wait import eventually

Connect = Callable[[], Awaitable[Bus]]
FAST = {"balance_s": 0.1, "sweep_s": 0.1}
BOTH = (face(), face(x=0.7))


class Running:
    """One replica in this process; `kill` leaves no chance to release or acknowledge anything, as SIGKILL would not."""

    def __init__(self, bus: Bus, node: str, **changes: Any) -> None:
        self.bus = bus
        self.node = node
        self._stop = asyncio.Event()
        settings = AggregatorSettings(node=node, **(FAST | changes))
        self.task = asyncio.create_task(serve(settings, bus, self._stop))

    async def stop(self) -> None:
        self._stop.set()
        await self.task

    async def kill(self) -> None:
        # The connection goes first: whatever the task still tries to say while it is torn down, nobody hears it.
        await self.bus._client.close()
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self.task


@asynccontextmanager
async def running(bus: Bus, node: str = "one", **changes: Any) -> AsyncIterator[Running]:
    replica = Running(bus, node, **changes)
    try:
        yield replica
    finally:
        if not replica.task.done():
            await replica.stop()


async def log_all(bus: Bus, observations: list[Any]) -> int:
    """Append in order; the last log sequence."""
    seq = 0
    for observation in observations:
        seq = await bus.observe(observation)
    return seq


def born(session: str, policy_toml: str = STANDARD) -> Observation:
    return created(session, policy_toml, created_unix_s=time.time())


def of(session: str, observations: list[Any]) -> list[Any]:
    return [msgspec.structs.replace(observation, session=session) for observation in observations]


async def snapshot(bus: Bus, session: str) -> Snapshot | None:
    entry = await (await bus.bucket(subjects.KV_SESSIONS)).get(session)
    return None if entry is None else codec.decode(entry.value, Snapshot)


async def folded(bus: Bus, session: str, seq: int) -> Snapshot:
    """The snapshot, once it holds `seq`."""

    async def reached() -> Snapshot | None:
        found = await snapshot(bus, session)
        return found if found is not None and found.seq >= seq else None

    return await eventually(reached, 20.0, f"snapshot of {session} at {seq}")


async def nothing_pending(bus: Bus, session: str) -> None:
    """Everything of the session's partition is acknowledged."""

    async def acknowledged() -> bool:
        info = await bus._js.consumer_info(subjects.LOG, subjects.fold_consumer(subjects.partition(session)))
        return not info.num_pending and not info.num_ack_pending

    await eventually(acknowledged, 20.0, "everything acknowledged")


async def owners(bus: Bus) -> dict[int, str]:
    bucket = await bus.bucket(subjects.KV_LEASES)
    found = {}
    for number in range(subjects.PARTITIONS):
        entry = await bucket.get(subjects.lease_partition(number))
        if entry is not None:
            found[number] = entry.value.decode()
    return found


async def assert_explained(bus: Bus, session: str) -> None:
    """The stored state is what the log gives: nothing lost, nothing counted twice."""
    result = await replay(bus, session)
    assert result.matches, (result.snapshot_hash, result.then)


async def test_a_session_is_folded_stored_told_and_acknowledged(bus: Bus, connect: Connect):
    watcher = await connect()
    async with watcher.subscribe(subjects.live("s1")) as live, running(await connect()):
        seq = await log_all(bus, [born("s1"), up(), *calm(0.0, 4.0), *(frame(t, *BOTH) for t in span(4.0, 6.0))])
        found = await folded(bus, "s1", seq)
        await nothing_pending(bus, "s1")
        assert found.view.status == "live"
        assert [line.rule for line in found.view.ledger] == ["MULTIPLE_FACES"]
        assert found.view.score == pytest.approx(25.0, abs=1.0)
        assert found.view.measures.frames_seen == 30
        lines = []
        while (message := await live.next(0.5)) is not None:
            lines += codec.decode(message.data, Changed).view.ledger
        assert [line.rule for line in lines] == ["MULTIPLE_FACES"]
        (alert,) = [codec.decode(d.data, Alert) async for d in bus.read(subjects.ALERTS, subjects.alerts("s1"))]
        assert alert == found.view.alerts[0]
        await assert_explained(bus, "s1")


async def test_watchers_hear_of_a_calm_session_once_a_second(bus: Bus, connect: Connect):
    async with running(await connect(), batch=1), bus.subscribe(subjects.live("s1"), limit=1000) as live:
        seq = await log_all(bus, [born("s1"), up(), *calm(0.0, 10.0)])
        await folded(bus, "s1", seq)
        await nothing_pending(bus, "s1")
        told = []
        while (message := await live.next(0.3)) is not None:
            told.append(codec.decode(message.data, Changed))
        # The creation, the source that came up, then one a second.
        assert 10 <= len(told) <= 13
        assert all(one.view.clock_s <= another.view.clock_s for one, another in pairwise(told))


async def test_a_second_replica_gets_its_share_and_hands_it_back_under_load(bus: Bus, connect: Connect):
    sessions = [f"s{number}" for number in range(12)]
    moments = [*calm(0.0, 4.0), *(frame(t, *BOTH) for t in span(4.0, 12.0)), *calm(12.0, 16.0)]

    async def candidate(session: str, handed_over: asyncio.Event) -> int:
        await log_all(bus, of(session, [born(session), up()]))
        for index, moment in enumerate(moments):
            seq = await log_all(bus, of(session, [moment]))
            if index == len(moments) - 5:
                await handed_over.wait()
        return seq

    def shares(one: int, two: int) -> Callable[[], Awaitable[bool]]:
        async def reached() -> bool:
            held = list((await owners(bus)).values())
            return (held.count("one"), held.count("two")) == (one, two)

        return reached

    first = Running(await connect(), "one")
    await eventually(shares(16, 0), 20.0, "all with the first")
    handed_over = asyncio.Event()
    candidates = [asyncio.create_task(candidate(session, handed_over)) for session in sessions]
    second = Running(await connect(), "two")
    await eventually(shares(8, 8), 20.0, "an equal share for each")
    await second.stop()
    await eventually(shares(16, 0), 20.0, "all with the one that is left")
    handed_over.set()
    for session, seq in zip(sessions, await asyncio.gather(*candidates), strict=True):
        found = await folded(bus, session, seq)
        assert found.view.measures.frames_seen == len(moments)
        assert [line.rule for line in found.view.ledger] == ["MULTIPLE_FACES"]
        await assert_explained(bus, session)
    assert (await bus.info(subjects.ALERTS)).messages == len(sessions)
    await first.stop()
    assert await owners(bus) == {}


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 20])
def test_quotas_add_up_and_differ_by_one_at_most(count: int):
    members = [f"m{number}" for number in range(count)]
    quotas = [quota(member, members) for member in members]
    assert sum(quotas) == subjects.PARTITIONS
    assert max(quotas) - min(quotas) <= 1


async def test_killed_in_mid_session_nothing_is_lost_or_counted_twice(bus: Bus, connect: Connect):
    moments = [frame(t, *BOTH) if 4.0 <= t < 8.0 else frame(t, face()) for t in span(0.0, 24.0)]
    victim = Running(await connect(), "victim", batch=3)
    await log_all(bus, [born("s1"), up()])
    for index, moment in enumerate(moments):
        await bus.observe(moment)
        if index == 40:
            await victim.kill()
    async with running(await connect(), "heir"):
        seq = (await bus.info(subjects.LOG)).last_seq
        found = await folded(bus, "s1", seq)
        await nothing_pending(bus, "s1")
        assert found.view.measures.frames_seen == len(moments)
        assert [line.rule for line in found.view.ledger] == ["MULTIPLE_FACES"]
        await assert_explained(bus, "s1")
        alerts = [d async for d in bus.read(subjects.ALERTS, subjects.alerts("s1"))]
        assert len(alerts) == 1


async def test_redelivered_observations_are_skipped(bus: Bus, connect: Connect):
    first = Running(await connect(), "one")
    seq = await log_all(bus, [born("s1"), up(), *calm(0.0, 4.0), *(frame(t) for t in span(4.0, 8.0))])
    before = await folded(bus, "s1", seq)
    await nothing_pending(bus, "s1")
    await first.stop()
    # The consumer forgets every acknowledgement: everything comes again.
    consumer = subjects.fold_consumer(subjects.partition("s1"))
    await bus._js.delete_consumer(subjects.LOG, consumer)
    again = await connect()
    async with running(again):
        await nothing_pending(bus, "s1")
        after = await snapshot(bus, "s1")
        assert after is not None
        assert after.state_hash == before.state_hash
        assert after.view.measures.frames_seen == 40


async def test_an_alert_whose_append_was_lost_is_appended_after_all(bus: Bus, connect: Connect):
    first = Running(await connect(), "one")
    seq = await log_all(bus, [born("s1"), up(), *(frame(t) for t in span(0.0, 4.0))])
    await folded(bus, "s1", seq)
    await nothing_pending(bus, "s1")
    await first.stop()
    # As after a crash between the snapshot and the alert: stored, not alerted, not acknowledged.
    await bus.purge(subjects.ALERTS, subjects.alerts("s1"))
    await bus._js.update_stream(name=subjects.ALERTS, subjects=["alerts.*"], duplicate_window=0.1)
    await bus._js.delete_consumer(subjects.LOG, subjects.fold_consumer(subjects.partition("s1")))

    async def alerted() -> bool:
        return (await bus.info(subjects.ALERTS)).messages == 1

    async with running(await connect()):
        await eventually(alerted, 10.0, "the alert")


async def test_somebody_elses_snapshot_is_read_again_not_overwritten(bus: Bus, connect: Connect):
    async with running(await connect(), batch=1):
        seq = await log_all(bus, [born("s1"), up(), *calm(0.0, 4.0)])
        await folded(bus, "s1", seq)
        conflicts = metrics.CONFLICTS._value.get()
        bucket = await bus.bucket(subjects.KV_SESSIONS)
        for t in (4.0, 5.0, 6.0):
            # The same state under another revision: what a second owner would leave behind.
            await nothing_pending(bus, "s1")
            entry = await bucket.get("s1")
            assert entry is not None
            await bucket.put("s1", entry.value)
            seq = await log_all(bus, [frame(t, face())])
            await folded(bus, "s1", seq)
        await assert_explained(bus, "s1")
        found = await snapshot(bus, "s1")
        assert found is not None
        assert found.view.measures.frames_seen == 23
        assert metrics.CONFLICTS._value.get() == conflicts + 3


async def test_a_lost_snapshot_is_rebuilt_from_the_log(bus: Bus, connect: Connect):
    first = Running(await connect(), "one")
    seq = await log_all(bus, [born("s1"), up(), *calm(0.0, 4.0), *(frame(t) for t in span(4.0, 8.0))])
    before = await folded(bus, "s1", seq)
    await nothing_pending(bus, "s1")
    await first.stop()
    bucket = await bus.bucket(subjects.KV_SESSIONS)
    await bucket.purge("s1")
    async with running(await connect(), "two"):
        seq = await log_all(bus, [frame(8.0, face())])
        after = await folded(bus, "s1", seq)
        assert after.view.ledger == before.view.ledger
        assert after.view.measures.frames_seen == 41
        await bucket.put("s1", b"\xc1 garbage")
        seq = await log_all(bus, [frame(8.2, face())])
        assert (await folded_despite_garbage(bus, seq)).view.measures.frames_seen == 42
        await assert_explained(bus, "s1")


async def folded_despite_garbage(bus: Bus, seq: int) -> Snapshot:
    async def reached() -> Snapshot | None:
        with contextlib.suppress(Exception):
            found = await snapshot(bus, "s1")
            return found if found is not None and found.seq >= seq else None
        return None

    return await eventually(reached, 10.0, "a readable snapshot")


async def test_a_poisoned_message_is_put_aside_and_the_rest_goes_on(bus: Bus, connect: Connect):
    async with running(await connect()):
        await log_all(bus, [born("s1"), up(), *calm(0.0, 2.0)])
        poison = subjects.log("s1", "frame.seen")
        await bus._js.publish(poison, b"\xc1 this is not MessagePack")
        await bus._js.publish(poison, msgspec.msgpack.encode({"kind": "frame.seen", "session": "s2"}))
        other = msgspec.structs.replace(frame(9.0, face()), session="another")
        await bus._js.publish(poison, codec.encode(other))
        seq = await log_all(bus, calm(2.0, 4.0))
        found = await folded(bus, "s1", seq)
        await nothing_pending(bus, "s1")
        assert found.view.measures.frames_seen == 20
        dead = [d async for d in bus.read(subjects.DEAD, subjects.dead("aggregator"))]
        assert len(dead) == 3
        assert dead[0].data == b"\xc1 this is not MessagePack"
        await assert_explained(bus, "s1")


async def test_an_observation_on_which_the_fold_fails_is_put_aside(
    bus: Bus, connect: Connect, monkeypatch: pytest.MonkeyPatch
):
    real = fold.apply

    def fails_at_seven(state: Any, observation: Any, *rest: Any) -> Any:
        if observation.t_s == 7.0:
            raise ZeroDivisionError("a defect")
        return real(state, observation, *rest)

    monkeypatch.setattr(fold, "apply", fails_at_seven)
    async with running(await connect()):
        seq = await log_all(bus, [born("s1"), up(), *(frame(float(t), face()) for t in range(10))])
        found = await folded(bus, "s1", seq)
        await nothing_pending(bus, "s1")
        assert found.view.measures.frames_seen == 9
        assert (await bus.info(subjects.DEAD)).messages == 1
        await assert_explained(bus, "s1")


async def test_stragglers_of_an_erased_session_are_deleted(bus: Bus, connect: Connect):
    async with running(await connect()):
        seq = await log_all(bus, [born("s1"), up(), *calm(0.0, 4.0)])
        await folded(bus, "s1", seq)
        await nothing_pending(bus, "s1")
        # As the api erases: the log first, then the snapshot.
        await bus.purge(subjects.LOG, subjects.log_session("s1"))
        await (await bus.bucket(subjects.KV_SESSIONS)).purge("s1")
        await log_all(bus, calm(4.0, 5.0))

        async def gone() -> bool:
            return (await bus.info(subjects.LOG)).messages == 0

        await eventually(gone, 10.0, "stragglers deleted")
        assert await snapshot(bus, "s1") is None
        await nothing_pending(bus, "s1")


async def test_observations_of_a_session_that_never_was_are_deleted(bus: Bus, connect: Connect):
    async with running(await connect()):
        await log_all(bus, calm(0.0, 1.0))

        async def gone() -> bool:
            return (await bus.info(subjects.LOG)).messages == 0

        await eventually(gone, 10.0, "orphans deleted")
        assert await snapshot(bus, "s1") is None


async def test_a_silent_source_is_stalled_once_and_live_again_when_it_returns(bus: Bus, connect: Connect):
    async with running(await connect(), stall_s=0.4):
        await log_all(bus, [born("s1"), up(), *calm(0.0, 1.0)])

        async def stalled() -> bool:
            found = await snapshot(bus, "s1")
            return found is not None and found.view.status == "stalled"

        await eventually(stalled, 10.0, "stalled")
        found = await snapshot(bus, "s1")
        assert found is not None
        assert [line.rule for line in found.view.ledger] == ["SOURCE_LOST"]
        seq = await log_all(bus, [frame(found.view.clock_s + 1.0, face())])
        assert (await folded(bus, "s1", seq)).view.status == "live"

        async def stalled_again() -> bool:
            kinds = (await bus.info(subjects.LOG, subjects.log("s1", "source.stalled"))).subjects
            return sum(kinds.values()) == 2

        await eventually(stalled_again, 10.0, "a second stall")
        await assert_explained(bus, "s1")


IDLE = STANDARD.replace("idle_limit_s = 900.0", "idle_limit_s = 0.6")


async def test_an_idle_session_expires_once_and_whoever_takes_over_still_sees_it(bus: Bus, connect: Connect):
    first = Running(await connect(), "one", sweep_s=60.0)
    seq = await log_all(bus, [born("s1", IDLE)])
    await folded(bus, "s1", seq)
    await nothing_pending(bus, "s1")
    await first.stop()

    async def expired() -> bool:
        found = await snapshot(bus, "s1")
        return found is not None and found.view.status == "expired"

    async with running(await connect(), "two"), running(await connect(), "three"):
        await eventually(expired, 15.0, "expired")
        await nothing_pending(bus, "s1")
        kinds = (await bus.info(subjects.LOG, subjects.log("s1", "session.expired"))).subjects
        assert sum(kinds.values()) == 1
        await assert_explained(bus, "s1")


async def test_an_ended_session_is_left_alone(bus: Bus, connect: Connect):
    async with running(await connect(), stall_s=0.2):
        end = SessionEnded(session="s1", source="api", seq=1, t_s=1.0)
        done = await log_all(bus, [born("s1", IDLE), up(), *calm(0.0, 1.0), end])
        marker = await log_all(bus, of("s2", [born("s2", IDLE)]))
        await folded(bus, "s2", marker)

        async def other_expired() -> bool:
            found = await snapshot(bus, "s2")
            return found is not None and found.view.status == "expired"

        await eventually(other_expired, 10.0, "the other session expired")
        found = await snapshot(bus, "s1")
        assert found is not None
        assert (found.view.status, found.seq) == ("ended", done)


async def test_goes_on_after_nats_was_away(bus: Bus, connect: Connect, nats_server: NatsServer):
    async with running(await connect()):
        seq = await log_all(bus, [born("s1"), up(), *calm(0.0, 2.0)])
        await folded(bus, "s1", seq)
        nats_server.stop()
        nats_server.start()
        await eventually(lambda: bus.connected, 15.0)
        seq = await log_all(bus, calm(2.0, 4.0))
        found = await folded(bus, "s1", seq)
        assert found.view.measures.frames_seen == 20
        await assert_explained(bus, "s1")


async def test_replay_under_another_policy_tells_the_differences(bus: Bus, connect: Connect):
    async with running(await connect()):
        moments = [*calm(0.0, 4.0), *(frame(t) for t in span(4.0, 7.0)), *calm(7.0, 9.0)]
        seq = await log_all(bus, [born("s1"), up(), *moments, *(frame(t, *BOTH) for t in span(9.0, 12.0))])
        await folded(bus, "s1", seq)
    same = await replay(bus, "s1")
    assert same.matches
    assert same.observations == 2 + 60
    assert same.differences == ()
    other = await replay(bus, "s1", (POLICIES / "eu-recruitment.toml").read_text())
    assert other.matches
    assert other.now is not None
    assert [(difference.kind, difference.rule) for difference in other.differences] == [
        ("only_then", "NO_FACE"),
        ("changed", "MULTIPLE_FACES"),
    ]
    assert other.now.score < other.then.score
    with pytest.raises(BadPolicy):
        await replay(bus, "s1", "name = 3")
    with pytest.raises(NotFound):
        await replay(bus, "nobody")


async def test_a_replay_of_all_that_is_looked_at_gives_the_same_state(bus: Bus, connect: Connect):
    mood = dict.fromkeys(expression.NAMES, 12.5)
    looks = [
        frame(
            t, face(expression=mood, abstains={"gaze": "small"}), identity=alike(30.0) if i % 10 == 0 else None,
            objects=(thing("cell phone"),) if i % 2 == 0 else None, models={"expression": "geometry"},
        )
        for i, t in enumerate(span(0.0, 12.0))
    ]  # fmt: skip
    searches = [read(1.8, region()), read(11.8, region(text="words"))]
    async with running(await connect()):
        seq = await log_all(bus, [born("s1", FULL), up(), registered(), document(0.0, 88.0), *looks, *searches])
        found = await folded(bus, "s1", seq)
    assert {line.rule for line in found.view.ledger} == {"PHONE_DETECTED", "IDENTITY_MISMATCH", "TEXT_IN_VIEW"}
    assert found.view.measures.expression == mood
    assert found.view.measures.identity_failures == 6
    assert (await replay(bus, "s1")).matches
    # Judged again under a policy that asks for a fourth look at the face.
    other = await replay(bus, "s1", (POLICIES / "eu-recruitment.toml").read_text())
    fired = {difference.rule: difference for difference in other.differences}
    assert fired["IDENTITY_MISMATCH"].then.t_s == pytest.approx(4.0)
    assert fired["IDENTITY_MISMATCH"].now.t_s == pytest.approx(6.0)


async def test_replay_notices_a_state_that_the_log_does_not_explain(
    bus: Bus, connect: Connect, nats_server: NatsServer, capsys: pytest.CaptureFixture[str]
):
    async with running(await connect()):
        seq = await log_all(bus, [born("s1"), up(), *calm(0.0, 2.0)])
        found = await folded(bus, "s1", seq)
    tampered = msgspec.structs.replace(found, state_hash="0" * 64)
    await (await bus.bucket(subjects.KV_SESSIONS)).put("s1", codec.encode(tampered))
    assert (await replay(bus, "s1")).matches is False
    assert await cli.run("s1", None, nats_url=nats_server.url) == 1
    assert "DIFFERENT" in capsys.readouterr().out


async def test_replay_from_the_command_line(
    bus: Bus, connect: Connect, nats_server: NatsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    async with running(await connect()):
        seq = await log_all(bus, [born("s1"), up(), *(frame(t) for t in span(0.0, 3.0))])
        found = await folded(bus, "s1", seq)
    assert await cli.run("s1", None, nats_url=nats_server.url) == 0
    assert found.state_hash in capsys.readouterr().out
    lenient = tmp_path / "lenient.toml"
    lenient.write_text(STANDARD.replace("weight = 20\nhold_s = 2.0", "weight = 5\nhold_s = 2.0"))
    assert await cli.run("s1", lenient, nats_url=nats_server.url) == 0
    assert "~" in capsys.readouterr().out
    assert await cli.run("s1", lenient, as_json=True, nats_url=nats_server.url) == 0
    printed = msgspec.json.decode(capsys.readouterr().out, type=ReplayResult)
    assert [(difference.kind, difference.rule) for difference in printed.differences] == [("changed", "NO_FACE")]
    with pytest.raises(BadInput):
        await cli.run("s1", tmp_path / "missing.toml", nats_url=nats_server.url)


async def test_a_session_whose_policy_cannot_be_read_is_put_aside(bus: Bus, connect: Connect):
    async with running(await connect()):
        await log_all(bus, [born("s1", "name = 3"), up()])
        seq = await log_all(bus, of("s2", [born("s2"), up()]))
        await folded(bus, "s2", seq)
        await nothing_pending(bus, "s1")
        assert (await bus.info(subjects.DEAD)).messages == 2
        assert await snapshot(bus, "s1") is None

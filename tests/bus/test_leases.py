"""Leases against a real nats-server."""

from __future__ import annotations

import asyncio

from runtime.leases import Leases
from tests.support.wait import eventually


async def test_one_owner_at_a_time_and_release_frees_at_once(bus, connect):
    async with Leases(bus, "one") as one, Leases(await connect(), "two") as two:
        lease = await one.acquire("partition.1")
        assert lease is not None
        assert lease.held
        assert await two.acquire("partition.1") is None
        assert await two.owners() == {"partition.1": "one"}
        await one.release(lease)
        assert lease.lost.is_set()
        assert await two.acquire("partition.1") is not None


async def test_a_lease_outlives_its_ttl_while_renewed(bus, connect):
    async with Leases(bus, "one") as one, Leases(await connect(), "two") as two:
        lease = await one.acquire("k")
        assert lease is not None
        first = lease._revision
        await eventually(lambda: lease._revision > first, 10)
        assert lease.held
        assert await two.acquire("k") is None


async def test_a_dead_owner_is_succeeded(bus, connect):
    one = Leases(bus, "one")
    await one.__aenter__()
    lease = await one.acquire("k")
    assert lease is not None
    one._task.cancel()  # as if the process were gone: no renewal, no release
    await asyncio.gather(one._task, return_exceptions=True)
    async with Leases(await connect(), "two") as two:
        taken = await eventually(lambda: two.acquire("k"), 10)
        assert taken.held
        assert not lease.held, "the dead owner must not believe in it when somebody else has it"


async def test_a_holder_stops_believing_when_nats_is_gone(bus, nats_server):
    async with Leases(bus, "one") as one:
        lease = await one.acquire("k")
        assert lease is not None
        nats_server.stop()
        await asyncio.wait_for(lease.lost.wait(), 10)
        assert not lease.held
        nats_server.start()
        assert await eventually(lambda: one.acquire("k"), 15)


async def test_a_lease_that_is_just_being_renewed_is_free_at_once_when_it_is_given_back(bus, connect, monkeypatch):
    other = await connect()
    async with Leases(bus, "one") as one, Leases(other, "two") as two:
        lease = await one.acquire("key")
        update, stored, go_on = one._bucket.update, asyncio.Event(), asyncio.Event()

        async def slow(*args):
            revision = await update(*args)
            stored.set()
            await go_on.wait()
            return revision

        monkeypatch.setattr(one._bucket, "update", slow)
        renewing = asyncio.create_task(one._renew(lease))
        await asyncio.wait_for(stored.wait(), 5)
        releasing = asyncio.create_task(one.release(lease))
        await asyncio.sleep(0)
        assert not lease.held
        go_on.set()
        await asyncio.gather(renewing, releasing)
        assert await two.acquire("key") is not None

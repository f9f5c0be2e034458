"""The aggregator: leases its share of the log's partitions and folds them."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket

from aggregator.metrics import PARTITIONS as PARTITIONS_HELD
from aggregator.partition import Partition
from aggregator.settings import AggregatorSettings
from aggregator.silence import Silence
from aggregator.store import Store
from proto import subjects
from proto.errors import Unavailable
from runtime.bus import Bus
from runtime.leases import Lease, Leases
from runtime.log import get_logger

MEMBER_PREFIX = "aggregator."
"""Replicas are counted by lease keys of this prefix: one that holds no partition yet must be seen to get its share."""

log = get_logger("aggregator")


async def serve(settings: AggregatorSettings, bus: Bus, stop: asyncio.Event) -> None:
    """Fold until `stop`; then finish the batches in hand and give the partitions back."""
    node = settings.node or _unique_name()
    store = Store(bus, await bus.bucket(subjects.KV_SESSIONS), settings.cache_sessions)
    silence = Silence(bus, settings)
    # The leases outlive the partitions that need them, so that they are still ours while the last batch is stored.
    async with Leases(bus, node) as leases, asyncio.TaskGroup() as group:
        replica = Replica(node, leases, bus, store, silence, settings, group)
        sweeping = group.create_task(silence.run(stop), name="silence")
        try:
            await replica.balance_until(stop)
        finally:
            # Stopped the hard way, by an error or a cancellation, nobody has set `stop`.
            sweeping.cancel()
            await replica.leave()


class Replica:
    """One owner of partitions among several. Shares are equal to within one, and a newcomer gets its own in seconds."""

    def __init__(
        self,
        node: str,
        leases: Leases,
        bus: Bus,
        store: Store,
        silence: Silence,
        settings: AggregatorSettings,
        group: asyncio.TaskGroup,
    ) -> None:
        self._node = node
        self._leases = leases
        self._bus = bus
        self._store = store
        self._silence = silence
        self._settings = settings
        self._group = group
        self._member: Lease | None = None
        self._scans: set[asyncio.Task[None]] = set()
        self._folding: dict[int, tuple[Partition, asyncio.Task[None]]] = {}

    async def balance_until(self, stop: asyncio.Event) -> None:
        """Look at who folds what each `balance_s`, and take or give."""
        while not stop.is_set():
            try:
                await self._balance()
            except Unavailable as error:
                log.warning("aggregator.balance_interrupted", reason=str(error))
            try:
                async with asyncio.timeout(self._settings.balance_s):
                    await stop.wait()
            except TimeoutError:
                continue

    async def leave(self) -> None:
        """Finish what is in hand and give everything back."""
        for scan in self._scans:
            scan.cancel()
        await self._release(list(self._folding))
        if self._member is not None:
            await self._give_back(self._member)

    async def _balance(self) -> None:
        if self._member is None or not self._member.held:
            self._member = await self._leases.acquire(MEMBER_PREFIX + self._node)
        owners = await self._leases.owners()
        share = quota(self._node, [key.removeprefix(MEMBER_PREFIX) for key in owners if key.startswith(MEMBER_PREFIX)])
        self._bury()
        surplus = sorted(self._folding)[share:]
        if surplus:
            await self._release(surplus)
        taken = {subjects.lease_partition(number) for number in self._folding} | set(owners)
        free = [n for n in range(subjects.PARTITIONS) if subjects.lease_partition(n) not in taken]
        fresh: set[int] = set()
        for number in free:
            if len(self._folding) >= share:
                break
            if await self._take(number):
                fresh.add(number)
        if fresh:
            scan = self._group.create_task(self._silence.scan(fresh), name="scan")
            self._scans.add(scan)
            scan.add_done_callback(self._scans.discard)
        self._report(share)

    async def _take(self, number: int) -> bool:
        lease = await self._leases.acquire(subjects.lease_partition(number))
        if lease is None:
            return False
        partition = Partition(number, lease, self._bus, self._store, self._silence, self._settings)
        task = self._group.create_task(self._fold(partition), name=f"partition-{number}")
        self._folding[number] = (partition, task)
        return True

    async def _fold(self, partition: Partition) -> None:
        """Run a partition; from the moment its lease is lost, it is not touched again."""
        running = asyncio.create_task(partition.run())
        lost = asyncio.create_task(partition.lease.lost.wait())
        try:
            await asyncio.wait({running, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
            if not running.cancelled():
                running.result()
        finally:
            running.cancel()
            lost.cancel()

    def _bury(self) -> None:
        for number, (_, task) in list(self._folding.items()):
            if task.done():
                del self._folding[number]

    async def _release(self, numbers: list[int]) -> None:
        leaving = [self._folding.pop(number) for number in numbers]
        for partition, _ in leaving:
            partition.leaving.set()
        if leaving:
            await asyncio.wait([task for _, task in leaving])
        for partition, _ in leaving:
            await self._give_back(partition.lease)

    async def _give_back(self, lease: Lease) -> None:
        try:
            await self._leases.release(lease)
        except Unavailable:
            log.warning("aggregator.lease_not_returned", key=lease.key, reason="it expires by itself")

    def _report(self, share: int) -> None:
        held = len(self._folding)
        PARTITIONS_HELD.set(held)
        self._bus.health.set(
            "partitions", ok=held > 0 or share == 0, detail=f"{held} of {subjects.PARTITIONS}", critical=False
        )
        self._bus.health.started()


def quota(node: str, members: list[str]) -> int:
    """How many partitions `node` should fold among `members` (itself included). Quotas add up to all of them."""
    everyone = sorted({*members, node})
    each, left = divmod(subjects.PARTITIONS, len(everyone))
    return each + (everyone.index(node) < left)


def _unique_name() -> str:
    host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:32]
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"

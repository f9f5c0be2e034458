"""Who owns what, for at most five seconds at a time: keys in a bucket whose values expire.

A lease is held as long as its renewals arrive in time by the holder's own monotonic clock; a holder that cannot renew
stops believing in it before the bucket lets somebody else in.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from proto import subjects
from proto.errors import Conflict, Unavailable
from runtime import metrics
from runtime.bus import Bucket, Bus
from runtime.bus.topology import LEASE_TTL_S
from runtime.log import get_logger

RENEW_S = LEASE_TTL_S / 3
GIVE_UP_S = LEASE_TTL_S * 0.8
"""Held at most this long after the last renewal was sent: the margin is for clocks that run at different speeds."""

log = get_logger("leases")


class Lease:
    """One key that is ours. `lost` is set as soon as it is not: stop touching what it guards."""

    def __init__(self, key: str, revision: int, until_s: float) -> None:
        self.key = key
        self.lost = asyncio.Event()
        self._revision = revision
        self._until_s = until_s
        # Giving back what is just being renewed would fail on the revision, and leave it to expire.
        self._writing = asyncio.Lock()

    @property
    def held(self) -> bool:
        """Whether it is still ours at this moment, by the monotonic clock."""
        return not self.lost.is_set() and asyncio.get_running_loop().time() < self._until_s


class Leases:
    """The leases of one process: `acquire` them, they are renewed in the background while inside `async with`."""

    def __init__(self, bus: Bus, owner: str) -> None:
        self._bus = bus
        self._owner = owner.encode()
        self._held: dict[str, Lease] = {}
        self._bucket: Bucket | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._bucket = await self._bus.bucket(subjects.KV_LEASES)
        self._task = asyncio.create_task(self._renew_for_ever(), name="leases")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for lease in list(self._held.values()):
            with contextlib.suppress(Unavailable):
                await self.release(lease)

    async def acquire(self, key: str) -> Lease | None:
        """The lease, or None if somebody else has it, or NATS does not answer."""
        assert self._bucket is not None, "use `async with`"
        now_s = asyncio.get_running_loop().time()
        try:
            revision = await self._bucket.create(key, self._owner)
        except (Conflict, Unavailable):
            return None
        lease = self._held[key] = Lease(key, revision, now_s + GIVE_UP_S)
        metrics.LEASES_HELD.set(len(self._held))
        return lease

    async def release(self, lease: Lease) -> None:
        """Give it back, so that a successor need not wait for it to expire."""
        held = lease.held
        self._forget(lease)
        if held and self._bucket is not None:
            try:
                async with lease._writing:
                    # Only if it is still ours: an empty value marks it free without a race against a new owner.
                    await self._bucket.free(lease.key, lease._revision)
            except Conflict:
                log.info("leases.taken_over", key=lease.key)

    async def owners(self) -> dict[str, str]:
        """Who holds what right now: key to owner."""
        assert self._bucket is not None, "use `async with`"
        entries = {key: await self._bucket.get(key) for key in await self._bucket.keys()}
        return {key: entry.value.decode() for key, entry in entries.items() if entry is not None}

    def _forget(self, lease: Lease) -> None:
        self._held.pop(lease.key, None)
        lease.lost.set()
        metrics.LEASES_HELD.set(len(self._held))

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await asyncio.gather(*(self._renew(lease) for lease in list(self._held.values())))

    async def _renew(self, lease: Lease) -> None:
        assert self._bucket is not None
        sent_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(GIVE_UP_S - RENEW_S), lease._writing:
                if lease.lost.is_set():
                    return
                lease._revision = await self._bucket.update(lease.key, self._owner, lease._revision)
        except Conflict:
            self._lose(lease, "somebody else has it")
        except (Unavailable, TimeoutError):
            if not lease.held:
                self._lose(lease, "could not be renewed in time")
        else:
            lease._until_s = sent_s + GIVE_UP_S

    def _lose(self, lease: Lease, reason: str) -> None:
        metrics.LEASES_LOST.inc()
        log.warning("leases.lost", key=lease.key, reason=reason)
        self._forget(lease)

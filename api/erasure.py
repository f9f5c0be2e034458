"""Erasing a session: everything that was stored of it, everywhere, and a receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import TypeVar

from api import metrics
from api.listing import Listing
from api.models import Receipt
from api.settings import ApiSettings
from proto import subjects
from proto.errors import BusUnavailable, NotFound
from proto.observations import SessionEnded
from proto.signalling import Close
from proto.views import Deleted
from runtime.bus import Bus
from runtime.log import get_logger

T = TypeVar("T")

ROUNDS = 10
ROUND_S = 0.2
QUIET_ROUNDS = 2

log = get_logger("api")


class Erasure:
    """Erases sessions. Raises BusUnavailable when NATS does not answer in time; erasing again is then safe."""

    def __init__(self, settings: ApiSettings, bus: Bus, listing: Listing) -> None:
        self._bus = bus
        self._listing = listing
        self._timeout_s = settings.bus_timeout_s

    async def erase(self, session: str) -> Receipt:
        """End the session, close its peers, and erase log, sound, frames, alerts, evidence, snapshot and face.

        What workers still had in hand arrives late, so it is looked for until nothing came for a while (bounded; the
        aggregator erases what comes even later, because the session's beginning is gone).

        Raises:
            NotFound: nothing is stored of this session.
        """
        if not await self._exists(session):
            raise NotFound(f"there is no session {session}")
        await self._stop(session)
        # Watchers learn of it before the first byte goes: nobody reads half a session as the whole.
        await self._bus.publish(subjects.live(session), Deleted(session=session))
        self._listing.remove(session)
        counts = _Counts()
        quiet = 0
        for number in range(ROUNDS):
            found = await self._round(session, counts)
            quiet = 0 if found else quiet + 1
            if quiet >= QUIET_ROUNDS:
                break
            if number < ROUNDS - 1:
                await asyncio.sleep(ROUND_S)
        dead = await self._dead_letters(session)
        metrics.ERASED.inc()
        log.info("api.session_erased", session=session, log_messages=counts.log, evidence=counts.evidence)
        return Receipt(
            id=session,
            deleted_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            log_messages=counts.log,
            audio_messages=counts.audio,
            evidence_objects=counts.evidence,
            alerts=counts.alerts,
            dead_letters=dead,
            snapshot=counts.snapshots > 0,
            identity=counts.identities > 0,
        )

    async def _exists(self, session: str) -> bool:
        bucket = await self._within(self._bus.bucket(subjects.KV_SESSIONS))
        if await self._within(bucket.get(session)) is not None:
            return True
        state = await self._within(self._bus.info(subjects.LOG, subjects.log_session(session)))
        return bool(state.subjects)

    async def _stop(self, session: str) -> None:
        # Ended in the log, and not only closed: a worker that resumes must see that there is nothing to wait for.
        ended = SessionEnded(session=session, source="api", seq=0, t_s=0.0, reason="erased")
        found = await self._within(self._bus.last(subjects.LOG, subjects.log(session, ended.kind)))
        created = await self._within(self._bus.last(subjects.LOG, subjects.log(session, "session.created")))
        if found is None and created is not None:
            await self._within(self._bus.observe(ended, self._timeout_s))
        await self._bus.publish(subjects.INGEST_CLOSE, Close(session=session))

    async def _round(self, session: str, counts: _Counts) -> int:
        """Erase all that is there now; returns how much that was."""
        erased_log = await self._within(self._bus.purge(subjects.LOG, subjects.log_session(session)))
        audio = await self._within(self._bus.purge(subjects.AUDIO, subjects.audio(session)))
        frames = await self._within(self._bus.purge(subjects.FRAMES, subjects.frames(session)))
        recorded = await self._within(self._bus.purge(subjects.RECORDED, subjects.recorded(session)))
        alerts = await self._within(self._bus.purge(subjects.ALERTS, subjects.alerts(session)))
        evidence = await self._evidence(session)
        snapshot = await self._value(subjects.KV_SESSIONS, session)
        identity = await self._value(subjects.KV_IDENTITIES, session)
        counts.log += erased_log
        counts.audio += audio
        counts.alerts += alerts
        counts.evidence += evidence
        counts.snapshots += snapshot
        counts.identities += identity
        return erased_log + audio + frames + recorded + alerts + evidence + snapshot + identity

    async def _evidence(self, session: str) -> int:
        objects = await self._within(self._bus.objects(subjects.OBJECTS_EVIDENCE))
        names = await self._within(objects.names(subjects.evidence(session, "")))
        return sum([await self._within(objects.delete(name)) for name in names])

    async def _dead_letters(self, session: str) -> int:
        """Messages of the session that were put aside because they did not decode."""
        # By subject, never by reading: what was put aside can be a megabyte each.
        return await self._within(self._bus.purge(subjects.DEAD, subjects.dead("*", session)))

    async def _value(self, name: str, session: str) -> int:
        bucket = await self._within(self._bus.bucket(name))
        there = await self._within(bucket.get(session)) is not None
        await self._within(bucket.purge(session))
        return int(there)

    async def _within(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except TimeoutError as error:
            raise BusUnavailable("NATS did not answer in time; erase again") from error


class _Counts:
    def __init__(self) -> None:
        self.log = 0
        self.audio = 0
        self.evidence = 0
        self.alerts = 0
        self.snapshots = 0
        self.identities = 0

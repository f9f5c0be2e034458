"""What one watcher is told, in order: the snapshot, then what is newer than it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from api.feed import KEEPALIVE, Event, Hub, Watcher
from api.listing import Listing
from api.sessions import Sessions
from proto.errors import NotFound, Unavailable

RESYNC_RETRY_S = 1.0
ALL_SNAPSHOTS = 1000
MAX_TOLD = 4000
CUT = b'{"reason":"this feed was read too slowly; come back with the last event id"}'


class Watching:
    """One live feed. `session` "" is all sessions. Use `events` once, and `close` whatever happens."""

    def __init__(
        self,
        hub: Hub,
        sessions: Sessions,
        listing: Listing,
        *,
        session: str,
        last_event_id: int | None,
        keepalive_s: float,
    ) -> None:
        self._hub = hub
        self._sessions = sessions
        self._listing = listing
        self._session = session
        self._keepalive_s = keepalive_s
        # Log sequence up to which each session has been told.
        self._told: dict[str, int] = {}
        if session and last_event_id is not None:
            self._told[session] = last_event_id
        self._opening: list[Event] = []
        self.watcher: Watcher = hub.join(session)

    async def open(self) -> None:
        """Read the snapshot, after joining: nothing falls between the two.

        Raises:
            NotFound: no such session.
            BusUnavailable: NATS does not answer.
        """
        try:
            self._opening = await self._snapshots()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the hub."""
        self._hub.leave(self.watcher)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Snapshot and changes until the watcher's end; KEEPALIVE when nothing happens."""
        batch = self._opening
        while True:
            for event in batch:
                yield event
            if self.watcher.over:
                break
            batch = await self._some()
        if self.watcher.ending == "slow":
            yield Event("cut", self._session, CUT)

    async def _some(self) -> list[Event]:
        if self.watcher.resync:
            return await self._resync()
        taken = await self.watcher.next(self._keepalive_s)
        if taken is not None:
            return [taken] if self._is_news(taken) else []
        if self.watcher.ending is not None or self.watcher.resync:
            return []
        if self._missed_something():
            self.watcher.ask_resync()
        return [KEEPALIVE]

    def _missed_something(self) -> bool:
        """Whether a stored state is newer than what was told: a change that was sent on its way and never came."""
        if self._session:
            return self._listing.seq_of(self._session) > self._told.get(self._session, 0)
        return any(self._listing.seq_of(session) > seq for session, seq in self._told.items())

    async def _resync(self) -> list[Event]:
        self.watcher.resync = False
        try:
            return await self._snapshots()
        except NotFound:
            self.watcher.end("deleted")
            return [Event("deleted", self._session, msgspec.json.encode({"kind": "deleted", "session": self._session}))]
        except Unavailable:
            self.watcher.resync = True
            await asyncio.sleep(RESYNC_RETRY_S)
            return []

    async def _snapshots(self) -> list[Event]:
        if self._session:
            view = await self._sessions.view(self._session)
            found = [Event("snapshot", view.session, msgspec.json.encode(view), view.seq)]
        else:
            rows = await self._listing.newest(ALL_SNAPSHOTS)
            found = [Event("snapshot", row.session, msgspec.json.encode(row), row.seq) for row in rows]
        return [event for event in found if self._is_news(event)]

    def _is_news(self, event: Event) -> bool:
        if event.name == "deleted":
            self._told.pop(event.session, None)
        if event.seq is None:
            return True
        if event.seq <= self._told.get(event.session, 0):
            return False
        self._told[event.session] = event.seq
        while len(self._told) > MAX_TOLD:
            # The session longest in here: at worst, something old is told twice.
            del self._told[next(iter(self._told))]
        return True

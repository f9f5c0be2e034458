"""The live feed: one subscription on the bus, handed to every watcher through a bounded queue.

A watcher joins before it reads the snapshot, so nothing falls between the two; what the snapshot already holds is
recognised by its log sequence. A watcher that lags by more than its bound is cut and may come back with its last event
id. When the bus itself lost something (a reconnect, an overflow), everybody is given snapshots anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Literal

import msgspec

from api import metrics
from api.settings import ApiSettings
from proto import codec, subjects
from proto.errors import BadMessage, Full
from proto.views import Changed, Committed, Deleted, Live, Tentative
from runtime.bus import Bus, Delivery
from runtime.log import get_logger

EventName = Literal["snapshot", "changed", "tentative", "committed", "deleted", "cut", "keepalive"]
Ending = Literal["slow", "stopping", "deleted"]

SUBSCRIPTION_LIMIT = 8192
CHECK_S = 0.5

log = get_logger("api")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to tell. `data` is JSON; `seq` is the log sequence it holds, None where it has none."""

    name: EventName
    session: str
    data: bytes
    seq: int | None = None

    def sse(self) -> bytes:
        """As one server-sent event (WHATWG HTML, 9.2)."""
        identity = b"" if self.seq is None else b"id: %d\n" % self.seq
        return identity + b"event: " + self.name.encode() + b"\ndata: " + self.data + b"\n\n"

    def frame(self) -> str:
        """As the text of one WebSocket frame."""
        seq = "null" if self.seq is None else str(self.seq)
        return f'{{"event":"{self.name}","id":{seq},"data":{self.data.decode()}}}'


KEEPALIVE = Event("keepalive", "", b"{}")


class Watcher:
    """One reader's queue. `session` "" watches all. `ending` is set once, when no more will come."""

    def __init__(self, session: str, limit: int) -> None:
        self.session = session
        self.resync = False
        self.ending: Ending | None = None
        self._limit = limit
        self._waiting: deque[Event] = deque()
        self._wake = asyncio.Event()
        self.ended = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.ending is not None and not self._waiting

    def offer(self, event: Event) -> None:
        """Queue an event; a full queue cuts the watcher."""
        if self.ending is not None:
            return
        if len(self._waiting) >= self._limit:
            metrics.WATCHERS_CUT.inc()
            self.end("slow")
            return
        self._waiting.append(event)
        self._wake.set()

    def ask_resync(self) -> None:
        """Have the reader send snapshots again: changes were lost on the way here."""
        self.resync = True
        self._wake.set()

    def end(self, ending: Ending) -> None:
        """Say why this is over. A cut or stopped reader gets no more; an erased session's gets what is queued."""
        if self.ending is None:
            self.ending = ending
            if ending != "deleted":
                self._waiting.clear()
            self.ended.set()
            self._wake.set()

    async def next(self, timeout_s: float) -> Event | None:
        """The oldest event; None at the end, when `resync` was asked for, or when nothing came for `timeout_s`."""
        if not self._waiting and self.ending is None and not self.resync:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return None
        if self.resync or not self._waiting:
            return None
        return self._waiting.popleft()


class Hub:
    """Fans `live.*` out to the watchers of this process."""

    def __init__(self, settings: ApiSettings, bus: Bus) -> None:
        self._bus = bus
        self._max_watchers = settings.max_watchers
        self._watcher_events = settings.watcher_events
        self._everything: set[Watcher] = set()
        self._by_session: dict[str, set[Watcher]] = {}
        self._count = 0
        self._stopping = False
        self.subscribed = asyncio.Event()

    def join(self, session: str = "") -> Watcher:
        """A new watcher of one session, or of all. Give it back with `leave`.

        Raises:
            Full: as many are being served as may be, or the process is stopping.
        """
        if self._stopping or self._count >= self._max_watchers:
            metrics.WATCHERS_REFUSED.inc()
            raise Full("the server holds as many live feeds as it may; try again later")
        watcher = Watcher(session, self._watcher_events)
        (self._by_session.setdefault(session, set()) if session else self._everything).add(watcher)
        self._count += 1
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Forget a watcher; twice is harmless."""
        group = self._by_session.get(watcher.session, set()) if watcher.session else self._everything
        if watcher in group:
            group.discard(watcher)
            self._count -= 1
            if watcher.session and not group:
                del self._by_session[watcher.session]

    def stop(self) -> None:
        """End every feed, so that the server can stop."""
        self._stopping = True
        for watcher in self._watchers():
            watcher.end("stopping")

    async def run(self) -> None:
        """Take events off the bus until cancelled."""
        async with self._bus.subscribe(subjects.LIVE_ALL, limit=SUBSCRIPTION_LIMIT) as subscription:
            self.subscribed.set()
            dropped, reconnects = 0, self._bus.reconnects
            while True:
                delivery = await subscription.next(CHECK_S)
                if subscription.dropped != dropped:
                    dropped = subscription.dropped
                    self._resync("overflow")
                if self._bus.reconnects != reconnects and self._bus.connected:
                    reconnects = self._bus.reconnects
                    self._resync("reconnect")
                if delivery is not None:
                    self._take(delivery)

    def _take(self, delivery: Delivery) -> None:
        try:
            event = event_of(codec.decode(delivery.data, Live))
        except BadMessage as error:
            metrics.FEED_UNREADABLE.inc()
            log.warning("api.feed_unreadable", subject=delivery.subject, error=type(error).__name__)
            return
        metrics.FEED_EVENTS.labels(event.name).inc()
        for watcher in (*self._everything, *self._by_session.get(event.session, ())):
            watcher.offer(event)
            if event.name == "deleted" and watcher.session:
                watcher.end("deleted")

    def _resync(self, reason: str) -> None:
        metrics.FEED_RESYNCS.labels(reason).inc()
        for watcher in self._watchers():
            watcher.ask_resync()

    def _watchers(self) -> list[Watcher]:
        return [*self._everything, *(watcher for group in self._by_session.values() for watcher in group)]


def event_of(message: Changed | Tentative | Committed | Deleted) -> Event:
    """Event for a message of `live.<session>`."""
    kind: EventName = message.__struct_config__.tag  # type: ignore[assignment]
    return Event(
        kind, message.session, msgspec.json.encode(message), message.seq if isinstance(message, Changed) else None
    )

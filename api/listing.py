"""The list of sessions, in memory: rebuilt at start from log and snapshots, then fed by what changes in both."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from api import metrics
from api.models import SessionSummary, summarise
from api.sessions import OVER, first_view
from api.settings import ApiSettings
from proto import codec, subjects
from proto.errors import BadInput, BadMessage, BusUnavailable
from proto.observations import SessionCreated
from proto.views import CouldNotTell, Episode, Level, Status
from runtime.bus import Bus
from runtime.log import get_logger

Sort = Literal["risk", "newest"]
Key = tuple[float, float, str]

RETRY_S = 0.5
FOLLOW_BATCH = 500
FOLLOW_WAIT_S = 30.0
MAX_ERASED = 10_000

log = get_logger("api")


class _RowView(msgspec.Struct, frozen=True, kw_only=True):
    """What a row needs of `proto.views.SessionView`; the rest of a snapshot is skipped undecoded."""

    session: str
    seq: int
    status: Status
    label: str
    policy: str
    created_unix_s: float
    clock_s: float
    score: float
    level: Level
    review_recommended: bool
    could_not_tell: CouldNotTell
    active: tuple[Episode, ...]
    peak_score: float = 0.0
    alerts_dropped: int = 0
    alerts: tuple[msgspec.Raw, ...] = ()


class _RowSnapshot(msgspec.Struct, frozen=True):
    view: _RowView


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    sort: Sort
    first: float
    second: float
    session: str


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the list. `text` is the beginning of a label or of an id, whatever its case."""

    sort: Sort = "risk"
    statuses: frozenset[Status] = frozenset()
    min_score: float = 0.0
    text: str = ""
    limit: int = 50
    cursor: str = ""

    def matches(self, row: SessionSummary) -> bool:
        """Whether the row is asked for, paging apart."""
        prefix = self.text.casefold()
        return (
            (not self.statuses or row.status in self.statuses)
            and row.score >= self.min_score
            and (not prefix or row.label.casefold().startswith(prefix) or row.session.startswith(prefix))
        )


class Listing:
    """Bounded rows of all sessions. `run` keeps them; everything else only reads."""

    def __init__(self, settings: ApiSettings, bus: Bus) -> None:
        self._bus = bus
        self._max_rows = settings.max_listed
        self._wait_s = settings.bus_timeout_s
        self._rows: dict[str, SessionSummary] = {}
        # Erased sessions, so that a record that was still on its way does not bring one back; a dict keeps their order.
        self._erased: dict[str, None] = {}
        self._snapshots_read = asyncio.Event()
        self._records_read = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether everything that was there at the start has been read."""
        return self._snapshots_read.is_set() and self._records_read.is_set()

    def seq_of(self, session: str) -> int:
        """Log sequence of the newest state that is known of a session, 0 for an unknown one."""
        row = self._rows.get(session)
        return 0 if row is None else row.seq

    def __len__(self) -> int:
        return len(self._rows)

    async def run(self) -> None:
        """Follow snapshots and new sessions until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._again(self._watch_snapshots))
            tasks.create_task(self._again(self._follow_records))

    async def page(self, query: Query) -> tuple[list[SessionSummary], str | None]:
        """Rows that match, best first, and the cursor of the next page.

        Raises:
            BadInput: a cursor that is not ours.
            BusUnavailable: the list is not read yet, or NATS is away and it may be stale.
        """
        await self.wait_ready()
        after = _parse_cursor(query.cursor, query.sort) if query.cursor else None
        key = _KEYS[query.sort]
        rows = [row for row in self._rows.values() if query.matches(row) and (after is None or key(row) < after)]
        rows.sort(key=key, reverse=True)
        page = rows[: query.limit]
        return page, _cursor(page[-1], query.sort) if len(rows) > len(page) else None

    async def newest(self, limit: int) -> list[SessionSummary]:
        """At most `limit` sessions: those still going on first, then the newest."""
        await self.wait_ready()
        rows = sorted(self._rows.values(), key=lambda row: (row.status not in OVER, row.created_unix_s), reverse=True)
        return rows[:limit]

    async def wait_ready(self) -> None:
        """Raise BusUnavailable unless the list is complete and current."""
        if not self._bus.connected:
            raise BusUnavailable("NATS is away: the list may be out of date")
        if self.ready:
            return
        try:
            async with asyncio.timeout(self._wait_s):
                await self._snapshots_read.wait()
                await self._records_read.wait()
        except TimeoutError as error:
            raise BusUnavailable("the list of sessions is still being read") from error

    def add_created(self, record: SessionCreated, seq: int) -> None:
        """Show a session that nobody has folded yet."""
        if record.session not in self._rows and record.session not in self._erased:
            self._put(summarise(first_view(record, seq)))

    def remove(self, session: str) -> None:
        """Forget an erased session for good."""
        self._rows.pop(session, None)
        self._erased[session] = None
        while len(self._erased) > MAX_ERASED:
            del self._erased[next(iter(self._erased))]
        metrics.LISTED.set(len(self._rows))

    def _put(self, row: SessionSummary) -> None:
        self._rows[row.session] = row
        if len(self._rows) > self._max_rows:
            oldest = min(self._rows.values(), key=lambda row: (row.status not in OVER, row.created_unix_s))
            del self._rows[oldest.session]
            metrics.LISTED_EVICTED.inc()
        metrics.LISTED.set(len(self._rows))

    async def _again(self, follow: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await follow()
            except BusUnavailable as error:
                log.warning("api.list_interrupted", error=str(error))
            await asyncio.sleep(RETRY_S)

    async def _watch_snapshots(self) -> None:
        bucket = await self._bus.bucket(subjects.KV_SESSIONS)
        async with bucket.watch() as changes:
            async for session, entry in changes:
                if session is None:
                    self._snapshots_read.set()
                elif entry is None:
                    self.remove(session)
                else:
                    self._take_snapshot(session, entry.value)

    def _take_snapshot(self, session: str, value: bytes) -> None:
        try:
            view = codec.decode(value, _RowSnapshot).view
        except BadMessage as error:
            metrics.UNREADABLE.labels("snapshot").inc()
            log.warning("api.snapshot_unreadable", session=session, error=type(error).__name__)
            return
        known = self._rows.get(session)
        if session in self._erased or (known is not None and known.seq > view.seq):
            return
        fields = {name: getattr(view, name) for name in SessionSummary.__struct_fields__ if name != "alert_count"}
        self._put(SessionSummary(**fields, alert_count=len(view.alerts) + view.alerts_dropped))

    async def _follow_records(self) -> None:
        async with self._bus.follow(subjects.LOG, subjects.log_kind("session.created")) as follow:
            while True:
                batch = await follow.next(FOLLOW_BATCH, FOLLOW_WAIT_S if self._records_read.is_set() else 0.0)
                for delivery in batch:
                    try:
                        self.add_created(codec.decode(delivery.data, SessionCreated), delivery.seq)
                    except BadMessage:
                        metrics.UNREADABLE.labels("SessionCreated").inc()
                if not batch and follow.opened:
                    self._records_read.set()


def _by_risk(row: SessionSummary) -> Key:
    return row.score, row.created_unix_s, row.session


def _by_age(row: SessionSummary) -> Key:
    return row.created_unix_s, 0.0, row.session


_KEYS: dict[Sort, Callable[[SessionSummary], Key]] = {"risk": _by_risk, "newest": _by_age}


def _cursor(row: SessionSummary, sort: Sort) -> str:
    encoded = msgspec.msgpack.encode(_Cursor(sort, *_KEYS[sort](row)))
    return base64.urlsafe_b64encode(encoded).decode().rstrip("=")


def _parse_cursor(text: str, sort: Sort) -> Key:
    try:
        cursor = msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise BadInput("is not a cursor of this list", field="cursor") from error
    if cursor.sort != sort:
        raise BadInput(f"belongs to the list sorted by {cursor.sort}", field="cursor")
    return cursor.first, cursor.second, cursor.session

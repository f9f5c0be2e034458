"""Sessions that fall silent: a live source whose node may have died, a session nobody uses any more.

Only here does a wall clock decide anything, and what it decides becomes an observation in the log, so that the fold and
its replay need no clock. A partition that lags behind its log is left alone: silence there is our own.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import msgspec

from aggregator.metrics import NOT_WATCHED, SWEPT, WATCHED
from aggregator.risk import state as states
from aggregator.risk.state import State
from aggregator.settings import AggregatorSettings
from proto import subjects
from proto.errors import BadMessage, Unavailable
from proto.observations import (
    AnyObservation,
    FrameSeen,
    FrameSkipped,
    Observation,
    SessionExpired,
    SourceStalled,
    SourceStats,
    SourceUp,
)
from proto.signalling import role_of
from runtime.bus import Bus, Entry
from runtime.log import get_logger

SOURCE = "aggregator"
SCAN_S = 120.0
LATE_S = 1.0
"""A look that comes later than planned by more than this: the process was stopped, or starved."""
FROM_SOURCE = (FrameSeen, FrameSkipped, SourceStats, SourceUp)
OWN = (SessionExpired, SourceStalled)

log = get_logger("aggregator")


@dataclass(slots=True)
class Watched:
    """One open session. The `..._unix_s` are by this machine's clock; `reported` is the message id last appended."""

    created_unix_s: float
    idle_limit_s: float
    clock_s: float
    stalls: int
    reporting: bool
    last_unix_s: float
    source_unix_s: float
    reported: tuple[str, int] = ("", 0)


class _Status(msgspec.Struct, frozen=True):
    status: str


class _Glance(msgspec.Struct, frozen=True):
    """As much of a snapshot as tells whether its session is still open."""

    view: _Status
    state: bytes


_glance = msgspec.msgpack.Decoder(_Glance)


class Silence:
    """Looks after the open sessions of the partitions this replica folds."""

    def __init__(self, bus: Bus, settings: AggregatorSettings) -> None:
        self._bus = bus
        self._settings = settings
        self._watched: dict[int, dict[str, Watched]] = {}
        self._caught_up: set[int] = set()
        self._count = 0

    def note(self, state: State, observations: list[AnyObservation]) -> None:
        """These observations of a session were just folded; `state` is the state after them."""
        session = state.head.session
        if state.final:
            self.drop(session)
            return
        now_s = time.time()
        watched = self._watch(state, now_s)
        if watched is None:
            return
        watched.clock_s = state.clock_s
        watched.stalls = state.tally.stalls
        watched.reporting = _reporting(state)
        if any(not isinstance(observation, OWN) for observation in observations):
            watched.last_unix_s = now_s
        if any(isinstance(o, FROM_SOURCE) and role_of(o.source) == "candidate" for o in observations):
            watched.source_unix_s = now_s

    def caught_up(self, number: int, yes: bool) -> None:
        """Whether the last fetch of a partition emptied it."""
        if yes:
            self._caught_up.add(number)
        else:
            self._caught_up.discard(number)

    def drop(self, session: str) -> None:
        """The session is over or erased."""
        if self._watched.get(subjects.partition(session), {}).pop(session, None) is not None:
            self._counted(-1)

    def drop_partition(self, number: int) -> None:
        """Somebody else looks after this partition now."""
        self._caught_up.discard(number)
        self._counted(-len(self._watched.pop(number, {})))

    async def scan(self, numbers: set[int]) -> None:
        """Find the open sessions of partitions just taken over that nothing is heard of."""
        try:
            bucket = await self._bus.bucket(subjects.KV_SESSIONS)
            async with asyncio.timeout(SCAN_S), bucket.watch() as changes:
                async for key, entry in changes:
                    if key is None:
                        return
                    if entry is not None and subjects.partition(key) in numbers:
                        self._found(key, entry)
        except (Unavailable, TimeoutError) as error:
            # Whatever is still observed is looked after from its next observation on.
            log.warning("aggregator.scan_interrupted", reason=str(error) or f"not done in {SCAN_S:g} s")

    async def run(self, stop: asyncio.Event) -> None:
        """Look at every watched session each `sweep_s`, until `stop`."""
        looked_s = time.time()
        while not stop.is_set():
            before_s, looked_s = looked_s, time.time()
            try:
                if not self._bus.connected or looked_s - before_s > self._settings.sweep_s + LATE_S:
                    self.forgive(looked_s, looked_s - before_s)
                else:
                    await self.sweep(looked_s)
            except Unavailable as error:
                log.warning("aggregator.sweep_interrupted", reason=str(error))
            try:
                async with asyncio.timeout(self._settings.sweep_s):
                    await stop.wait()
            except TimeoutError:
                continue

    def forgive(self, now_s: float, deaf_s: float) -> None:
        """This process stood still, or was without NATS, for the last `deaf_s`: it could not have heard anybody.

        What was said meanwhile is still to be folded; a source that stays silent is reported `stall_s` from now.
        """
        for sessions in self._watched.values():
            for watched in sessions.values():
                watched.source_unix_s = now_s
                watched.last_unix_s = min(now_s, watched.last_unix_s + deaf_s)

    async def sweep(self, now_s: float) -> None:
        """Append what silence means at `now_s`.

        Raises:
            BusUnavailable: it could not be appended; the next sweep does.
        """
        for number in sorted(self._caught_up):
            for session, watched in list(self._watched.get(number, {}).items()):
                report = self._report(session, watched, now_s)
                if report is None or watched.reported == (report.kind, report.seq):
                    continue
                watched.reported = (report.kind, report.seq)
                SWEPT.labels(report.kind).inc()
                log.info("aggregator.silent", session=session, kind=report.kind)
                try:
                    await self._bus.observe(report)
                except Unavailable:
                    watched.reported = ("", 0)
                    raise

    def _report(self, session: str, watched: Watched, now_s: float) -> Observation | None:
        t_s = max(watched.clock_s, now_s - watched.created_unix_s)
        idle_s = now_s - watched.last_unix_s
        if idle_s >= watched.idle_limit_s:
            return SessionExpired(session=session, source=SOURCE, seq=1, t_s=t_s, idle_s=idle_s)
        silent_s = now_s - watched.source_unix_s
        if watched.reporting and silent_s >= self._settings.stall_s:
            # Numbered by how many stalls the log holds: two replicas that see the same one append it once.
            return SourceStalled(session=session, source=SOURCE, seq=watched.stalls + 1, t_s=t_s, silent_s=silent_s)
        return None

    def _found(self, session: str, entry: Entry) -> None:
        try:
            glance = _glance.decode(entry.value)
            if glance.view.status in ("ended", "expired"):
                return
            state = states.unpack(glance.state)
        except (msgspec.DecodeError, BadMessage):
            # Folded anew as soon as anything of it comes; until then nothing is known that could be wrong.
            log.warning("aggregator.snapshot_unreadable", session=session, reason="not looked after yet")
            return
        if session not in self._watched.get(subjects.partition(session), {}):
            self._watch(state, time.time(), min(time.time(), state.head.created_unix_s + state.clock_s))

    def _watch(self, state: State, now_s: float, last_unix_s: float | None = None) -> Watched | None:
        sessions = self._watched.setdefault(subjects.partition(state.head.session), {})
        known = sessions.get(state.head.session)
        if known is not None:
            return known
        if self._count >= self._settings.watched_sessions:
            NOT_WATCHED.inc()
            return None
        self._counted(1)
        watched = sessions[state.head.session] = Watched(
            created_unix_s=state.head.created_unix_s,
            idle_limit_s=state.head.policy.idle_limit_s,
            clock_s=state.clock_s,
            stalls=state.tally.stalls,
            reporting=_reporting(state),
            last_unix_s=now_s if last_unix_s is None else last_unix_s,
            source_unix_s=now_s,
        )
        return watched

    def _counted(self, change: int) -> None:
        self._count += change
        WATCHED.set(self._count)


def _reporting(state: State) -> bool:
    """Whether a source is up that reports about itself all the time, so that its silence means something."""
    return state.status == "live" and any(source.up and source.announced for source in state.sources.values())

"""One partition of the log, folded by whoever holds its lease: fetch, fold, store, tell, acknowledge."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from aggregator import history, metrics
from aggregator.risk import view as views
from aggregator.risk.state import State
from aggregator.settings import AggregatorSettings
from aggregator.silence import Silence
from aggregator.store import Held, Store
from proto import subjects
from proto.errors import BadInput, BusUnavailable, Conflict, Unavailable
from proto.observations import AnyObservation, FrameSeen, SessionCreated
from proto.views import Alert, Changed, SessionView
from runtime import tracing
from runtime.bus import Bus, Consumer, Delivery
from runtime.leases import Lease
from runtime.log import get_logger

ROOM = "aggregator"
FETCH_WAIT_S = 1.0
RETRY_S = 0.2
ATTEMPTS = 3
TELL_EVERY_S = 1.0
"""Watchers learn of what is visible at once, and of the clock and the decaying score this often (session seconds)."""

log = get_logger("aggregator")


@dataclass(frozen=True, slots=True)
class Item:
    delivery: Delivery
    observation: AnyObservation


class Partition:
    """Folds one partition as long as its lease is held and `leaving` is not set."""

    def __init__(
        self, number: int, lease: Lease, bus: Bus, store: Store, silence: Silence, settings: AggregatorSettings
    ) -> None:
        self.number = number
        self.lease = lease
        self.leaving = asyncio.Event()
        self._bus = bus
        self._store = store
        self._silence = silence
        self._settings = settings
        self._room = asyncio.Semaphore(settings.session_concurrency)

    async def run(self) -> None:
        """Until the lease is lost or given up. Never raises for a bad message or an absent NATS."""
        consumer: Consumer | None = None
        try:
            while self._ours() and not self.leaving.is_set():
                if consumer is None:
                    consumer = await self._bus.consumer(subjects.LOG, subjects.fold_consumer(self.number))
                deliveries = await consumer.fetch(self._settings.batch, FETCH_WAIT_S)
                if not self._ours():
                    break
                try:
                    await self._fold(deliveries)
                    self._silence.caught_up(self.number, len(deliveries) < self._settings.batch)
                except Unavailable as error:
                    # A fresh consumer begins again at the first message not acknowledged, in order.
                    metrics.INTERRUPTIONS.inc()
                    log.warning("aggregator.interrupted", partition=self.number, reason=str(error))
                    self._store.forget_partition(self.number)
                    await consumer.close()
                    consumer = None
                    await asyncio.sleep(RETRY_S)
        finally:
            self._silence.drop_partition(self.number)
            self._store.forget_partition(self.number)
            if consumer is not None:
                await consumer.close()

    def _ours(self) -> bool:
        return self.lease.held

    async def _fold(self, deliveries: list[Delivery]) -> None:
        if not deliveries:
            return
        metrics.BATCH.observe(len(deliveries))
        sessions: dict[str, list[Item]] = {}
        for delivery in deliveries:
            try:
                observation = history.decode(delivery)
            except BadInput as error:
                await self._bus.dead_letter(ROOM, delivery, error)
                continue
            sessions.setdefault(observation.session, []).append(Item(delivery, observation))
        outcomes = await asyncio.gather(
            *(self._session(session, items) for session, items in sessions.items()), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _session(self, session: str, items: list[Item]) -> None:
        async with self._room:
            started_s = time.perf_counter()
            with tracing.of(items[-1].delivery.headers):
                try:
                    await self._fold_session(session, items)
                except history.Orphan:
                    await self._erase(session, items)
                except BadInput as error:
                    # Its policy or its snapshot cannot be read: nothing of this session can be folded.
                    self._store.forget(session)
                    for item in items:
                        await self._bus.dead_letter(ROOM, item.delivery, error)
            metrics.FOLD_S.observe(time.perf_counter() - started_s)

    async def _fold_session(self, session: str, items: list[Item]) -> None:
        for _ in range(ATTEMPTS):
            first = items[0]
            newborn = isinstance(first.observation, SessionCreated)
            held = await self._store.load(session, first.delivery.seq, newborn=newborn)
            state, failed = await self._advance(held.state if held else None, items)
            if held is not None and state is held.state:
                shown = views.view(state)
                break
            if not self._ours():
                raise BusUnavailable(f"the lease of partition {self.number} is lost")
            try:
                held, shown = await self._store.save(held or Held(state, 0), state)
                break
            except Conflict:
                metrics.CONFLICTS.inc()
                self._store.forget(session)
            except BusUnavailable:
                self._store.forget(session)
                raise
        else:
            raise BusUnavailable(f"session {session} is being written by somebody else")
        await self._tell(held, shown)
        await self._alert(state, items)
        self._silence.note(state, [item.observation for item in items])
        for item in items:
            if item.delivery.seq not in failed:
                await item.delivery.ack()
        self._measure(items)

    async def _advance(self, state: State | None, items: list[Item]) -> tuple[State, set[int]]:
        failed: set[int] = set()
        for item in items:
            seq = item.delivery.seq
            if state is not None and seq <= state.seq:
                metrics.REDELIVERED.inc()
                continue
            try:
                state = history.advance(state, item.delivery, item.observation)
            except history.Unfoldable as error:
                await self._bus.dead_letter(ROOM, item.delivery, error)
                failed.add(seq)
                continue
            metrics.OBSERVATIONS.labels(item.observation.kind).inc()
        assert state is not None, "the first observation is a creation, or something was loaded"
        return state, failed

    async def _tell(self, held: Held, shown: SessionView) -> None:
        told = held.told
        due = told is None or shown.clock_s - told.clock_s >= TELL_EVERY_S
        if not due and not views.visibly_different(told, shown):
            return
        session = shown.session
        changed = Changed(session=session, seq=shown.seq, view=views.changes(told, shown))
        if await self._bus.publish(subjects.live(session), changed):
            self._store.keep(Held(held.state, held.revision, shown))

    async def _alert(self, state: State, items: list[Item]) -> None:
        # Found in the state, not taken from the fold: a batch that comes again after a crash between the snapshot and
        # here finds its alerts too, and the message id keeps them from doubling.
        seqs = {item.delivery.seq for item in items}
        for alert in state.alerts:
            if alert.seq in seqs:
                await self._append(alert)

    async def _append(self, alert: Alert) -> None:
        await self._bus.append(subjects.alerts(alert.session), alert, alert.id)
        metrics.ALERTS.labels(alert.rule).inc()

    async def _erase(self, session: str, items: list[Item]) -> None:
        """Stragglers of an erased session: what was promised to be gone must not come back through the log."""
        self._store.forget(session)
        self._silence.drop(session)
        for item in items:
            await self._bus.delete_message(subjects.LOG, item.delivery.seq)
            await item.delivery.ack()
        metrics.ORPHANS.inc(len(items))
        log.info("aggregator.orphans_deleted", session=session, messages=len(items))

    def _measure(self, items: list[Item]) -> None:
        now_s = time.time()
        for item in items:
            metrics.LAG_S.observe(max(0.0, now_s - item.delivery.unix_s))
            if isinstance(item.observation, FrameSeen) and item.observation.received_unix_s > 0:
                metrics.GLASS_S.observe(max(0.0, now_s - item.observation.received_unix_s))

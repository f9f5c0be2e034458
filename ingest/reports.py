"""What ingest observes of a source: up, statistics, lost; each in order into the log, however long NATS is away."""

from __future__ import annotations

import asyncio

from ingest import metrics
from proto.errors import BusUnavailable
from proto.observations import Observation, SourceLost, SourceStats, SourceUp
from runtime.bus import Bus
from runtime.log import get_logger

log = get_logger("ingest")


class Reports:
    """Bounded by what it is: one up, the newest statistics, one lost. `run` returns when lost is stored."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._up: SourceUp | None = None
        self._stats: SourceStats | None = None
        self._lost: SourceLost | None = None
        self._work = asyncio.Event()

    def up(self, observation: SourceUp) -> None:
        self._up = observation
        self._work.set()

    def stats(self, observation: SourceStats) -> None:
        """Newer statistics replace those that could not be sent yet: counts are since the beginning."""
        if self._stats is not None:
            metrics.STATS_DROPPED.inc()
        self._stats = observation
        self._work.set()

    def lost(self, observation: SourceLost) -> None:
        self._lost = observation
        self._work.set()

    async def run(self) -> None:
        """Store what is reported, in order, until lost is stored."""
        while True:
            await self._work.wait()
            self._work.clear()
            if self._up is not None:
                up, self._up = self._up, None
                await self._store(up)
            if self._stats is not None:
                stats, self._stats = self._stats, None
                await self._store(stats)
            if self._lost is not None:
                await self._store(self._lost)
                return

    async def _store(self, observation: Observation) -> None:
        while True:
            try:
                await self._bus.observe(observation)
                return
            except BusUnavailable as error:
                session, kind = observation.session, observation.kind
                log.warning("ingest.report_waits", session=session, kind=kind, reason=str(error))

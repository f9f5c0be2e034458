"""When an alert is raised: the still nearest to it and a short clip around it, into the object store and the log."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from dataclasses import dataclass, field

from ingest import metrics
from ingest.clip import MEDIA_TYPE, make_clip
from ingest.ring import Ring
from proto import codec, subjects
from proto.errors import BadMessage, CandorError
from proto.observations import EvidenceStored
from proto.views import Alert
from runtime.bus import Bus
from runtime.log import get_logger

log = get_logger("ingest")

AT_ONCE = 2
WAITING = 32
REMEMBERED = 64
_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(slots=True)
class _Source:
    """Where a session's pictures are. `seen`: the newest alerts; a successor of the aggregator may repeat one."""

    source: str
    ring: Ring
    seen: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    seq: int = 0


class Evidence:
    """Evidence of the sessions of this node. At most `WAITING` alerts wait; more are counted and let go."""

    def __init__(self, bus: Bus, keep_s: float, after_s: float) -> None:
        self._bus = bus
        self._keep_s = keep_s
        self._after_s = after_s
        self._sources: dict[str, _Source] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def watch(self, session: str, source: str, ring: Ring) -> None:
        """Keep evidence of this session from this ring; a session's newest source is the one that counts."""
        self._sources[session] = _Source(source, ring)

    def forget(self, session: str, source: str) -> None:
        """The source is gone: what it showed last may still be asked for while it is as old as the ring."""
        asyncio.get_running_loop().call_later(self._keep_s + self._after_s, self.forget_now, session, source)

    def forget_now(self, session: str, source: str) -> None:
        """The source's pictures may not be used any more."""
        known = self._sources.get(session)
        if known is not None and known.source == source:
            del self._sources[session]

    async def run(self) -> None:
        """Answer alerts until cancelled."""
        async with self._bus.subscribe(subjects.alerts("*")) as alerts:
            try:
                async for delivery in alerts:
                    try:
                        self._alerted(codec.decode(delivery.data, Alert))
                    except BadMessage:
                        # The stream's own readers put it aside.
                        metrics.EVIDENCE.labels("unreadable").inc()
            finally:
                for task in self._tasks:
                    task.cancel()

    def _alerted(self, alert: Alert) -> None:
        known = self._sources.get(alert.session)
        if known is None or alert.severity == "info" or alert.id in known.seen:
            return
        if len(self._tasks) >= WAITING:
            metrics.EVIDENCE.labels("dropped").inc()
            return
        known.seen.append(alert.id)
        task = asyncio.create_task(self._keep(alert, known))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, alert: Alert, known: _Source) -> None:
        await asyncio.sleep(self._after_s)
        async with self._slots:
            still = known.ring.nearest(alert.t_s)
            if still is None:
                metrics.EVIDENCE.labels("no_pictures").inc()
                return
            pictures = known.ring.between(alert.t_s - self._keep_s, alert.t_s + self._after_s) or [still]
            base = _NAME.sub("_", alert.id)[:100]
            try:
                clip = await asyncio.to_thread(make_clip, pictures)
                await self._store(alert, known, f"{base}.jpg", "image/jpeg", still.picture.jpeg)
                await self._store(alert, known, f"{base}.mp4", MEDIA_TYPE, clip)
            except (CandorError, ValueError) as error:
                metrics.EVIDENCE.labels("failed").inc()
                log.warning("ingest.evidence_failed", session=alert.session, alert=alert.id, error=type(error).__name__)
                return
        metrics.EVIDENCE.labels("stored").inc()

    async def _store(self, alert: Alert, known: _Source, name: str, media_type: str, data: bytes) -> None:
        created = await self._bus.last(subjects.LOG, subjects.log(alert.session, "session.created"))
        if created is None or self._sources.get(alert.session) is not known:
            # The session was erased meanwhile, and nothing of it may be written again.
            return
        objects = await self._bus.objects(subjects.OBJECTS_EVIDENCE)
        await objects.put(subjects.evidence(alert.session, name), data)
        seq, known.seq = known.seq, known.seq + 1
        await self._bus.observe(
            EvidenceStored(
                session=alert.session,
                source=known.source,
                seq=seq,
                t_s=alert.t_s,
                alert_id=alert.id,
                name=name,
                media_type=media_type,
                sha256=hashlib.sha256(data).hexdigest(),
                size_bytes=len(data),
            )
        )

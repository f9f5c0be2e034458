"""Sampled pictures onto FRAMES: only the newest waits."""

from __future__ import annotations

import asyncio
import threading

from ingest import metrics
from ingest.ring import Ring
from ingest.video import Sampled
from proto import media, subjects
from runtime import tracing
from runtime.bus import Bus


class FramePublisher:
    """`offer` is called from the decoding thread; `run` publishes on the event loop.

    While a publish takes its time, a newer picture takes the place of the one that waits; `dropped` counts those. What
    was to be looked for in a picture that is dropped is looked for in the next that is sent: some looks are rare.
    """

    def __init__(self, bus: Bus, session: str, source: str, ring: Ring, *, keep_text: bool = False) -> None:
        self._bus = bus
        self._session = session
        self._source = source
        self._ring = ring
        self._keep_text = keep_text
        self._owed: tuple[media.Look, ...] = ()
        self._loop = asyncio.get_running_loop()
        self._waiting: Sampled | None = None
        self._lock = threading.Lock()
        self._work = asyncio.Event()
        self._closed = False
        self.sent = 0
        self.dropped = 0

    def offer(self, sampled: Sampled) -> None:
        """Publish this picture, unless a newer one comes first."""
        self._ring.add(sampled)
        with self._lock:
            if self._closed:
                return
            replaced, self._waiting = self._waiting, sampled
            if replaced is None:
                self._loop.call_soon_threadsafe(self._work.set)
            else:
                self._drop(replaced.looks, "stale")

    def close(self) -> None:
        """No more pictures."""
        with self._lock:
            self._closed = True
            self._waiting = None

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            with self._lock:
                sampled, self._waiting = self._waiting, None
                owed, self._owed = self._owed, ()
            if sampled is not None:
                await self._publish(sampled, tuple(dict.fromkeys((*owed, *sampled.looks))))

    def _drop(self, looks: tuple[media.Look, ...], reason: str) -> None:
        """Count a picture that is not sent; the lock is held."""
        self._owed = tuple(dict.fromkeys((*self._owed, *looks)))
        self.dropped += 1
        metrics.FRAMES_DROPPED.labels(reason).inc()

    async def _publish(self, sampled: Sampled, looks: tuple[media.Look, ...]) -> None:
        picture = sampled.picture
        frame = media.Frame(
            session=self._session,
            source=self._source,
            seq=self.sent,
            t_s=sampled.t_s,
            width_px=picture.width_px,
            height_px=picture.height_px,
            jpeg=picture.jpeg,
            received_unix_s=sampled.received_unix_s,
            looks=looks,
            keep_text=self._keep_text,
        )
        # A frame begins a trace of its own: it is followed from here to the change of state it causes.
        with tracing.of({}):
            sent = await self._bus.publish(subjects.frames(self._session), frame)
        if sent:
            self.sent += 1
            metrics.FRAMES_SENT.inc()
        else:
            with self._lock:
                self._drop(looks, "bus")

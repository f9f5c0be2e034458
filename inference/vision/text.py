"""Readable text in view: searched for in a thread of its own, so that faces never wait for it.

A look takes from 60 ms to half a second. A session's newer picture takes the place of the one that waits; what a look
found goes into the log as `text.seen`. What was read is redacted here, before anything leaves the process, unless the
frame says that the policy keeps it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

from inference.backends import registry
from inference.backends.base import Backend
from inference.backends.text_reader import FEATURE, Line
from inference.signals.text import regions
from inference.vision import metrics
from inference.vision.decode import picture_of
from inference.vision.settings import VisionSettings
from proto.codec import HEADER_TRACE
from proto.errors import BadInput, BusUnavailable, FeatureMissing
from proto.media import Frame
from proto.observations import TextRegion, TextSeen
from runtime import tracing
from runtime.bus import Bus
from runtime.log import get_logger

log = get_logger("vision")

LOOK = "text"


class Waiting(NamedTuple):
    """A frame to be searched, and the trace it belongs to."""

    frame: Frame
    trace: str


class TextLane:
    """An async context manager; leaving it lets the look in hand end, and drops those that wait."""

    def __init__(self, settings: VisionSettings, bus: Bus) -> None:
        self._settings = settings
        self._bus = bus
        self._backend: Backend[list[Line]] = registry.create("text")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="text")
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()
        self._wake = asyncio.Event()
        self._loaded = False
        self._stopping = False
        self._worker: asyncio.Task[None] | None = None

    async def load(self) -> FeatureMissing | None:
        """Load the models; seconds. Returns why there is no text in view, or None where there is."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._backend.load)
        except FeatureMissing as error:
            return error
        self._loaded = True
        return None

    def offer(self, frame: Frame) -> None:
        """Have a frame searched if that is due on it and can be done; returns at once."""
        if LOOK not in frame.looks or not self._loaded or self._stopping:
            return
        if frame.session in self._waiting:
            # It keeps its session's place: else a fast session would for ever go to the end of the queue.
            metrics.TEXT_LOOKS.labels("superseded").inc()
        elif len(self._waiting) >= self._settings.text_waiting:
            self._waiting.popitem(last=False)
            metrics.TEXT_LOOKS.labels("dropped").inc()
        self._waiting[frame.session] = Waiting(frame, tracing.current())
        metrics.TEXT_WAITING.set(len(self._waiting))
        self._wake.set()

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work(), name="text")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        metrics.TEXT_LOOKS.labels("left").inc(len(self._waiting))
        self._waiting.clear()
        metrics.TEXT_WAITING.set(0)
        self._wake.set()
        if self._worker is not None:
            limit_s = self._settings.stuck_after_s + self._settings.publish_timeout_s
            await asyncio.wait({self._worker}, timeout=limit_s)
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        self._thread.submit(self._backend.close)
        # A look that hangs cannot be stopped from here, and must not hold up the rest.
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        while not self._stopping:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            _, (frame, trace) = self._waiting.popitem(last=False)
            metrics.TEXT_WAITING.set(len(self._waiting))
            with tracing.of({HEADER_TRACE: trace}):
                metrics.TEXT_LOOKS.labels(await self._outcome(frame)).inc()

    async def _outcome(self, frame: Frame) -> str:
        """Search one frame; what goes wrong with it costs this look only."""
        try:
            await self._one(frame)
        except BadInput:
            return "unreadable"
        except BusUnavailable as error:
            log.warning("vision.text_not_logged", session=frame.session, error=str(error))
            return "lost"
        except Exception as error:  # noqa: BLE001 - the boundary where whatever one picture does to the models ends
            # Only its kind: the error's own words might quote what was read.
            log.error("vision.text_failed", session=frame.session, error=type(error).__name__)
            return "failed"
        return "seen"

    async def _one(self, frame: Frame) -> None:
        start = time.perf_counter()
        found = await self._patiently(frame)
        spent_s = time.perf_counter() - start
        metrics.STAGE_S.labels(FEATURE).observe(spent_s)
        seen = TextSeen(
            session=frame.session,
            source=frame.source,
            seq=frame.seq,
            t_s=frame.t_s,
            regions=found,
            model=self._backend.name,
            spent_ms=spent_s * 1e3,
        )
        await self._bus.observe(seen, self._settings.publish_timeout_s)

    async def _patiently(self, frame: Frame) -> tuple[TextRegion, ...]:
        """What the thread finds; one that takes too long is told to whoever watches, since it cannot be stopped."""
        looking = asyncio.get_running_loop().run_in_executor(self._thread, self._look, frame)
        # One that fails after the lane was left is nobody's news: asyncio would log its words.
        looking.add_done_callback(lambda done: done.cancelled() or done.exception())
        done, _ = await asyncio.wait({looking}, timeout=self._settings.stuck_after_s)
        if not done:
            log.error("vision.text_stuck", after_s=self._settings.stuck_after_s)
            self._bus.health.set(f"feature:{FEATURE}", ok=False, detail="a look does not end", critical=False)
            await asyncio.wait({looking})
            self._bus.health.set(f"feature:{FEATURE}", ok=True, critical=False)
        return looking.result()

    def _look(self, frame: Frame) -> tuple[TextRegion, ...]:
        settings = self._settings
        image = picture_of(frame.jpeg, settings.max_jpeg_bytes, settings.max_pixels)
        height_px, width_px = image.shape[:2]
        (lines,) = self._backend.run([image])
        return regions(
            [(line.corners_px.tolist(), line.text, line.confidence) for line in lines],
            width_px,
            height_px,
            min_confidence=settings.text_min_confidence,
            keep_text=frame.keep_text,
        )

"""Take the freshest frames of many sessions, look at them as one batch, log what was seen.

The broker keeps one frame of each session, so a worker that is too slow sees fewer frames, never older ones. A frame is
acknowledged once its observation is in the log; a worker that dies in between leaves it to the next, and the log
recognises the second copy by its id.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from inference.vision import metrics
from inference.vision.analysis import Seen
from inference.vision.decode import frame_of
from inference.vision.hand_watch import HandWatch
from inference.vision.lane import Lane, Picture, Unread
from inference.vision.settings import VisionSettings
from proto.errors import BadInput, BusUnavailable, FeatureMissing
from proto.media import Frame
from proto.observations import FeatureStatus, FrameSeen, FrameSkipped
from runtime import tracing
from runtime.bus import Bus, Consumer, Delivery
from runtime.log import get_logger

log = get_logger("vision")

SOURCE = "vision"
TOLD_SESSIONS = 10_000
"""Sessions remembered as having been told which features are missing; telling twice does no harm."""


class Job(NamedTuple):
    """A frame in hand; `age_s` is its age when it was taken, by its own clock or else the broker's."""

    delivery: Delivery
    frame: Frame
    age_s: float


class Worker:
    """`features` is what `Lane.load` found."""

    def __init__(
        self, settings: VisionSettings, bus: Bus, lane: Lane, features: Mapping[str, FeatureMissing | None]
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._lane = lane
        self._missing = [(seq, error) for seq, error in enumerate(features.values()) if error is not None]
        self._told: OrderedDict[str, None] = OrderedDict()
        self._hands = HandWatch(settings.hands_rest_s)
        self._slots = asyncio.Semaphore(settings.max_publishing)

    async def run(self, consumer: Consumer, stop: asyncio.Event) -> None:
        """Work until `stop`; returns when the batch in hand is in the log."""
        async with asyncio.TaskGroup() as publishing:
            while not stop.is_set():
                deliveries = await consumer.fetch(self._settings.batch_frames, self._settings.fetch_wait_s)
                if deliveries:
                    await self._batch(deliveries, publishing)

    async def _batch(self, deliveries: Sequence[Delivery], publishing: asyncio.TaskGroup) -> None:
        """Look at a batch; its observations are published while the next batch is looked at."""
        jobs = [job for delivery in deliveries if (job := await self._job(delivery)) is not None]
        metrics.BATCH_FRAMES.observe(len(deliveries))
        fresh = [job for job in jobs if not self._is_skipped(job)]
        results = await self._look(fresh)
        stale = [job for job in jobs if self._is_skipped(job)]
        results += [Unread("stale")] * len(stale)
        for job, result in zip(fresh + stale, results, strict=True):
            await self._slots.acquire()
            publishing.create_task(self._publish(job, result))

    async def _look(self, jobs: Sequence[Job]) -> list[Seen | Unread]:
        """What the frames show. A model that hangs cannot be stopped from here; it can be told to whoever watches."""
        frames = [job.frame for job in jobs]
        pictures = [Picture(frame.jpeg, self._hands.is_due(frame.session, frame.t_s)) for frame in frames]
        looking = asyncio.ensure_future(self._lane.look(pictures))
        try:
            done, _ = await asyncio.wait({looking}, timeout=self._settings.stuck_after_s)
            if not done:
                log.error("vision.stuck", frames=len(jobs), after_s=self._settings.stuck_after_s)
                self._bus.health.set("models", ok=False, detail="a batch does not end")
                await looking
                self._bus.health.set("models", ok=True)
            results = looking.result()
        finally:
            looking.cancel()
        for frame, result in zip(frames, results, strict=True):
            if isinstance(result, Seen):
                self._hands.note(frame.session, frame.t_s, result)
        return results

    async def _job(self, delivery: Delivery) -> Job | None:
        """The frame of a message; None if it is not one, and then it is put aside."""
        try:
            frame = frame_of(delivery.subject, delivery.data)
        except BadInput as error:
            metrics.FRAMES.labels("dead").inc()
            await self._put_aside(delivery, error)
            return None
        since = frame.received_unix_s or delivery.unix_s
        age_s = max(0.0, time.time() - since)
        if age_s > self._settings.stale_after_s:
            metrics.STALE.inc()
        return Job(delivery, frame, age_s)

    async def _put_aside(self, delivery: Delivery, error: BadInput) -> None:
        try:
            await self._bus.dead_letter("vision", delivery, error)
        except BusUnavailable as failure:
            log.warning("vision.dead_letter_failed", error=str(failure))

    def _is_skipped(self, job: Job) -> bool:
        return self._settings.stale == "skip" and job.age_s > self._settings.stale_after_s

    async def _publish(self, job: Job, result: Seen | Unread) -> None:
        """Observation into the log, then the acknowledgement; one that fails costs this frame only."""
        try:
            with tracing.of(job.delivery.headers):
                await self._tell_missing(job.frame)
                await self._bus.observe(_observation(job, result), self._settings.publish_timeout_s)
                await job.delivery.ack()
        except BusUnavailable as error:
            metrics.LOST.inc()
            log.warning("vision.not_logged", session=job.frame.session, error=str(error))
        else:
            _count(job, result)
        finally:
            self._slots.release()

    async def _tell_missing(self, frame: Frame) -> None:
        """Say once per session which features this worker lacks."""
        if not self._missing or frame.session in self._told:
            return
        for seq, error in self._missing:
            status = FeatureStatus(
                session=frame.session,
                source=SOURCE,
                seq=seq,
                t_s=frame.t_s,
                feature=error.feature,
                available=False,
                reason=error.reason,
                command=error.command,
            )
            await self._bus.observe(status, self._settings.publish_timeout_s)
        self._told[frame.session] = None
        if len(self._told) > TOLD_SESSIONS:
            self._told.popitem(last=False)


def _observation(job: Job, result: Seen | Unread) -> FrameSeen | FrameSkipped:
    frame = job.frame
    if isinstance(result, Unread):
        return FrameSkipped(
            session=frame.session, source=frame.source, seq=frame.seq, t_s=frame.t_s, reason=result.reason
        )
    return FrameSeen(
        session=frame.session,
        source=frame.source,
        seq=frame.seq,
        t_s=frame.t_s,
        faces=result.faces,
        quality=result.quality,
        person_present=result.person_present,
        models=result.models,
        timings_ms={"queue": job.age_s * 1e3} | result.timings_ms,
        received_unix_s=frame.received_unix_s,
    )


def _count(job: Job, result: Seen | Unread) -> None:
    metrics.STAGE_S.labels("queue").observe(job.age_s)
    if isinstance(result, Unread):
        metrics.FRAMES.labels("skipped").inc()
        return
    metrics.FRAMES.labels("seen").inc()
    metrics.FACES.inc(len(result.faces))
    for stage, spent_ms in result.timings_ms.items():
        metrics.STAGE_S.labels(stage).observe(spent_ms / 1e3)

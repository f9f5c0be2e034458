"""What was seen, or not, into the log; then the frame is done."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from inference.vision import metrics
from inference.vision.analysis import Seen, Unread
from inference.vision.equipment import FEATURES
from inference.vision.schedule import SHED_ORDER
from inference.vision.settings import VisionSettings
from proto.errors import BusUnavailable, FeatureMissing
from proto.media import Frame
from proto.observations import FeatureStatus, FrameSeen, FrameSkipped
from runtime import tracing
from runtime.bus import Bus, Delivery
from runtime.log import get_logger

log = get_logger("vision")

SOURCE = "vision"
TOLD_SESSIONS = 10_000
"""Sessions remembered as having been told what is missing; telling twice does no harm."""


class Job(NamedTuple):
    """A frame in hand; `age_s` is its age when it was taken, by its own clock or else the broker's."""

    delivery: Delivery
    frame: Frame
    age_s: float


class Publisher:
    """`missing` says of each feature that this worker lacks, why."""

    def __init__(self, settings: VisionSettings, bus: Bus, missing: Mapping[str, FeatureMissing]) -> None:
        self._settings = settings
        self._bus = bus
        self._missing = missing
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._slots = asyncio.Semaphore(settings.max_publishing)

    async def publish(self, job: Job, result: Seen | Unread, publishing: asyncio.TaskGroup) -> None:
        """Start publishing; waits only where too much is on its way already."""
        await self._slots.acquire()
        publishing.create_task(self._publish(job, result))

    async def _publish(self, job: Job, result: Seen | Unread) -> None:
        """Observation into the log, then the acknowledgement; one that fails costs this frame only."""
        try:
            with tracing.of(job.delivery.headers):
                await self._tell_missing(job.frame)
                await self._bus.observe(observation_of(job.frame, job.age_s, result), self._settings.publish_timeout_s)
                await job.delivery.ack()
        except BusUnavailable as error:
            metrics.LOST.inc()
            log.warning("vision.not_logged", session=job.frame.session, error=str(error))
        else:
            _count(job, result)
        finally:
            self._slots.release()

    async def _tell_missing(self, frame: Frame) -> None:
        """Say once per session what it lacks here: of what is looked for only on demand, when it is first asked for."""
        for feature, error in self._missing.items():
            if (frame.session, feature) in self._told or (feature in SHED_ORDER and feature not in frame.looks):
                continue
            status = FeatureStatus(
                session=frame.session,
                source=SOURCE,
                seq=FEATURES.index(feature),
                t_s=frame.t_s,
                feature=feature,
                available=False,
                reason=error.reason,
                command=error.command,
            )
            self._told[frame.session, feature] = None
            try:
                await self._bus.observe(status, self._settings.publish_timeout_s)
            except BusUnavailable:
                self._told.pop((frame.session, feature), None)
                raise
        while len(self._told) > TOLD_SESSIONS * len(FEATURES):
            self._told.popitem(last=False)


def observation_of(frame: Frame, age_s: float, result: Seen | Unread) -> FrameSeen | FrameSkipped:
    """What is logged of a frame that was `age_s` old when it was taken."""
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
        objects=result.objects,
        identity=result.identity,
        models=result.models,
        timings_ms={"queue": age_s * 1e3} | result.timings_ms,
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

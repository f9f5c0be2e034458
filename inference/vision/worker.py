"""Take the freshest frames of many sessions, look at some of them as one batch, log what was seen.

The broker keeps one frame of each session, so a worker that is too slow sees fewer frames, never older ones. A frame is
acknowledged once its observation is in the log; one that there is no time for goes back at once, for whoever is free; a
worker that dies in between leaves it to the next, and the log recognises the second copy by its id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import NamedTuple

import msgspec

from inference.vision import metrics, schedule
from inference.vision.analysis import Ask, Seen, Unread
from inference.vision.decode import frame_of
from inference.vision.equipment import TEXT
from inference.vision.hand_watch import HandWatch
from inference.vision.identity import References
from inference.vision.lane import Lane
from inference.vision.publishing import Job, Publisher
from inference.vision.schedule import Costs, Looks, Shedding, Turns, Waiting
from inference.vision.settings import VisionSettings
from inference.vision.text import TextLane
from inference.vision.tracks import Tracks
from proto.errors import BadInput, BusUnavailable
from runtime import tracing
from runtime.bus import Bus, Consumer, Delivery
from runtime.log import get_logger

log = get_logger("vision")

LOOK_AHEAD = 4
MIN_LOOK_AHEAD = 64
"""Frames looked through for one batch, so that those who waited longest are among them: so many batches, at least so
many frames. What is not chosen was carried for nothing, a few microseconds a frame."""


class Chosen(NamedTuple):
    """A frame that is looked at now, and for what."""

    job: Job
    looks: Looks


class Worker:
    """`references` and `text` are None where faces are not compared, and text is not read."""

    def __init__(
        self,
        settings: VisionSettings,
        bus: Bus,
        lane: Lane,
        publisher: Publisher,
        references: References | None = None,
        text: TextLane | None = None,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._lane = lane
        self._publisher = publisher
        self._references = references
        self._text = text
        self._hands = HandWatch(settings.hands_rest_s)
        self._tracks = Tracks()
        self._turns = Turns()
        self._costs = Costs()
        self._shedding = Shedding()

    async def run(self, consumer: Consumer, stop: asyncio.Event) -> None:
        """Work until `stop`; returns when the batch in hand is in the log."""
        look_ahead = max(LOOK_AHEAD * self._settings.batch_frames, MIN_LOOK_AHEAD)
        async with asyncio.TaskGroup() as publishing:
            while not stop.is_set():
                deliveries = await consumer.fetch(look_ahead, self._settings.fetch_wait_s)
                if deliveries:
                    await self._batch(deliveries, publishing)
                else:
                    self._note_load(overloaded=False)

    async def _batch(self, deliveries: Sequence[Delivery], publishing: asyncio.TaskGroup) -> None:
        """Look at some of what was fetched; what was seen is published while the next batch is looked at."""
        jobs = [job for delivery in deliveries if (job := await self._job(delivery)) is not None]
        for job in [job for job in jobs if self._is_skipped(job)]:
            await self._publisher.publish(job, Unread("stale"), publishing)
        chosen = await self._chosen([job for job in jobs if not self._is_skipped(job)])
        metrics.BATCH_FRAMES.observe(len(chosen))
        for one, result in zip(chosen, await self._look(chosen), strict=True):
            await self._publisher.publish(one.job, result, publishing)

    # Which frames.

    async def _chosen(self, jobs: Sequence[Job]) -> list[Chosen]:
        """Those whose turn it is; the others go back."""
        newest = {job.frame.session: job for job in sorted(jobs, key=lambda job: job.delivery.seq)}
        for job in jobs:
            if newest[job.frame.session] is not job:
                metrics.FRAMES.labels("superseded").inc()
                self._turns.owe(job.frame.session, frozenset(job.frame.looks))
                await self._answer(job.delivery.ack())
        due = [Chosen(job, self._turns.due(job.frame.session, job.frame.looks)) for job in newest.values()]
        waiting = [Waiting(one.job.frame.session, one.job.age_s, self._shedding.kept(one.looks)) for one in due]
        order = self._turns.order(waiting)
        picked = schedule.choose(
            [waiting[index] for index in order],
            self._costs.of,
            self._settings.deadline_ms / 1e3,
            self._settings.batch_frames,
        )
        taken = [order[index] for index in picked]
        waiting_s = sum(self._costs.of(one.looks) for one in waiting)
        self._note_load(overloaded=len(taken) < len(due) and waiting_s > self._settings.deadline_ms / 1e3)
        self._turns.serve(due[index].job.frame.session for index in taken)
        for index, one in enumerate(due):
            if index not in taken:
                metrics.RETURNED.inc()
                self._turns.owe(one.job.frame.session, one.looks)
                await self._answer(one.job.delivery.nak())
        return [Chosen(due[index].job, self._shed(due[index].looks)) for index in taken]

    def _note_load(self, *, overloaded: bool) -> None:
        """One frame that takes long is no overload: it is when others wait for it who cannot be done in time."""
        self._shedding.note(time.monotonic(), overloaded=overloaded)
        metrics.SHED_LEVEL.set(self._shedding.level)

    def _shed(self, looks: Looks) -> Looks:
        kept = self._shedding.kept(looks)
        for look in looks - kept:
            metrics.SHED.labels(look).inc()
        return kept

    # What they show.

    async def _look(self, chosen: Sequence[Chosen]) -> list[Seen | Unread]:
        """What the frames show. A model that hangs cannot be stopped from here; it can be told to whoever watches."""
        if not chosen:
            return []
        for one in chosen:
            if TEXT in one.looks and self._text is not None:
                with tracing.of(one.job.delivery.headers):
                    self._text.offer(msgspec.structs.replace(one.job.frame, looks=tuple(one.looks)))
        asks = await asyncio.gather(*(self._ask(one) for one in chosen))
        looking = asyncio.ensure_future(self._lane.read([one.job.frame.jpeg for one in chosen], asks))
        try:
            done, _ = await asyncio.wait({looking}, timeout=self._settings.stuck_after_s)
            if not done:
                log.error("vision.stuck", frames=len(chosen), after_s=self._settings.stuck_after_s)
                self._bus.health.set("models", ok=False, detail="a batch does not end")
                await looking
                self._bus.health.set("models", ok=True)
            results = looking.result()
        finally:
            looking.cancel()
        self._remember(chosen, results)
        return results

    async def _ask(self, one: Chosen) -> Ask:
        frame = one.job.frame
        reference = None
        if self._references is not None and "identity" in one.looks:
            reference = await self._references.of(frame.session)
        return Ask(
            looks=one.looks,
            hint=self._tracks.hint(frame.session, frame.t_s),
            hands=self._hands.is_due(frame.session, frame.t_s),
            reference=reference,
        )

    def _remember(self, chosen: Sequence[Chosen], results: Sequence[Seen | Unread]) -> None:
        """What spares work on the next frames."""
        for one, result in zip(chosen, results, strict=True):
            if isinstance(result, Seen):
                frame = one.job.frame
                self._hands.note(frame.session, frame.t_s, result)
                if result.found is not None:
                    self._tracks.note(frame.session, frame.t_s, result.found)
        self._costs.note([result.timings_ms for result in results if isinstance(result, Seen)])

    # Messages.

    async def _job(self, delivery: Delivery) -> Job | None:
        """The frame of a message; None if it is not one, and then it is put aside."""
        try:
            frame = frame_of(delivery.subject, delivery.data)
        except BadInput as error:
            metrics.FRAMES.labels("dead").inc()
            await self._answer(self._bus.dead_letter("vision", delivery, error))
            return None
        since = frame.received_unix_s or delivery.unix_s
        age_s = max(0.0, time.time() - since)
        if age_s > self._settings.stale_after_s:
            metrics.STALE.inc()
        return Job(delivery, frame, age_s)

    async def _answer(self, answer: Awaitable[None]) -> None:
        """Tell the broker what becomes of a message; if it is away, the message comes again."""
        try:
            await answer
        except BusUnavailable as error:
            log.warning("vision.not_answered", error=str(error))

    def _is_skipped(self, job: Job) -> bool:
        return self._settings.stale == "skip" and job.age_s > self._settings.stale_after_s

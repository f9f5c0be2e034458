"""The vision service: loads the models, then works until it is told to stop."""

from __future__ import annotations

import asyncio

from inference.vision.analysis import Analyst
from inference.vision.lane import Lane, Limits
from inference.vision.settings import VisionSettings
from inference.vision.worker import Worker
from proto import subjects
from runtime.bus import Bus
from runtime.log import get_logger

log = get_logger("vision")


async def serve(settings: VisionSettings, bus: Bus, stop: asyncio.Event) -> None:
    """Run one worker until `stop` is set and its batch in hand is logged. A missing model is reported, not raised."""
    bus.health.set("models", ok=False, detail="loading")
    analyst = Analyst(
        max_faces=settings.max_faces,
        min_confidence=settings.min_face_confidence,
        person=settings.person,
        hands=settings.hands,
    )
    async with Lane(analyst, Limits(settings.max_jpeg_bytes, settings.max_pixels)) as lane:
        features = await lane.load()
        for feature, missing in features.items():
            detail = str(missing) if missing else ""
            bus.health.set(f"feature:{feature}", ok=missing is None, detail=detail, critical=False)
            if missing:
                log.warning("vision.feature_missing", feature=feature, reason=missing.reason, command=missing.command)
        bus.health.set("models", ok=True)
        consumer = await bus.consumer(subjects.FRAMES, subjects.VISION_CONSUMER)
        log.info("vision.ready", batch_frames=settings.batch_frames)
        try:
            await Worker(settings, bus, lane, features).run(consumer, stop)
        finally:
            await consumer.close()

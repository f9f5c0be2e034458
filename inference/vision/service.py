"""The vision service: loads the models, then works until it is told to stop."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from inference.backends import running
from inference.vision.analysis import Analyst
from inference.vision.equipment import FEATURES, IDENTITY, TEXT
from inference.vision.identity import References, Registrar, Vault, load_key
from inference.vision.lane import Lane
from inference.vision.publishing import Publisher
from inference.vision.settings import VisionSettings
from inference.vision.text import TextLane
from inference.vision.worker import Worker
from proto import subjects
from proto.errors import FeatureMissing
from runtime.bus import Bus
from runtime.log import get_logger

log = get_logger("vision")

Features = dict[str, FeatureMissing | None]
"""Why each feature is missing, or None where it works."""


async def serve(settings: VisionSettings, bus: Bus, stop: asyncio.Event) -> None:
    """Run one worker until `stop` is set and its batch in hand is logged. A missing model is reported, not raised.

    Raises:
        BadSettings: the key of reference faces, or a row of the manifest, cannot be used.
    """
    bus.health.set("models", ok=False, detail="loading")
    bus.health.runs_on(running.models)
    # Left in reverse: what answers and what looks end before the models that they use.
    async with AsyncExitStack() as stack:
        lane = await stack.enter_async_context(Lane(Analyst(settings)))
        features = await lane.load()
        text = await _text(settings, bus, stack, features)
        references = await _identity(settings, bus, lane, stack, features)
        _tell(bus, features)
        missing = {feature: error for feature in FEATURES if (error := features.get(feature))}
        consumer = await bus.consumer(subjects.FRAMES, subjects.VISION_CONSUMER)
        stack.push_async_callback(consumer.close)
        bus.health.set("models", ok=True)
        bus.health.started()
        log.info("vision.ready", batch_frames=settings.batch_frames, missing=list(missing))
        await Worker(settings, bus, lane, Publisher(settings, bus, missing), references, text).run(consumer, stop)


async def _text(settings: VisionSettings, bus: Bus, stack: AsyncExitStack, features: Features) -> TextLane | None:
    if not settings.text:
        features[TEXT] = FeatureMissing(TEXT, "is switched off: CANDOR_VISION_TEXT")
        return None
    text = await stack.enter_async_context(TextLane(settings, bus))
    features[TEXT] = await text.load()
    return text


async def _identity(
    settings: VisionSettings, bus: Bus, lane: Lane, stack: AsyncExitStack, features: Features
) -> References | None:
    """Answers requests about faces, if only by saying why it cannot."""
    vault = None
    try:
        vault = Vault(load_key(settings))
    except FeatureMissing as error:
        # A model that is missing comes first: it is what takes time to get.
        features[IDENTITY] = features.get(IDENTITY) or error
    missing = features.get(IDENTITY)
    references = References(bus, vault) if vault is not None and missing is None else None
    await stack.enter_async_context(Registrar(settings, bus, lane, vault if references else None, references, missing))
    return references


def _tell(bus: Bus, features: Features) -> None:
    for feature, missing in features.items():
        if missing is None:
            bus.health.set(f"feature:{feature}", ok=True, critical=False)
            continue
        detail, command = missing.reason, missing.command
        bus.health.set(f"feature:{feature}", ok=False, detail=detail, critical=False, command=command)
        log.warning("vision.feature_missing", feature=feature, reason=detail, command=command)

"""A vision worker in this process, frames for it, and what it logged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from inference.backends.settings import OnnxSettings
from inference.models.settings import ModelsSettings
from inference.vision.analysis import Analyst
from inference.vision.service import serve
from inference.vision.settings import VisionSettings
from proto import codec, subjects
from proto.media import Frame
from proto.observations import AnyObservation
from runtime.bus import Bus
from tests.support.clips import encode_jpeg, picture, scaled
from tests.support.wait import eventually


def analyst_of(built_dir: Path, models: Path | None = None, **settings: Any) -> Analyst:
    """The models of one worker, not loaded yet; without the folder `models`, those that the packages carry."""
    folder = models or built_dir / "nothing-was-pulled"
    return Analyst(VisionSettings(**settings), ModelsSettings(dir=folder, built_dir=built_dir), OnnxSettings())


def is_ready(bus: Bus) -> bool:
    return any(part.name == "models" and part.ok for part in bus.health.parts())


@asynccontextmanager
async def vision(bus: Bus, **settings: Any) -> AsyncIterator[asyncio.Event]:
    """A worker that is ready for frames (they are kept for 2 s only); yields its stop event, waits for it to drain. It
    reads no text unless the settings say so: those models take seconds to load.
    """
    settings.setdefault("text", False)
    stop = asyncio.Event()
    task = asyncio.create_task(serve(VisionSettings(**settings), bus, stop))
    try:
        await eventually(lambda: is_ready(bus), 30)
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


def frame(session: str, seq: int, jpeg: bytes, t_s: float = 0.0) -> Frame:
    return Frame(session, "peer", seq, t_s, 320, 439, jpeg, time.time())


async def send(bus: Bus, sent: Iterable[Frame]) -> None:
    for one in sent:
        await bus.append(subjects.frames(one.session), one, f"{one.session}:{one.source}:{one.seq}")


async def logged(bus: Bus, session: str) -> list[AnyObservation]:
    stream = bus.read(subjects.LOG, subjects.log_session(session))
    return [codec.decode(delivery.data, AnyObservation) async for delivery in stream]  # type: ignore[arg-type]


async def wait_for_log(bus: Bus, session: str, count: int, timeout_s: float = 15.0) -> list[AnyObservation]:
    async def enough() -> list[AnyObservation]:
        found = await logged(bus, session)
        return found if len(found) >= count else []

    return await eventually(enough, timeout_s, f"{count} observations of {session}")


async def frames_left(bus: Bus) -> int:
    return (await bus.info(subjects.FRAMES)).messages


async def nothing_left(bus: Bus) -> bool:
    return await frames_left(bus) == 0


def portrait_of(media: Path) -> bytes:
    """One person, 320 wide."""
    return encode_jpeg(scaled(picture(media / "photos" / "person_a_1.jpg"), 320))

"""An ingest node that runs for a test, and everything it says on the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

from ingest.node import Node
from ingest.settings import IngestSettings
from proto import codec, media
from proto.observations import AnyObservation, Observation
from runtime.bus import Bus
from tests.support.wait import eventually

T = TypeVar("T", bound=Observation)


@asynccontextmanager
async def running(bus: Bus, settings: IngestSettings) -> AsyncIterator[Node]:
    """A node in the queue group; drained at the end, by which time nothing of it may be left."""
    stop = asyncio.Event()
    node = Node(settings, bus)
    task = asyncio.create_task(node.run(stop))
    try:
        await eventually(lambda: node.accepting or task.done(), 5)
        yield node
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task
        assert node.peers == []


class Heard:
    """Collects frames, sound and observations of all sessions, in order."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self.frames: list[media.Frame] = []
        self.audio: list[media.Audio] = []
        self.observations: list[Observation] = []

    @property
    def ended(self) -> bool:
        """Whether the sound came to its end."""
        return bool(self.audio) and isinstance(self.audio[-1], media.AudioEnd)

    def observed(self, kind: type[T]) -> list[T]:
        return [observation for observation in self.observations if isinstance(observation, kind)]

    async def __aenter__(self) -> Self:
        kinds = {"frames.*": (media.Frame, self.frames), "audio.*": (media.Audio, self.audio)}
        for subject, (kind, into) in (kinds | {"log.>": (AnyObservation, self.observations)}).items():
            await self._collect(subject, kind, into)
        return self

    async def _collect(self, subject: str, kind: type[object], into: list[object]) -> None:
        subscription = await self._stack.enter_async_context(self._bus.subscribe(subject, limit=10_000))

        async def collect() -> None:
            async for delivery in subscription:
                into.append(codec.decode(delivery.data, kind))  # noqa: PERF401  # what came so far is looked at meanwhile

        self._tasks.append(asyncio.create_task(collect()))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        await asyncio.gather(*self._tasks)

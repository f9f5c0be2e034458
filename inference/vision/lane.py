"""One thread that owns the models: JPEGs go in, what they show comes out, and the event loop stays free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from inference.vision.analysis import Analyst, Ask, Seen, Unread
from proto.errors import FeatureMissing

T = TypeVar("T")


class Lane:
    """An async context manager around an analyst; leaving it waits for the batch in hand and frees the models."""

    def __init__(self, analyst: Analyst) -> None:
        self._analyst = analyst
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vision")

    async def load(self) -> dict[str, FeatureMissing | None]:
        """As `Analyst.load`."""
        return await self.run(Analyst.load)

    async def read(self, jpegs: Sequence[bytes], asks: Sequence[Ask]) -> list[Seen | Unread]:
        """As `Analyst.read`."""
        return await self.run(lambda analyst: analyst.read(jpegs, asks))

    async def run(self, work: Callable[[Analyst], T]) -> T:
        """What `work` returns, or raises, on the models' thread, between two batches. If the caller is cancelled, it is
        finished and forgotten.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._analyst)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A batch takes tens of milliseconds: waiting for it here is what makes closing the models safe.
        self._thread.submit(self._analyst.close)
        self._thread.shutdown(wait=True)

"""One thread that owns the models: JPEGs go in, what they show comes out, and the event loop stays free."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import msgspec

from inference.backends.base import Image
from inference.vision import metrics
from inference.vision.analysis import Analyst, Seen
from inference.vision.decode import picture_of
from proto.errors import BadInput, FeatureMissing
from runtime.log import get_logger

log = get_logger("vision")

T = TypeVar("T")


class Unread(msgspec.Struct, frozen=True):
    """A picture nothing can be said of, and why."""

    reason: str


class Picture(NamedTuple):
    """A JPEG, and whether hands may be looked for in it."""

    jpeg: bytes
    hands: bool = True


class Limits(NamedTuple):
    """The largest picture that is decoded."""

    max_bytes: int
    max_pixels: int


class Lane:
    """An async context manager around an analyst; leaving it waits for the batch in hand and frees the models."""

    def __init__(self, analyst: Analyst, limits: Limits) -> None:
        self._analyst = analyst
        self._limits = limits
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vision")

    async def load(self) -> dict[str, FeatureMissing | None]:
        """As `Analyst.load`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._analyst.load)

    async def look(self, pictures: Sequence[Picture]) -> list[Seen | Unread]:
        """What each picture shows, in order. If the caller is cancelled, the batch is finished and forgotten."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look, pictures)

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

    def _look(self, pictures: Sequence[Picture]) -> list[Seen | Unread]:
        results: list[Seen | Unread | None] = [None] * len(pictures)
        images: dict[int, Image] = {}
        decode_ms: dict[int, float] = {}
        for index, picture in enumerate(pictures):
            start = time.perf_counter()
            try:
                images[index] = picture_of(picture.jpeg, self._limits.max_bytes, self._limits.max_pixels)
            except BadInput as error:
                results[index] = Unread(str(error))
            decode_ms[index] = (time.perf_counter() - start) * 1e3
        hands = [pictures[index].hands for index in images]
        for index, result in zip(images, self._seen(list(images.values()), hands), strict=True):
            results[index] = _with_decode(result, decode_ms[index])
        return [result for result in results if result is not None]

    def _seen(self, images: list[Image], hands: list[bool]) -> Sequence[Seen | Unread]:
        """The pictures as one batch; if a model breaks over it, one by one, so that one picture spoils only itself."""
        if not images:
            return []
        try:
            return self._analyst.look(images, hands)
        except FeatureMissing as error:
            return [Unread(str(error))] * len(images)
        except Exception as error:  # noqa: BLE001 - the boundary where whatever one picture does to a model ends
            self._recover(error)
            if len(images) > 1:
                return [result for one in zip(images, hands, strict=True) for result in self._seen([one[0]], [one[1]])]
            return [Unread("a model failed")]

    def _recover(self, error: Exception) -> None:
        """MediaPipe's graphs stay broken once they have failed."""
        metrics.MODEL_FAILURES.inc()
        log.error("vision.model_failed", error=type(error).__name__, exc_info=error)
        self._analyst.load()


def _with_decode(result: Seen | Unread, spent_ms: float) -> Seen | Unread:
    if isinstance(result, Unread):
        return result
    return msgspec.structs.replace(result, timings_ms={"decode": spent_ms} | result.timings_ms)

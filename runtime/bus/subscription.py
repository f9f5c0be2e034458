"""A core NATS subscription with a bound: when a reader is slow the oldest messages go, and are counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from types import TracebackType
from typing import Self

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from proto.errors import BusUnavailable
from runtime import metrics
from runtime.bus.delivery import Delivery

FLUSH_S = 2


class Subscription:
    """Async iterator over messages, at most `limit` waiting. `dropped` counts those a slow reader lost."""

    def __init__(self, client: Client, subject: str, queue: str, limit: int) -> None:
        self._client = client
        self._subject = subject
        self._group = queue
        self._waiting: deque[Delivery] = deque()
        self._limit = limit
        self._arrived = asyncio.Event()
        self._subscription: NatsSubscription | None = None
        self._closed = False
        self.dropped = 0

    async def __aenter__(self) -> Self:
        try:
            self._subscription = await self._client.subscribe(
                self._subject, queue=self._group, cb=self._take, pending_msgs_limit=self._limit * 4
            )
            # Subscribed means subscribed: what is published elsewhere after this line arrives.
            await self._client.flush()
        except nats.errors.Error as error:
            await self.close()
            raise BusUnavailable(f"cannot subscribe to {self._subject}: {error}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _take(self, msg: Msg) -> None:
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self.dropped += 1
            metrics.WATCHER_DROPPED.labels(self._subject.partition(".")[0]).inc()
        self._waiting.append(Delivery.of(msg))
        self._arrived.set()

    async def next(self, timeout_s: float) -> Delivery | None:
        """The oldest waiting message, or None if none comes within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._next()
        except TimeoutError:
            return None

    async def _next(self) -> Delivery | None:
        while not self._waiting:
            if self._closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        delivery = await self._next()
        if delivery is None:
            raise StopAsyncIteration
        return delivery

    async def close(self) -> None:
        """Leave the subject (and the queue group); what is waiting may still be read."""
        self._closed = True
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._client.is_closed:
            await subscription.unsubscribe()
            if self._client.is_connected:
                # Left means left: what is sent elsewhere after this line goes to somebody else.
                with contextlib.suppress(nats.errors.Error, OSError):
                    await self._client.flush(timeout=FLUSH_S)
        self._arrived.set()

"""Pulling from JetStream: durable consumers that are shared or ordered, and ephemeral ones that follow or read.

nats-py's own `fetch` lingers for a full batch; these hand over what is there now, because a frame that waits is a frame
that is late. A request that is bounded in bytes always ends with a status: `404` or `408` when there is no more, `409`
when it is full; so no reply is left over for the next one. Whatever else happens (lost connection, deleted consumer,
cancelled task) throws the inbox away, and what was on its way is delivered again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Self

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError

from runtime import metrics
from runtime.bus.connection import Connection
from runtime.bus.delivery import Delivery

REPLY_TIMEOUT_S = 2.0
RETRY_S = 0.2
EPHEMERAL_IDLE_S = 60.0
MAX_BATCH_BYTES = 16 << 20
"""Of one request, well below the 64 MiB on its way to one client at which nats-server hangs up on it."""
_AWAY = (nats.errors.Error, asyncio.TimeoutError, OSError)
_FULL = ("Batch Completed", "Message Size Exceeds MaxBytes")
"""How a request that is bounded in bytes ends when either bound is reached."""


class _Inbox:
    """Where one consumer's messages arrive; bounded by what was asked for."""

    def __init__(self, connection: Connection, stream: str, consumer: str) -> None:
        self._connection = connection
        self._client = connection.client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._subject = ""
        self._queue: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._subscription: NatsSubscription | None = None
        self.more = True
        """Whether the last request ended because it was full: there may be more."""

    def interrupt(self) -> None:
        """What was asked for will not come."""
        self._queue.put_nowait(None)

    async def pull(self, batch: int, expires_s: float) -> list[Delivery]:
        """At most `batch` messages: those there now (`expires_s` 0), or the first to come within `expires_s`."""
        done = False
        try:
            await self._open()
            request: dict[str, object] = {"batch": batch, "max_bytes": MAX_BATCH_BYTES}
            request |= {"expires": int(expires_s * 1e9)} if expires_s else {"no_wait": True}
            self.more = True
            await self._client.publish(self._next, json.dumps(request).encode(), self._subject)
            deliveries: list[Delivery] = []
            async with asyncio.timeout(expires_s + REPLY_TIMEOUT_S):
                while True:
                    msg = await self._queue.get()
                    if msg is None:
                        raise nats.errors.StaleConnectionError
                    status = msg.headers and msg.headers.get("Status")
                    if status in ("404", "408"):
                        self.more = False
                        break
                    if status == "409" and (msg.headers or {}).get("Description", "").startswith(_FULL):
                        break
                    if status == "100":
                        continue
                    if status:
                        raise nats.errors.Error(f"consumer answered {status}")
                    deliveries.append(Delivery.of(msg))
            done = True
            return deliveries
        finally:
            if not done:
                await self.close()

    async def _open(self) -> None:
        if self._subscription is None:
            self._subject = self._client.new_inbox()
            self._queue = asyncio.Queue()
            self._subscription = await self._client.subscribe(self._subject, cb=self._queue.put)
            self._connection.waiting.add(self)

    async def close(self) -> None:
        subscription, self._subscription = self._subscription, None
        self._connection.waiting.discard(self)
        if subscription is not None:
            with contextlib.suppress(*_AWAY):
                await subscription.unsubscribe()


class Consumer:
    """A declared durable consumer. `ordered`: this process is its only reader (it holds a lease) and needs every
    message in stream order, so the consumer is set back to its last acknowledgement at the start and after any break
    in the sequence.
    """

    def __init__(self, connection: Connection, stream: str, durable: str, *, ordered: bool) -> None:
        self._js = connection.js
        self._stream = stream
        self._durable = durable
        self._ordered = ordered
        self._inbox = _Inbox(connection, stream, durable)
        self._expected = 0
        self._maybe_more = True

    async def fetch(self, limit: int, wait_s: float) -> list[Delivery]:
        """All that is there now, at most `limit`; waits up to `wait_s` for the first. [] if none, or while NATS is
        away.

        Ordered consumers may deliver again what was fetched but not yet acknowledged, never out of order.
        """
        try:
            if self._ordered and self._expected == 0:
                await self._reset()
            deliveries = await self._inbox.pull(limit, 0.0) if self._maybe_more or wait_s <= 0 else []
            if not deliveries and wait_s > 0:
                deliveries = await self._inbox.pull(1, wait_s)
                if deliveries and limit > 1:
                    deliveries += await self._inbox.pull(limit - 1, 0.0)
        except (*_AWAY, APIError):
            self._expected = 0
            self._maybe_more = True
            await asyncio.sleep(min(RETRY_S, max(wait_s, 0.01)))
            return []
        except asyncio.CancelledError:
            self._expected = 0
            raise
        self._maybe_more = self._inbox.more
        return self._in_order(deliveries) if self._ordered else deliveries

    def _in_order(self, deliveries: list[Delivery]) -> list[Delivery]:
        for index, delivery in enumerate(deliveries):
            if delivery.place != self._expected:
                self._expected = 0
                return deliveries[:index]
            self._expected += 1
        return deliveries

    async def _reset(self) -> None:
        metrics.BUS_RESETS.labels(self._durable).inc()
        await self._inbox.close()
        await self._js.reset_consumer(self._stream, self._durable, timeout=REPLY_TIMEOUT_S)
        self._expected = 1

    async def close(self) -> None:
        """Stop reading; what was fetched and not acknowledged is delivered to the next reader."""
        await self._inbox.close()


class Follow:
    """Reads a stream in order from a sequence on, and goes on with what comes. Made by `Bus.follow`."""

    def __init__(
        self, connection: Connection, stream: str, subject: str, from_seq: int, *, newest: bool = False
    ) -> None:
        self._connection = connection
        self._client = connection.client
        self._js = connection.js
        self._stream = stream
        self._subject = subject
        self._next_seq = from_seq
        self._newest = newest
        self._place = 0
        self._name = ""
        self._inbox: _Inbox | None = None

    @property
    def opened(self) -> bool:
        """Whether the last call reached the stream."""
        return self._inbox is not None

    async def next(self, limit: int, wait_s: float) -> list[Delivery]:
        """At most `limit` messages that follow the last one handed out; waits up to `wait_s` for the first.

        [] if none came, or while NATS is away: after a reconnect it goes on where it was.
        """
        try:
            inbox = self._inbox or await self._open()
            deliveries = await inbox.pull(limit, 0.0)
            if not deliveries and wait_s > 0:
                deliveries = await inbox.pull(1, wait_s)
        except (*_AWAY, APIError):
            await self.close()
            await asyncio.sleep(min(RETRY_S, max(wait_s, 0.01)))
            return []
        except asyncio.CancelledError:
            await self.close()
            raise
        for index, delivery in enumerate(deliveries):
            self._place += 1
            if delivery.place != self._place:
                await self.close()
                return deliveries[:index]
            self._next_seq = delivery.seq + 1
        return deliveries

    async def _open(self) -> _Inbox:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(1, self._next_seq),
            filter_subject=self._subject,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=EPHEMERAL_IDLE_S,
            mem_storage=True,
            num_replicas=1,
        )
        if self._newest:
            # The newest of each subject first; from then on, by sequence, like any other reader.
            config.deliver_policy = DeliverPolicy.LAST_PER_SUBJECT
            config.opt_start_seq = None
        info = await self._js.add_consumer(self._stream, config, timeout=REPLY_TIMEOUT_S)
        self._newest = False
        self._name = info.name
        self._place = 0
        self._inbox = _Inbox(self._connection, self._stream, info.name)
        return self._inbox

    async def close(self) -> None:
        inbox, self._inbox = self._inbox, None
        if inbox is None:
            return
        await inbox.close()
        if self._client.is_connected:
            with contextlib.suppress(*_AWAY, APIError):
                await self._js.delete_consumer(self._stream, self._name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

"""One process's connection to NATS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import msgspec
import nats.errors
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from proto import codec, subjects
from proto.errors import BadInput, BadMessage, BusUnavailable
from proto.observations import Observation
from runtime import metrics, tracing
from runtime.bus.buckets import Bucket, Objects, open_bucket, open_objects
from runtime.bus.connection import API_TIMEOUT_S, Connection
from runtime.bus.delivery import Delivery
from runtime.bus.pull import Consumer, Follow
from runtime.bus.subscription import Subscription
from runtime.health import Health
from runtime.log import get_logger
from runtime.settings import RuntimeSettings

T = TypeVar("T")

APPEND_TRY_S = 2.0
APPENDS_IN_FLIGHT = 256
READ_BATCH = 500
ORDERED_PREFIX = "fold-"

log = get_logger("bus")


class NoResponders(BusUnavailable):
    """Nobody serves this subject right now."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """What a stream holds: counts, and messages per subject where a filter was asked for."""

    messages: int
    first_seq: int
    last_seq: int
    subjects: dict[str, int]


class Bus:
    """Publish, append, request, subscribe, read. Reconnects for ever with jitter; what cannot be sent is counted."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = connection.client
        self._js = connection.js
        self._in_flight = asyncio.Semaphore(APPENDS_IN_FLIGHT)
        self.settings = connection.settings
        self.health = Health()

    @classmethod
    async def connect(cls, settings: RuntimeSettings, name: str = "candor", *, wait_s: float = 10.0) -> Bus:
        """Connect and make sure that streams, consumers and buckets exist.

        Raises:
            BusUnavailable: no server with JetStream answered within `wait_s`.
        """
        connection = Connection(settings)
        await connection.open(name, wait_s)
        return cls(connection)

    @property
    def connected(self) -> bool:
        return bool(self._client.is_connected)

    @property
    def reconnects(self) -> int:
        """How often the connection was made again: what core subscriptions missed meanwhile is lost."""
        return int(self._client.stats["reconnects"])

    async def close(self) -> None:
        """Send what is waiting, then hang up."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Sending.

    async def publish(self, subject: str, message: msgspec.Struct) -> bool:
        """Core NATS, no acknowledgement. False, and counted, when it cannot be sent now: old news is not kept."""
        data = codec.encode(message)
        if len(data) > codec.MAX_MESSAGE_BYTES:
            metrics.BUS_DROPPED.labels("too_large").inc()
            return False
        if not self._client.is_connected:
            metrics.BUS_DROPPED.labels("disconnected").inc()
            return False
        try:
            await self._client.publish(subject, data, headers=_headers())
        except nats.errors.OutboundBufferLimitError:
            metrics.BUS_DROPPED.labels("buffer_full").inc()
            return False
        except nats.errors.ConnectionClosedError:
            metrics.BUS_DROPPED.labels("disconnected").inc()
            return False
        return True

    async def append(self, subject: str, message: msgspec.Struct, message_id: str, timeout_s: float = 10.0) -> int:
        """Store in the subject's stream and wait for the acknowledgement, trying again until the deadline.

        The message id makes trying again harmless. Returns the stream sequence (of the first copy, if this was a
        second).

        Raises:
            BadInput: larger than MAX_MESSAGE_BYTES.
            BusUnavailable: not acknowledged within `timeout_s`; it may or may not be stored.
        """
        data = codec.encode(message)
        if len(data) > codec.MAX_MESSAGE_BYTES:
            raise BadInput(f"is {len(data)} bytes, at most {codec.MAX_MESSAGE_BYTES} fit", field=subject)
        headers = _headers() | {codec.HEADER_MESSAGE_ID: message_id}
        reason: object = "no time"
        try:
            async with asyncio.timeout(timeout_s), self._in_flight:
                while True:
                    try:
                        ack = await self._js.publish(
                            subject, data, timeout=min(APPEND_TRY_S, timeout_s), headers=headers
                        )
                        return int(ack.seq)
                    except (nats.errors.Error, APIError, NoStreamResponseError) as error:
                        reason = error or type(error).__name__
                        metrics.BUS_RETRIES.inc()
                        await asyncio.sleep(random.uniform(0.05, 0.2))
        except TimeoutError as error:
            metrics.BUS_DROPPED.labels("not_acknowledged").inc()
            raise BusUnavailable(f"{subject} was not acknowledged within {timeout_s:g} s: {reason}") from error

    async def observe(self, observation: Observation, timeout_s: float = 10.0) -> int:
        """Append an observation to the log under its own subject and id. Returns its log sequence."""
        o = observation
        message_id = codec.message_id(o.session, o.source, o.seq, o.kind)
        return await self.append(subjects.log(o.session, o.kind), o, message_id, timeout_s)

    async def request(self, subject: str, message: msgspec.Struct, reply: type[T], timeout_s: float) -> T:
        """Ask and decode the answer.

        Raises:
            NoResponders: nobody serves the subject.
            BusUnavailable: no answer within `timeout_s`, or NATS is away.
            BadMessage: the answer does not decode.
        """
        try:
            answer = await self._client.request(subject, codec.encode(message), timeout=timeout_s, headers=_headers())
        except nats.errors.NoRespondersError as error:
            raise NoResponders(f"nobody serves {subject}") from error
        except nats.errors.Error as error:
            raise BusUnavailable(f"{subject}: {error}") from error
        return codec.decode(answer.data, reply)

    async def gather(
        self, subject: str, message: msgspec.Struct, reply: type[T], timeout_s: float, limit: int
    ) -> list[T]:
        """Ask everybody and decode the answers that come within `timeout_s`, at most `limit`; others are left out.

        Raises:
            BusUnavailable: NATS is away.
        """
        inbox = self._client.new_inbox()
        found: list[T] = []
        async with self.subscribe(inbox, limit=limit) as answers:
            try:
                await self._client.publish(subject, codec.encode(message), reply=inbox, headers=_headers())
            except nats.errors.Error as error:
                raise BusUnavailable(f"{subject}: {error}") from error
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    async for answer in answers:
                        with contextlib.suppress(BadMessage):
                            found.append(codec.decode(answer.data, reply))
                        if len(found) == limit:
                            break
        return found

    async def dead_letter(self, room: str, delivery: Delivery, error: Exception) -> None:
        """Put a message that cannot be decoded aside with its bytes, count it, and never see it again."""
        metrics.DEAD_LETTERS.labels(room).inc()
        log.warning(
            "bus.dead_letter", for_room=room, subject=delivery.subject, seq=delivery.seq, error=type(error).__name__
        )
        subject = subjects.dead_of(room, delivery.subject)
        headers = {"Candor-Subject": delivery.subject, "Candor-Error": _header_text(error)}
        try:
            await self._js.publish(subject, delivery.data, timeout=APPEND_TRY_S, headers=headers)
        except (nats.errors.Error, APIError, NoStreamResponseError) as failure:
            # Unacknowledged, it is delivered again and put aside then.
            raise BusUnavailable(f"{subject}: {failure}") from failure
        await delivery.term()

    # Receiving.

    def subscribe(self, subject: str, queue: str = "", limit: int = 256) -> Subscription:
        """Core subscription as an async context manager; `queue` shares the messages among a group."""
        return Subscription(self._client, subject, queue, limit)

    async def consumer(self, stream: str, durable: str) -> Consumer:
        """A durable consumer of the topology. Those of the fold are ordered: see `Consumer`."""
        return Consumer(self._connection, stream, durable, ordered=durable.startswith(ORDERED_PREFIX))

    def follow(self, stream: str, subject: str, from_seq: int = 1) -> Follow:
        """Read in order from a sequence on, and go on with what comes."""
        return Follow(self._connection, stream, subject, from_seq)

    async def read(
        self, stream: str, subject: str, from_seq: int = 1, until_seq: int | None = None, *, timeout_s: float = 30.0
    ) -> AsyncIterator[Delivery]:
        """History in order, from `from_seq` to `until_seq` (None: what is there at the call).

        Raises:
            BusUnavailable: NATS stayed silent for `timeout_s`.
        """
        end = until_seq if until_seq is not None else (await self.info(stream)).last_seq
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        async with self.follow(stream, subject, from_seq) as follow:
            while True:
                batch = await follow.next(READ_BATCH, 0.0)
                for delivery in batch:
                    if delivery.seq > end:
                        return
                    yield delivery
                if batch:
                    deadline = loop.time() + timeout_s
                    if batch[-1].seq >= end:
                        return
                elif follow.opened:
                    return
                elif loop.time() > deadline:
                    raise BusUnavailable(f"{stream} did not answer for {timeout_s:g} s")

    async def last(self, stream: str, subject: str) -> Delivery | None:
        """The newest message on an exact subject, or None."""
        try:
            msg = await self._js.get_last_msg(stream, subject)
        except NotFoundError:
            return None
        except (nats.errors.Error, APIError) as error:
            raise BusUnavailable(f"{stream} {subject}: {error}") from error
        return Delivery(subject, msg.data or b"", msg.headers or {}, seq=msg.seq or 0)

    # Looking after streams.

    async def info(self, stream: str, subject: str = "") -> StreamState:
        """Counts of a stream; with a subject filter also the messages per subject."""
        try:
            info = await self._js.stream_info(stream, subjects_filter=subject or None)
        except (nats.errors.Error, APIError) as error:
            raise BusUnavailable(f"{stream}: {error}") from error
        state = info.state
        return StreamState(state.messages, state.first_seq, state.last_seq, state.subjects or {})

    async def purge(self, stream: str, subject: str) -> int:
        """Erase every message that matches the filter; returns how many those were, others writing or not."""
        # nats-py's own purge_stream keeps the server's count to itself.
        request = json.dumps({"filter": subject}).encode()
        try:
            answer = await self._client.request(f"$JS.API.STREAM.PURGE.{stream}", request, timeout=API_TIMEOUT_S)
        except nats.errors.Error as error:
            raise BusUnavailable(f"{stream} {subject}: {error}") from error
        reply = json.loads(answer.data)
        if "error" in reply:
            raise BusUnavailable(f"{stream} {subject}: {reply['error'].get('description', 'refused')}")
        return int(reply["purged"])

    async def delete_message(self, stream: str, seq: int) -> None:
        """Erase one message; it is no error if it is gone already."""
        try:
            await self._js.delete_msg(stream, seq)
        except (NotFoundError, APIError) as error:
            if getattr(error, "code", None) not in (404, 400, 500):
                raise BusUnavailable(f"{stream}#{seq}: {error}") from error
        except nats.errors.Error as error:
            raise BusUnavailable(f"{stream}#{seq}: {error}") from error

    async def bucket(self, name: str) -> Bucket:
        """A key-value bucket of the topology."""
        return await open_bucket(self._js, name, lambda s, f: Follow(self._connection, s, f, 1, newest=True))

    async def objects(self, name: str) -> Objects:
        """An object store of the topology."""
        return await open_objects(self._js, name)


def _headers() -> dict[str, str]:
    headers = {codec.HEADER_SCHEMA: codec.SCHEMA_VERSION}
    if parent := tracing.current():
        headers[codec.HEADER_TRACE] = parent
    return headers


def _header_text(error: Exception) -> str:
    # Only the kind and the first words: a decoder's message can quote the data, and headers take no line breaks.
    return f"{type(error).__name__}: {error}".replace("\r", " ").replace("\n", " ")[:200]

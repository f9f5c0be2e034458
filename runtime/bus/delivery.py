"""A message as it comes off the bus, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import nats.errors
from nats.aio.msg import Msg

from proto import codec
from proto.errors import BusUnavailable

_DISCONNECTED = (nats.errors.ConnectionClosedError, nats.errors.OutboundBufferLimitError)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message. `seq` is its stream sequence (0 outside a stream), `delivered` 1 the first time it is handed out,
    `unix_s` when the server stored it (0.0 outside a stream), `place` its position in the consumer's own count.

    An acknowledgement that cannot be sent raises BusUnavailable: the message will come again, which every reader
    allows for.
    """

    subject: str
    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    seq: int = 0
    delivered: int = 1
    unix_s: float = 0.0
    place: int = 0
    _msg: Msg | None = None

    @classmethod
    def of(cls, msg: Msg) -> Delivery:
        headers = msg.headers or {}
        if not msg.reply.startswith("$JS.ACK"):
            return cls(msg.subject, msg.data, headers, _msg=msg)
        meta = msg.metadata
        return cls(
            msg.subject,
            msg.data,
            headers,
            seq=meta.sequence.stream,
            delivered=meta.num_delivered,
            unix_s=meta.timestamp.timestamp(),
            place=meta.sequence.consumer,
            _msg=msg,
        )

    async def ack(self) -> None:
        """Done: never deliver it again."""
        await self._answer(b"+ACK")

    async def nak(self, delay_s: float = 0.0) -> None:
        """Not now: deliver it again after `delay_s`."""
        await self._answer(b'-NAK {"delay": %d}' % int(delay_s * 1e9) if delay_s else b"-NAK")

    async def term(self) -> None:
        """Never deliver it again, although it was not handled."""
        await self._answer(b"+TERM")

    async def in_progress(self) -> None:
        """Still at it: start the wait for the acknowledgement anew."""
        await self._answer(b"+WPI")

    async def respond(self, message: msgspec.Struct) -> None:
        """Answer a request."""
        await self._answer(codec.encode(message))

    async def _answer(self, payload: bytes) -> None:
        if self._msg is None or not self._msg.reply:
            return
        try:
            await self._msg._client.publish(self._msg.reply, payload)
        except _DISCONNECTED as error:
            raise BusUnavailable(f"cannot answer {self.subject}: {error}") from error

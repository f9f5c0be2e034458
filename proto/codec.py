"""Standard MessagePack in and out, and the headers every message carries."""

from __future__ import annotations

from types import UnionType
from typing import Any, TypeVar, overload

import msgspec

from proto.errors import BadMessage

SCHEMA_VERSION = "1"

HEADER_SCHEMA = "Candor-Schema"
HEADER_MESSAGE_ID = "Nats-Msg-Id"
"""JetStream drops a second message with the same id within the stream's duplicate window."""
HEADER_TRACE = "traceparent"

MAX_MESSAGE_BYTES = (1 << 20) - 4096
"""nats-server's default max_payload, less room for the headers that it counts too; a bigger message is not sent."""

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[object, msgspec.msgpack.Decoder[object]] = {}


def encode(message: msgspec.Struct) -> bytes:
    """MessagePack bytes of a message, with its type tag where the type has one."""
    return _encoder.encode(message)


@overload
def decode(data: bytes, kind: type[T]) -> T: ...
@overload
def decode(data: bytes, kind: UnionType) -> Any: ...
def decode(data: bytes, kind: type[T] | UnionType) -> T | Any:
    """Message of type `kind` (a Struct or a tagged union of them) from bytes; unknown fields are ignored.

    Raises:
        BadMessage: the bytes are not MessagePack, or not of this type. The error keeps the bytes.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # What no field takes is skipped level by level, so a few kilobytes can nest deeper than the stack.
        raise BadMessage(str(error), data) from error


def message_id(session: str, source: str, seq: int, kind: str) -> str:
    """Id by which the log recognises the same observation published twice."""
    return f"{session}:{source}:{seq}:{kind}"

"""W3C trace context (https://www.w3.org/TR/trace-context/) carried through the pipe in message headers.

A trace begins where something enters Candor (an HTTP request, a sampled frame) and follows it through every service,
so that one identifier finds all log lines of one frame.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from proto.codec import HEADER_TRACE

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_current: ContextVar[str] = ContextVar("traceparent", default="")


def new() -> str:
    """A fresh traceparent, sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def current() -> str:
    """The traceparent of what is being handled, or "" outside any trace."""
    return _current.get()


def trace_id() -> str:
    """The 32 hex digits of the current trace, or "" outside any trace."""
    return current()[3:35]


@contextmanager
def of(headers: Mapping[str, str]) -> Iterator[str]:
    """Continue the trace of these headers; begin one if they carry none, or a malformed one."""
    parent = headers.get(HEADER_TRACE, "")
    match = _TRACEPARENT.fullmatch(parent)
    token = _current.set(f"00-{match[1]}-{secrets.token_hex(8)}-01" if match else new())
    try:
        yield _current.get()
    finally:
        _current.reset(token)

"""Logs: an event name, then key=value. JSON for machines, colours for a terminal.

Personal data (names, transcript text, addresses) may only stand under keys that begin with `pii_`, and those are cut
out unless an operator asks for them; session ids are not personal data.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

from runtime import tracing

LogFormat = Literal["auto", "console", "json"]


def _trace(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if trace := tracing.trace_id():
        event["trace"] = trace
    return event


def _cut_personal(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in [key for key in event if key.startswith("pii_")]:
        event[key] = "(cut)"
    return event


def configure(service: str, form: LogFormat = "auto", level: str = "info", *, show_pii: bool = False) -> None:
    """Set up the process's log on stderr. `auto` is console on a terminal and JSON elsewhere."""
    stream: TextIO = sys.stderr
    console = form == "console" or (form == "auto" and stream.isatty())
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f" if console else "iso", utc=not console),
        _trace,
    ]
    if not show_pii:
        processors.append(_cut_personal)
    if console:
        processors.append(
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(),
                pad_event_to=28,
                # The default one prints the locals, and with them SDP, addresses and words.
                exception_formatter=structlog.dev.plain_traceback,
            )
        )
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # Libraries log through the standard module: their warnings matter, their chatter does not.
    logging.basicConfig(level=max(number, logging.WARNING), stream=stream, format="%(levelname)s %(name)s: %(message)s")


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Logger of one room or file."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(room=name)
    return logger

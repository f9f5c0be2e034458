"""Waiting for a condition with a deadline: tests never sleep and hope."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], T | Awaitable[T]], timeout_s: float = 5.0, what: str = "") -> T:
    """The condition's first truthy value; asked every few milliseconds, fails after `timeout_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    value = None
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if loop.time() > deadline:
            raise AssertionError(
                f"{what or inspect.getsource(condition).strip()} not within {timeout_s} s; last: {value!r}"
            )
        await asyncio.sleep(0.005)

"""Chromium for the tests of the pages. Without one they are skipped, with a reason; in CI that is a failure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from playwright.async_api import expect

from tests.conftest import missing
from tests.support import chromium

Launch = Callable[..., Awaitable[chromium.Watched]]

expect.set_options(timeout=15_000)


@pytest.fixture
async def launch() -> AsyncIterator[Launch]:
    """Starts browsers with the flags a test needs; at its end all are closed, and none may have had a fault."""
    path = chromium.binary()
    if path is None:
        missing("Chromium")
        raise AssertionError
    watched: list[chromium.Watched] = []
    async with AsyncExitStack() as stack:

        async def start(*flags: str) -> chromium.Watched:
            watched.append(await stack.enter_async_context(chromium.chromium(path, flags)))
            return watched[-1]

        yield start
    assert [fault for browser in watched for fault in browser.faults] == []


@pytest.fixture
async def browser(launch: Launch) -> chromium.Watched:
    """A browser without camera or microphone."""
    return await launch()

"""A real api on a free port, for tests of every room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from api.app import create_app
from api.parts import Parts
from api.service import serve_on
from api.settings import ApiSettings
from runtime.bus import Bus
from runtime.health import listen

STANDARD = 'name = "standard"\ndescription = "For tests of the api alone."\n'


def a_policy_dir(folder: Path, **policies: str) -> Path:
    """A folder of policies for tests that do not care what is in them: `standard`, and what is given."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"standard": STANDARD, **policies}.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


@asynccontextmanager
async def running_api(bus: Bus, settings: ApiSettings | None = None) -> AsyncIterator[str]:
    """Serve the api over `bus` on a free loopback port; gives its base URL. Ready when it is given."""
    async with running_parts(bus, settings) as (base_url, _):
        yield base_url


@asynccontextmanager
async def running_parts(bus: Bus, settings: ApiSettings | None = None) -> AsyncIterator[tuple[str, Parts]]:
    """The same, with the app's inner parts, for the tests of the api itself."""
    app = create_app(settings or ApiSettings(), bus)
    parts: Parts = app.state.parts
    stop = asyncio.Event()
    sock = listen("127.0.0.1", 0)
    serving = asyncio.create_task(serve_on(sock, app, stop))
    try:
        ready = asyncio.gather(parts.hub.subscribed.wait(), parts.listing.wait_ready())
        await asyncio.wait({serving, ready}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert ready.done(), "the api did not get ready"
        await ready
        yield f"http://127.0.0.1:{sock.getsockname()[1]}", parts
    finally:
        stop.set()
        await asyncio.wait_for(serving, 20)
        sock.close()


async def create(http: httpx.AsyncClient, **body: object) -> dict[str, str]:
    """A new session's answer."""
    answer = await http.post("/v1/sessions", json=body)
    assert answer.status_code == 201, answer.text
    created: dict[str, str] = answer.json()
    return created


def assert_problem(answer: httpx.Response, status: int, *said: str) -> None:
    """The answer is a whole problem of this status, and says these words."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:candor:problem:")
    assert problem["title"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    for words in said:
        assert words in answer.text

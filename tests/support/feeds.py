"""A reader of server-sent events, written from the standard's own grammar (WHATWG HTML, 9.2.5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection


@dataclass
class Told:
    """One event as it was read."""

    event: str = "message"
    id: str = ""
    data: Any = None


@dataclass
class SseReader:
    """Events of one response; `comments` and `retry_ms` are what came beside them."""

    lines: AsyncIterator[str]
    last_event_id: str = ""
    retry_ms: int | None = None
    comments: int = 0
    seen: list[Told] = field(default_factory=list)

    async def next(self, timeout_s: float = 5.0) -> Told | None:
        """The next event; None at the end of the stream. Fails after `timeout_s`."""
        async with asyncio.timeout(timeout_s):
            name, data = "", []
            async for line in self.lines:
                if line.startswith(":"):
                    self.comments += 1
                elif not line:
                    if data:
                        told = Told(name or "message", self.last_event_id, json.loads("\n".join(data)))
                        self.seen.append(told)
                        return told
                    name = ""
                else:
                    key, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    if key == "event":
                        name = value
                    elif key == "data":
                        data.append(value)
                    elif key == "id":
                        self.last_event_id = value
                    elif key == "retry":
                        self.retry_ms = int(value)
            return None

    async def until(self, event: str, timeout_s: float = 5.0) -> Told:
        """The next event of this name; fails if the stream ends first."""
        async with asyncio.timeout(timeout_s):
            while (told := await self.next(timeout_s)) is not None:
                if told.event == event:
                    return told
        raise AssertionError(f"the feed ended before {event}; seen: {[item.event for item in self.seen]}")


@asynccontextmanager
async def sse(client: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[SseReader]:
    """Open a feed; fails if it is refused."""
    async with client.stream("GET", path, headers=headers, timeout=httpx.Timeout(10, read=30)) as response:
        assert response.status_code == 200, (response.status_code, await response.aread())
        assert response.headers["content-type"].startswith("text/event-stream")
        yield SseReader(response.aiter_lines())


def ws_url(http: httpx.AsyncClient, path: str) -> str:
    return str(http.base_url).replace("http", "ws", 1).rstrip("/") + path


async def frame(websocket: ClientConnection, timeout_s: float = 5.0) -> dict[str, object]:
    """The next frame that is no keep-alive."""
    async with asyncio.timeout(timeout_s):
        while True:
            told: dict[str, object] = json.loads(await websocket.recv())
            if told["event"] != "keepalive":
                return told

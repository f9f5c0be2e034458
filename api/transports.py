"""A live feed on the wire: server-sent events or WebSocket. Both end a reader that is too slow, however stuck it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from api import metrics
from api.feed import KEEPALIVE, Ending
from api.watching import Watching

RECONNECT_MS = 1000
CLOSE_CODES: dict[Ending, tuple[int, str]] = {
    "slow": (1013, "read too slowly; come back with the last event id"),
    "stopping": (1012, "the server is stopping; come back"),
    "deleted": (1000, "the session was erased"),
}


class EventStream(Response):
    """Response that is a feed as server-sent events."""

    media_type = "text/event-stream"

    def __init__(self, watching: Watching, cut_grace_s: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._watching = watching
        self._cut_grace_s = cut_grace_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        async def write(data: bytes, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": more})

        async def tell() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await write(b"retry: %d\n\n" % RECONNECT_MS)
            async for event in self._watching.events():
                await write(b":\n\n" if event is KEEPALIVE else event.sse())
            await write(b"", more=False)

        async def until_gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        with metrics.WATCHERS.labels("sse").track_inprogress():
            await _pump(self._watching, tell, until_gone, self._cut_grace_s)


async def serve_socket(websocket: WebSocket, watching: Watching, cut_grace_s: float) -> None:
    """Accept a WebSocket and feed it. What the client sends is ignored."""

    async def tell() -> None:
        await websocket.accept()
        async for event in watching.events():
            await websocket.send_text(event.frame())
        code, reason = CLOSE_CODES[watching.watcher.ending or "stopping"]
        await websocket.close(code, reason)

    async def until_gone() -> None:
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass

    with metrics.WATCHERS.labels("websocket").track_inprogress():
        await _pump(watching, tell, until_gone, cut_grace_s)


async def _pump(
    watching: Watching,
    tell: Callable[[], Awaitable[None]],
    until_gone: Callable[[], Awaitable[None]],
    cut_grace_s: float,
) -> None:
    """Run `tell` until it is done, the client is gone, or the watcher has ended and the grace is over."""
    telling = asyncio.ensure_future(tell())
    gone = asyncio.ensure_future(until_gone())
    ended = asyncio.ensure_future(watching.watcher.ended.wait())
    parts: set[asyncio.Future[Any]] = {telling, gone, ended}
    try:
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not telling.done():
            # A reader that still takes data learns why it ends; one whose socket is full does not hold us.
            await asyncio.wait({telling, gone}, timeout=cut_grace_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watching.close()
        for part in parts:
            part.cancel()
        await asyncio.wait(parts)
    for part in (telling, gone):
        if not part.cancelled() and (error := part.exception()) and not isinstance(error, WebSocketDisconnect):
            raise error

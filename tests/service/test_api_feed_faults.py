"""Live feeds on bad days: slow readers, too many, a server that stops, a broker that is restarted."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import httpx
import pytest
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed

from api import metrics
from api.app import create_app
from api.feed import Event
from api.service import serve_on
from api.settings import ApiSettings
from proto import subjects
from proto.errors import BusUnavailable
from proto.views import Changed
from runtime.bus import Bus
from runtime.health import listen
from tests.support.api import running_api, running_parts
from tests.support.feeds import SseReader, frame, sse, ws_url
from tests.support.nats import NatsServer
from tests.support.views import a_view, store, tell
from tests.support.wait import eventually


def stuck_client(http: httpx.AsyncClient, path: str, *headers: str) -> socket.socket:
    """A connection that asks for a feed and never reads a byte of it."""
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    stuck.connect((http.base_url.host, http.base_url.port))
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", "")
    stuck.sendall("\r\n".join(lines).encode())
    return stuck


UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.mark.parametrize(("suffix", "headers"), [("", ()), ("/ws", UPGRADE)])
async def test_a_slow_reader_is_cut_and_the_others_go_on(bus: Bus, suffix: str, headers: tuple[str, ...]) -> None:
    await store(bus, a_view("s1", 1))
    settings = ApiSettings(watcher_events=16, cut_grace_s=0.1)
    cut = metrics.WATCHERS_CUT._value.get()
    async with (
        running_parts(bus, settings) as (base_url, parts),
        httpx.AsyncClient(base_url=base_url) as http,
        sse(http, "/v1/sessions/s1/feed") as feed,
    ):
        await feed.next()
        stuck = stuck_client(http, f"/v1/sessions/s1/feed{suffix}", *headers)
        await eventually(lambda: parts.hub._count == 2)
        seq = 1
        while metrics.WATCHERS_CUT._value.get() == cut:
            seq += 1
            assert seq < 2000, "the slow reader was never cut"
            await tell(bus, a_view("s1", seq, label="x" * 40_000))
            told = await feed.next()
            assert told is not None
            assert told.id == str(seq)
        # It holds nothing any more, although its socket is still full.
        await eventually(lambda: parts.hub._count == 1)
        await tell(bus, a_view("s1", seq + 1))
        assert (await feed.next()).id == str(seq + 1)  # type: ignore[union-attr]
        stuck.close()


async def test_a_reader_that_fell_behind_is_told_why(bus: Bus) -> None:
    await store(bus, a_view("s1", 1))
    settings = ApiSettings(watcher_events=4, cut_grace_s=5)
    async with (
        running_parts(bus, settings) as (base_url, parts),
        httpx.AsyncClient(base_url=base_url) as http,
        sse(http, "/v1/sessions/s1/feed") as feed,
        connect_socket(ws_url(http, "/v1/sessions/s1/feed/ws")) as websocket,
    ):
        await feed.next()
        await frame(websocket)
        # More at once than the queue holds, before any reader gets its turn.
        for watcher in parts.hub._watchers():
            for seq in range(2, 7):
                watcher.offer(Event("changed", "s1", b"{}", seq))
        assert (await feed.next()).event == "cut"  # type: ignore[union-attr]
        assert await feed.next() is None
        assert (await frame(websocket))["event"] == "cut"
        with pytest.raises(ConnectionClosed) as closed:
            await frame(websocket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013


async def test_one_too_many_watchers_is_refused_and_places_come_free(bus: Bus) -> None:
    await store(bus, a_view("s1", 1))
    async with (
        running_parts(bus, ApiSettings(max_watchers=2)) as (base_url, parts),
        httpx.AsyncClient(base_url=base_url) as http,
    ):
        async with sse(http, "/v1/sessions/s1/feed") as one, sse(http, "/v1/feed") as two:
            await one.next()
            await two.next()
            refused = await http.get("/v1/sessions/s1/feed")
            assert refused.status_code == 503
            assert "retry-after" in refused.headers
        await eventually(lambda: parts.hub._count == 0)
        # A refusal for another reason holds no place either.
        for _ in range(5):
            assert (await http.get("/v1/sessions/nobody/feed")).status_code == 404
        async with sse(http, "/v1/sessions/s1/feed") as again:
            await again.next()


async def test_stopping_ends_feeds_and_finishes_requests(bus: Bus) -> None:
    await store(bus, a_view("s1", 1))
    app = create_app(ApiSettings(), bus)
    stop = asyncio.Event()
    sock = listen("127.0.0.1", 0)
    serving = asyncio.create_task(serve_on(sock, app, stop))
    base_url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=base_url) as http:
        async with (
            sse(http, "/v1/sessions/s1/feed") as feed,
            connect_socket(ws_url(http, "/v1/sessions/s1/feed/ws")) as websocket,
        ):
            await feed.next()
            await frame(websocket)
            # What connections inherit: where the protocol is named, asyncio sends small answers at once.
            assert sock.proto == socket.IPPROTO_TCP
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            stop.set()
            assert await feed.next() is None
            with pytest.raises(ConnectionClosed) as closed:
                await frame(websocket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        await asyncio.wait_for(serving, 5)
    with contextlib.suppress(OSError):
        sock.close()


async def read_until(feed: SseReader, seq: int) -> None:
    while (told := await feed.next(20)) is not None:
        if told.id == str(seq):
            return
    raise AssertionError("the feed ended")


async def test_nats_is_restarted_and_everything_recovers(nats_server: NatsServer, bus: Bus) -> None:
    settings = ApiSettings(bus_timeout_s=1.0)
    async with running_api(bus, settings) as base_url, httpx.AsyncClient(base_url=base_url, timeout=15) as http:
        session = (await http.post("/v1/sessions")).json()["id"]
        await store(bus, a_view(session, 10))
        async with (
            sse(http, f"/v1/sessions/{session}/feed") as feed,
            sse(http, "/v1/feed") as everything,
            connect_socket(ws_url(http, f"/v1/sessions/{session}/feed/ws")) as websocket,
        ):
            await feed.next()
            await frame(websocket)
            nats_server.stop()
            await eventually(lambda: not bus.connected)
            for method, path in (
                ("POST", "/v1/sessions"),
                ("GET", "/v1/sessions"),
                ("GET", f"/v1/sessions/{session}"),
                ("GET", f"/v1/sessions/{session}/transcript"),
                ("GET", f"/v1/sessions/{session}/feed"),
                ("DELETE", f"/v1/sessions/{session}"),
                ("GET", "/readyz"),
            ):
                answer = await http.request(method, path)
                assert answer.status_code == 503, (method, path, answer.text)
            assert (await http.get("/healthz")).status_code == 200
            nats_server.start()
            # Stored while nobody could tell: found by the snapshot that follows a reconnect.
            await eventually(lambda: bus.connected, 10)

            async def stored() -> bool:
                try:
                    await store(bus, a_view(session, 20))
                except BusUnavailable:
                    return False
                return True

            await eventually(stored, 10)
            await bus.publish(subjects.live(session), Changed(session=session, seq=21, view=a_view(session, 21)))
            await read_until(feed, 21)
            await read_until(everything, 21)
            while (await frame(websocket, 20))["id"] != 21:
                pass

        async def created() -> bool:
            return (await http.post("/v1/sessions")).status_code == 201

        await eventually(created, 10)
        assert (await http.get("/readyz")).status_code == 200

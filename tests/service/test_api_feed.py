"""Live feeds over real sockets: snapshot and changes without a gap, resuming, slow readers, restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed

from api import metrics
from api.parts import Parts
from api.settings import ApiSettings
from proto import subjects
from proto.views import Changed, Committed, Deleted, Tentative
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support.api import running_api, running_parts
from tests.support.feeds import frame, sse, ws_url
from tests.support.views import a_line, a_view, store, tell
from tests.support.wait import eventually

FAST = ApiSettings(keepalive_s=0.1, cut_grace_s=0.2)


@pytest.fixture
async def api(bus: Bus) -> AsyncIterator[tuple[httpx.AsyncClient, Parts]]:
    async with (
        running_parts(bus) as (base_url, parts),
        httpx.AsyncClient(base_url=base_url, timeout=10) as client,
    ):
        yield client, parts


@pytest.fixture
def http(api: tuple[httpx.AsyncClient, Parts]) -> httpx.AsyncClient:
    return api[0]


async def test_snapshot_then_changes_on_both_wires(http: httpx.AsyncClient, bus: Bus) -> None:
    await store(bus, a_view("s1", 5, score=1.0))
    async with (
        sse(http, "/v1/sessions/s1/feed") as feed,
        connect_socket(ws_url(http, "/v1/sessions/s1/feed/ws")) as websocket,
    ):
        first, first_frame = await feed.next(), await frame(websocket)
        assert first is not None
        assert (first.event, first.id, first.data["score"]) == ("snapshot", "5", 1.0)
        assert (first_frame["event"], first_frame["id"]) == ("snapshot", 5)
        assert first_frame["data"] == first.data
        await tell(bus, a_view("s1", 8, score=21.0, ledger=(a_line(8),)))
        await bus.publish(subjects.live("s1"), Tentative(session="s1", utterance=1, start_s=2.0, text="so the"))
        committed = Committed(session="s1", utterance=1, start_s=2.0, end_s=3.0, text="So the cache")
        await bus.publish(subjects.live("s1"), committed)
        told = [await feed.next() for _ in range(3)]
        frames = [await frame(websocket) for _ in range(3)]
        assert [item.event for item in told if item] == ["changed", "tentative", "committed"]
        # Words have no log sequence: what would be resumed from stays the last change.
        assert [item.id for item in told if item] == ["8", "8", "8"]
        assert [item["id"] for item in frames] == [8, None, None]
        assert [item["data"] for item in frames] == [item.data for item in told if item]
        assert told[0] is not None
        assert told[0].data["view"]["ledger"][0]["seq"] == 8
        assert feed.retry_ms is not None


async def test_what_the_snapshot_holds_is_not_told_again(http: httpx.AsyncClient, bus: Bus) -> None:
    await store(bus, a_view("s1", 10))
    async with sse(http, "/v1/sessions/s1/feed") as feed:
        assert (await feed.next()).id == "10"  # type: ignore[union-attr]
        for seq in (9, 10, 11, 11, 10, 12):
            await bus.publish(subjects.live("s1"), Changed(session="s1", seq=seq, view=a_view("s1", seq)))
        assert [(await feed.next()).id for _ in range(2)] == ["11", "12"]  # type: ignore[union-attr]


async def test_nothing_falls_between_snapshot_and_changes(http: httpx.AsyncClient, connect: Connect) -> None:
    writer = await connect()
    await store(writer, a_view("s1", 1))
    stop = asyncio.Event()
    last = 1

    async def go_on() -> None:
        nonlocal last
        while not stop.is_set():
            last += 1
            await tell(writer, a_view("s1", last, ledger=(a_line(last),)))

    writing = asyncio.create_task(go_on())
    try:
        for _ in range(8):
            async with sse(http, "/v1/sessions/s1/feed") as feed:
                ids = [int((await feed.next()).id) for _ in range(10)]  # type: ignore[union-attr]
                assert ids == list(range(ids[0], ids[0] + 10))
    finally:
        stop.set()
        await writing


async def test_resuming_with_nothing_newer_repeats_nothing(http: httpx.AsyncClient, bus: Bus) -> None:
    await store(bus, a_view("s1", 10))
    path = "/v1/sessions/s1/feed"
    for feed_path, headers in ((path, {"Last-Event-ID": "10"}), (f"{path}?last_event_id=10", {})):
        async with sse(http, feed_path, **headers) as feed:
            await eventually(lambda: metrics.WATCHERS.labels("sse")._value.get() >= 1)
            await tell(bus, a_view("s1", 11))
            told = await feed.next()
            assert told is not None
            assert (told.event, told.id) == ("changed", "11")
        await store(bus, a_view("s1", 10))
    async with connect_socket(ws_url(http, f"{path}/ws?last_event_id=10")) as websocket:
        await tell(bus, a_view("s1", 12))
        assert (await frame(websocket))["event"] == "changed"


async def test_resuming_gets_what_was_missed_recognisably(http: httpx.AsyncClient, bus: Bus) -> None:
    await tell(bus, a_view("s1", 20, ledger=(a_line(3), a_line(15), a_line(19))))
    for last_event_id in ("10", "x", ""):
        async with sse(http, "/v1/sessions/s1/feed", **{"Last-Event-ID": last_event_id}) as feed:
            told = await feed.next()
            assert told is not None
            assert (told.event, told.id) == ("snapshot", "20")
            assert [line["seq"] for line in told.data["ledger"] if line["seq"] > 10] == [15, 19]
    async with connect_socket(ws_url(http, "/v1/sessions/s1/feed/ws?last_event_id=10")) as websocket:
        assert (await frame(websocket))["event"] == "snapshot"


async def test_the_feed_of_all_begins_with_rows(http: httpx.AsyncClient, bus: Bus) -> None:
    for number in range(3):
        await store(bus, a_view(f"s{number}", 5 + number, label=f"L{number}"))

    async def listed() -> bool:
        return len((await http.get("/v1/sessions")).json()["sessions"]) == 3

    await eventually(listed)
    async with sse(http, "/v1/feed") as feed, connect_socket(ws_url(http, "/v1/feed/ws")) as websocket:
        rows = [await feed.next() for _ in range(3)]
        frames = [await frame(websocket) for _ in range(3)]
        assert {row.data["session"] for row in rows if row} == {"s0", "s1", "s2"}
        assert {item["event"] for item in frames} == {"snapshot"}
        assert all("ledger" not in row.data for row in rows if row)
        created = (await http.post("/v1/sessions", json={"label": "new"})).json()["id"]
        await tell(bus, a_view("s1", 30))
        await tell(bus, a_view(created, 31))
        for session in ("s1", created):
            told = await feed.until("changed")
            assert told.data["session"] == session


async def test_an_erased_session_ends_its_feeds(http: httpx.AsyncClient, bus: Bus) -> None:
    await store(bus, a_view("s1", 5))
    async with (
        sse(http, "/v1/sessions/s1/feed") as feed,
        sse(http, "/v1/feed") as everything,
        connect_socket(ws_url(http, "/v1/sessions/s1/feed/ws")) as websocket,
    ):
        await feed.next()
        await frame(websocket)
        await bus.publish(subjects.live("s1"), Deleted(session="s1"))
        assert (await feed.next()).event == "deleted"  # type: ignore[union-attr]
        assert await feed.next() is None
        assert (await everything.until("deleted")).data["session"] == "s1"
        assert (await frame(websocket))["event"] == "deleted"
        with pytest.raises(ConnectionClosed) as closed:
            await frame(websocket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000


async def test_a_silent_feed_says_that_it_lives(bus: Bus) -> None:
    await store(bus, a_view("s1", 5))
    async with running_api(bus, FAST) as base_url, httpx.AsyncClient(base_url=base_url) as http:
        async with sse(http, "/v1/sessions/s1/feed") as feed:
            await feed.next()
            for seq in (6, 7):
                await asyncio.sleep(0.35)
                await tell(bus, a_view("s1", seq))
                await feed.next()
            assert feed.comments >= 2
        async with connect_socket(ws_url(http, "/v1/sessions/s1/feed/ws")) as websocket:
            assert json.loads(await websocket.recv())["event"] == "snapshot"
            assert json.loads(await websocket.recv())["event"] == "keepalive"


async def test_what_a_client_sends_is_ignored_and_bounded(http: httpx.AsyncClient, bus: Bus) -> None:
    await store(bus, a_view("s1", 1))
    async with connect_socket(ws_url(http, "/v1/sessions/s1/feed/ws")) as websocket:
        await frame(websocket)
        for _ in range(100):
            await websocket.send("hello")
        await tell(bus, a_view("s1", 2))
        assert (await frame(websocket))["id"] == 2
        await websocket.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as closed:
            await frame(websocket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_a_bad_message_is_counted_and_the_feed_goes_on(http: httpx.AsyncClient, bus: Bus) -> None:
    await store(bus, a_view("s1", 1))
    unreadable = metrics.FEED_UNREADABLE._value.get()
    async with sse(http, "/v1/sessions/s1/feed") as feed:
        await feed.next()
        await bus._client.publish(subjects.live("s1"), b"\xc1")
        await tell(bus, a_view("s1", 2))
        assert (await feed.next()).id == "2"  # type: ignore[union-attr]
    assert metrics.FEED_UNREADABLE._value.get() == unreadable + 1


@pytest.mark.parametrize("path", ["/v1/sessions/s1/feed", "/v1/feed"])
async def test_a_change_that_was_stored_but_never_told_is_caught_up(bus: Bus, path: str) -> None:
    await store(bus, a_view("s1", 10))
    async with (
        running_parts(bus, FAST) as (base_url, parts),
        httpx.AsyncClient(base_url=base_url) as http,
        sse(http, path) as feed,
    ):
        assert (await feed.next()).id == "10"  # type: ignore[union-attr]
        # Its message on live.s1 is lost.
        await store(bus, a_view("s1", 15, score=30.0))
        told = await feed.next()
        assert told is not None
        assert (told.event, told.id, told.data["score"]) == ("snapshot", "15", 30.0)
        assert parts.hub._count == 1

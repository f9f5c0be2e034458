"""The command line's client against a server whose bad days are scripted, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from deploy import client as client_module
from deploy import watch
from deploy.client import Client, Event
from proto.errors import BadInput, NotFound, Refused, Unavailable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@dataclass
class Server:
    """Answers each connection with the next of `answers` (the last one for ever) and keeps the requests."""

    answers: list[bytes]
    url: str = ""
    requests: list[str] = field(default_factory=list)


@asynccontextmanager
async def serve(*answers: bytes) -> AsyncIterator[Server]:
    server = Server(list(answers))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        server.requests.append(head.decode())
        writer.write(server.answers.pop(0) if len(server.answers) > 1 else server.answers[0])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server


def problem(status: int, detail: str) -> bytes:
    body = f'{{"detail": "{detail}"}}'.encode()
    return f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


async def take(client: Client, count: int, session: str = "s1") -> list[Event]:
    events: list[Event] = []
    async with asyncio.timeout(20), aclosing(client.feed(session)) as feed:
        async for event in feed:
            events.append(event)
            if len(events) == count:
                break
    return events


async def test_events_are_read_with_name_id_and_data():
    stream = b': hello\n\nid: 7\nevent: changed\ndata: {"a":\ndata: 1}\n\nevent: keepalive\ndata: {}\n\n'
    async with serve(HEAD + stream) as server, Client(server.url, "secret") as client:
        events = await take(client, 2)
    assert events == [Event("changed", b'{"a":\n1}', "7"), Event("keepalive", b"{}")]
    assert "Authorization: Bearer secret" in server.requests[0]


async def test_a_broken_feed_is_taken_up_after_the_last_event_it_gave():
    first = HEAD + b"id: 7\nevent: changed\ndata: {}\n\nid: 8\nevent: chan"
    second = HEAD + b"id: 8\nevent: changed\ndata: {}\n\n"
    async with serve(first, second) as server, Client(server.url) as client:
        events = await take(client, 3)
    assert [event.name for event in events] == ["changed", "lost", "changed"]
    assert [event.id for event in events if event.name == "changed"] == ["7", "8"]
    assert "Last-Event-ID" not in server.requests[0]
    assert "Last-Event-ID: 7" in server.requests[1]


async def test_a_server_that_is_away_or_overloaded_is_asked_again():
    good = HEAD + b"id: 1\nevent: snapshot\ndata: {}\n\n"
    async with serve(problem(503, "starting"), good) as server, Client(server.url) as client:
        events = await take(client, 2)
    assert events[0] == Event("lost", b"starting")
    assert events[1].name == "snapshot"


async def test_a_cut_feed_says_nothing_of_its_own_and_comes_back():
    cut = HEAD + b"id: 3\nevent: changed\ndata: {}\n\nevent: cut\ndata: {}\n\n"
    async with serve(cut, HEAD + b"id: 4\nevent: snapshot\ndata: {}\n\n") as server, Client(server.url) as client:
        assert [event.name for event in await take(client, 3)] == ["changed", "lost", "snapshot"]


async def test_the_feed_of_an_erased_session_ends():
    async with serve(HEAD + b"event: deleted\ndata: {}\n\n") as server, Client(server.url) as client:
        async with asyncio.timeout(20):
            assert [event.name async for event in client.feed("s1")] == ["deleted"]


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (401, Refused), (403, Refused), (422, BadInput), (409, Refused)]
)
async def test_a_refusal_ends_the_feed_with_the_server_s_words(status, error):
    async with serve(problem(status, "no such thing")) as server, Client(server.url) as client:
        with pytest.raises(error, match="no such thing"):
            await take(client, 1)


async def test_an_endless_event_is_given_up(monkeypatch):
    monkeypatch.setattr(client_module, "MAX_EVENT_BYTES", 1000)
    endless = HEAD + b"data: x\n" * 2000
    async with serve(endless, HEAD + b"event: snapshot\ndata: {}\n\n") as server, Client(server.url) as client:
        events = await take(client, 2)
    assert b"larger than 1000 bytes" in events[0].data
    assert events[1].name == "snapshot"


async def test_nobody_there_is_unavailable_and_names_the_address():
    async with Client("http://127.0.0.1:9") as client:
        with pytest.raises(Unavailable, match=r"nothing answers at http://127\.0\.0\.1:9"):
            await client.create("x")


async def test_watching_one_session_ends_a_little_after_it(monkeypatch):
    monkeypatch.setattr(watch, "AFTERWARDS_S", 0.3)
    stream = b'event: snapshot\ndata: {"status": "live"}\n\nevent: changed\ndata: {"view": {"status": "ended"}}\n\n'
    async with serve(HEAD + stream) as server, Client(server.url) as client, asyncio.timeout(20):
        names = [event.name async for event in watch.until_over(client, "s1")]
    assert names[:2] == ["snapshot", "changed"]


async def test_something_that_is_not_candor_is_told_apart():
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>"
    async with serve(page) as server, Client(server.url) as client:
        with pytest.raises(Refused, match="is it Candor"):
            await client.get("s1")

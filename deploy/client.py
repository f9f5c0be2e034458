"""Client of Candor's HTTP API for the command line: sessions, reports, and a feed that outlives lost connections."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from proto.errors import BadInput, NotFound, Refused, Unavailable

REQUEST_S = 15.0
SILENCE_S = 45.0
"""A feed that said nothing for so long, not even that it lives, is dead."""
RETRY_S = (0.2, 5.0)
MAX_EVENT_BYTES = 4 << 20
MAX_ANSWER_BYTES = 64 << 20


@dataclass(frozen=True)
class Event:
    """One event of a feed; `data` is JSON. A `lost` event, with the reason as data, is ours: the connection broke."""

    name: str
    data: bytes
    id: str = ""


class Client:
    """Use inside `async with`."""

    def __init__(self, url: str, key: str = "") -> None:
        """`key` is an API key; empty where the server has none configured."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=httpx.Timeout(REQUEST_S))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def create(self, label: str, policy: str = "standard") -> dict[str, Any]:
        """A new session: id, token, whip_url and the other URLs."""
        return await self.call("POST", "/v1/sessions", {"label": label, "policy": policy})

    async def end(self, session: str) -> None:
        await self.call("POST", f"/v1/sessions/{session}/end")

    async def get(self, session: str, part: str = "") -> dict[str, Any]:
        """A session's state, or its `report`, `ledger`, `timeline`, `transcript`."""
        return await self.call("GET", f"/v1/sessions/{session}" + (f"/{part}" if part else ""))

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request and its JSON answer.

        Raises:
            Unavailable: nothing answers, or it says that it cannot now.
            NotFound, BadInput, Refused: what the server said, in its words.
        """
        try:
            response = await self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise Unavailable(f"nothing answers at {self.url} ({_reason(error)})") from error
        _check(response.status_code, response.content)
        try:
            answer = response.json()
        except ValueError as error:
            raise Refused(f"{self.url} does not answer in JSON: is it Candor?") from error
        if not isinstance(answer, dict):
            raise Refused(f"{self.url}{path} did not answer with an object: is it Candor?")
        return answer

    async def feed(self, session: str = "") -> AsyncGenerator[Event, None]:
        """Events of one session, or of all, for ever: a lost connection is reported as `lost` and taken up again where
        it broke. Ends when a session is deleted.

        Raises:
            NotFound, BadInput, Refused: the server will not have us, which asking again cannot change.
        """
        path = f"/v1/sessions/{session}/feed" if session else "/v1/feed"
        last_id, wait_s = "", RETRY_S[0]
        while True:
            try:
                async with aclosing(self._stream(path, last_id)) as events:
                    async for event in events:
                        last_id, wait_s = event.id or last_id, RETRY_S[0]
                        if event.name != "cut":
                            yield event
                        if event.name == "deleted" and session:
                            return
                reason = "the server ended the feed"
            except (httpx.TransportError, Unavailable) as error:
                reason = _reason(error)
            yield Event("lost", reason.encode())
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, RETRY_S[1])

    async def _stream(self, path: str, last_id: str) -> AsyncGenerator[Event, None]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
        timeout = httpx.Timeout(REQUEST_S, read=SILENCE_S)
        async with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.status_code != httpx.codes.OK:
                _check(response.status_code, await response.aread())
            fields: dict[str, list[str]] = {}
            size = 0
            async for line in response.aiter_lines():
                size += len(line)
                if size > MAX_EVENT_BYTES:
                    raise Unavailable(f"an event is larger than {MAX_EVENT_BYTES} bytes")
                if line:
                    name, _, value = line.partition(":")
                    fields.setdefault(name, []).append(value.removeprefix(" "))
                    continue
                event = _event(fields)
                fields, size = {}, 0
                if event is not None:
                    yield event


def _event(fields: Mapping[str, list[str]]) -> Event | None:
    """The event that these lines of a server-sent stream make; None for a comment."""
    if "data" not in fields:
        return None
    data = "\n".join(fields["data"]).encode()
    return Event(fields.get("event", ["message"])[-1], data, fields.get("id", [""])[-1])


def _check(status: int, body: bytes) -> None:
    """Raise what an unsuccessful answer means."""
    if status < httpx.codes.BAD_REQUEST:
        return
    detail = _detail(body) or f"HTTP status {status}"
    if status == httpx.codes.NOT_FOUND:
        raise NotFound(detail)
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise Refused(f"{detail} (an API key goes into CANDOR_API_KEY)")
    if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
        raise BadInput(detail)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Unavailable(detail)
    raise Refused(detail)


def _detail(body: bytes) -> str:
    """`detail` of a problem+json document, "" if it is not one."""
    try:
        problem = httpx.Response(200, content=body).json()
    except ValueError:
        return ""
    return str(problem.get("detail", "")) if isinstance(problem, dict) else ""


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__

"""Live feeds: server-sent events and WebSocket, of one session and of all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response
from starlette.websockets import WebSocket

from api import answers
from api.parts import Documented, NeedsFeed, Parts, SessionId, Uses
from api.transports import EventStream, serve_socket
from api.watching import Watching

router = APIRouter(tags=["feed"], dependencies=[Depends(NeedsFeed())])

EventId = Annotated[int | None, Query(ge=0, le=2**63, description="The same as the header Last-Event-ID, which wins.")]
EventIdHeader = Annotated[str, Header(alias="Last-Event-ID", max_length=20)]

_EXAMPLE = """retry: 1000

id: 418
event: snapshot
data: {"session":"1qx4z7mk3v9r2t8w","seq":418,"status":"live","score":24.8}

event: tentative
data: {"kind":"tentative","session":"1qx4z7mk3v9r2t8w","utterance":3,"start_s":62.0,"text":"so the cache"}

id: 423
event: changed
data: {"kind":"changed","session":"1qx4z7mk3v9r2t8w","seq":423,"view":{"score":24.3}}

"""
_RESPONSES = {
    200: {"description": "Events until the client leaves.", "content": {"text/event-stream": {"example": _EXAMPLE}}},
    **answers.refused(401, 403, 404, 422, 503),
}
_ABOUT = """Events: `snapshot` first, then `changed` (with only the ledger lines, episodes and alerts that are new),
`tentative` and `committed` words, `deleted` when the session is erased, `cut` when this feed is read too slowly.
An event's `id` is the log sequence it holds. With the last one given back as Last-Event-ID, a feed of one session
begins with what is newer, and repeats no snapshot when nothing is. A new snapshot may come at any time: it replaces
everything before it.
WebSocket frames are `{"event", "id", "data"}`."""


def _last(header: str, query: int | None) -> int | None:
    # A browser sends back what it got last; what is not a number is not from us, and the feed begins anew.
    return int(header) if header.isascii() and header.isdecimal() else query


async def _watch(parts: Parts, session: str, last_event_id: int | None) -> Watching:
    watching = Watching(
        parts.hub,
        parts.sessions,
        parts.listing,
        session=session,
        last_event_id=last_event_id,
        keepalive_s=parts.settings.keepalive_s,
    )
    await watching.open()
    return watching


@router.get(
    "/v1/sessions/{session}/feed",
    status_code=200,
    response_class=EventStream,
    summary="Live feed of a session",
    description=_ABOUT,
    responses=_RESPONSES,
)
async def one(
    session: SessionId,
    parts: Uses,
    _doc: Documented,
    last_event_id: EventId = None,
    last_event_id_header: EventIdHeader = "",
) -> Response:
    watching = await _watch(parts, session, _last(last_event_id_header, last_event_id))
    return EventStream(watching, parts.settings.cut_grace_s)


@router.get(
    "/v1/feed",
    status_code=200,
    response_class=EventStream,
    summary="Live feed of all sessions",
    description=f"{_ABOUT} Here each snapshot is a row of the list, and all are sent again after a reconnect.",
    responses=_RESPONSES,
)
async def everything(parts: Uses, _doc: Documented) -> Response:
    return EventStream(await _watch(parts, "", None), parts.settings.cut_grace_s)


@router.websocket("/v1/sessions/{session}/feed/ws")
async def one_socket(
    websocket: WebSocket,
    session: SessionId,
    parts: Uses,
    last_event_id: EventId = None,
    last_event_id_header: EventIdHeader = "",
) -> None:
    watching = await _watch(parts, session, _last(last_event_id_header, last_event_id))
    await serve_socket(websocket, watching, parts.settings.cut_grace_s)


@router.websocket("/v1/feed/ws")
async def everything_socket(websocket: WebSocket, parts: Uses) -> None:
    await serve_socket(websocket, await _watch(parts, "", None), parts.settings.cut_grace_s)

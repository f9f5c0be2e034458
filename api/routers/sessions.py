"""Sessions: create, list, read, end, erase."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api import answers, examples
from api.auth import Right
from api.listing import Query as ListQuery
from api.listing import Sort
from api.models import CreatedSession, CreateSession, Receipt, SessionList
from api.parts import Documented, Needs, SessionId, Uses, base_url
from api.sessions import OVER
from proto.views import SessionView, Status

MAX_PAGE = 500

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])


@router.post(
    "",
    status_code=201,
    summary="Create a session",
    dependencies=[Depends(Needs(Right.CREATE))],
    responses=answers.described(CreatedSession, examples.CREATED, status=201, refusals=(401, 403, 413, 422, 503)),
)
async def create(request: Request, parts: Uses, _doc: Documented, body: CreateSession | None = None) -> Response:
    """Gives the session's id, the token to publish to it, and where to read it. It can be read at once."""
    record, token = await parts.sessions.create(body or CreateSession())
    session = record.session
    base = base_url(parts, request)
    state = f"{base}/v1/sessions/{session}"
    parts_of_feed = urlsplit(f"{state}/feed/ws")
    created = CreatedSession(
        id=session,
        token=token,
        whip_url=f"{base}/v1/whip/{session}",
        candidate_url=f"{base}/candidate?session={session}#token={token}",
        feed_url=f"{state}/feed",
        ws_url=urlunsplit(parts_of_feed._replace(scheme="wss" if parts_of_feed.scheme == "https" else "ws")),
        state_url=state,
    )
    return answers.json(created, 201, {"Location": state})


@router.get(
    "",
    summary="List sessions",
    dependencies=[Depends(Needs(Right.READ))],
    responses=answers.described(SessionList, examples.LIST, refusals=(401, 403, 422, 503)),
)
async def list_sessions(
    parts: Uses,
    _doc: Documented,
    status: Annotated[list[Status] | None, Query(description="Only these; may be given more than once.")] = None,
    min_score: Annotated[float, Query(ge=0, le=100, description="Only sessions with at least this score.")] = 0.0,
    q: Annotated[str, Query(max_length=200, description="Only labels or ids that begin with this.")] = "",
    sort: Annotated[Sort, Query(description="risk: highest score first; newest: latest creation first.")] = "risk",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str, Query(max_length=200, description="`next_cursor` of the page before.")] = "",
) -> Response:
    """Pages follow the sorting key: a session whose score changes meanwhile may be on two pages, or on none."""
    rows, next_cursor = await parts.listing.page(ListQuery(sort, frozenset(status or ()), min_score, q, limit, cursor))
    return answers.json(SessionList(sessions=tuple(rows), next_cursor=next_cursor))


@router.get(
    "/{session}",
    summary="State of a session",
    dependencies=[Depends(Needs(Right.READ))],
    responses=answers.described(SessionView, examples.VIEW, refusals=(401, 403, 404, 503)),
)
async def state(session: SessionId, parts: Uses, _doc: Documented) -> Response:
    """Everything that is known of the session but its transcript and its pictures."""
    return answers.json(await parts.sessions.view(session))


@router.post(
    "/{session}/end",
    summary="End a session",
    dependencies=[Depends(Needs(Right.END))],
    responses=answers.described(SessionView, examples.VIEW, refusals=(401, 403, 404, 503)),
)
async def end(session: SessionId, parts: Uses, _doc: Documented) -> Response:
    """Closes its peers and gives the last state; 202 if that does not say `ended` yet. Ending twice is harmless."""
    view = await parts.sessions.end(session, "requested")
    return answers.json(view, 200 if view.status in OVER else 202)


@router.delete(
    "/{session}",
    summary="Erase a session",
    dependencies=[Depends(Needs(Right.ERASE))],
    responses=answers.described(Receipt, examples.RECEIPT, refusals=(401, 403, 404, 503)),
)
async def erase(session: SessionId, parts: Uses, _doc: Documented) -> Response:
    """Ends it and erases its log, sound, pictures, alerts and state. A second time it is not there (404)."""
    return answers.json(await parts.erasure.erase(session))

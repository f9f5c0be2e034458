"""The notice: what a candidate may know of their own session."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import answers, examples
from api.auth import bearer
from api.models import Notice
from api.parts import Documented, SessionId, Uses

router = APIRouter(prefix="/v1/sessions/{session}/notice", tags=["sessions"])


@router.get(
    "",
    summary="What the candidate is told",
    responses=answers.described(Notice, examples.NOTICE, refusals=(401, 404, 503)),
)
async def notice(request: Request, session: SessionId, parts: Uses, _doc: Documented) -> Response:
    """For the session's own token, or an API key of any role. A session that is over still has one."""
    credential = bearer(request.headers.get("authorization", ""))
    return answers.json(await parts.notices.of(session, credential))

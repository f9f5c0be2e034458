"""Evidence: the stills and clips that were kept for alerts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from api import answers, examples
from api.auth import Right
from api.models import EvidenceList
from api.parts import Documented, Needs, SessionId, Uses, base_url

router = APIRouter(
    prefix="/v1/sessions/{session}/evidence", tags=["evidence"], dependencies=[Depends(Needs(Right.READ))]
)

# By the end of the name: what was stored is never trusted to say how a browser should treat it.
MEDIA_TYPES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "avi": "video/x-msvideo",
    "mjpeg": "video/x-motion-jpeg",
    "mkv": "video/x-matroska",
}

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,200}$", description="Name in the list.")]


@router.get(
    "",
    summary="List evidence",
    responses=answers.described(EvidenceList, examples.EVIDENCE_LIST, refusals=(401, 403, 404, 503)),
)
async def list_evidence(request: Request, session: SessionId, parts: Uses, _doc: Documented) -> Response:
    """Stills and clips with hashes, sizes, and the alerts they belong to."""
    found = await parts.findings.evidence(session, base_url(parts, request))
    return answers.json(EvidenceList(session=session, evidence=found))


@router.get(
    "/{name}",
    summary="One still or clip",
    response_class=Response,
    responses={
        200: {"description": "The bytes.", "content": {"image/jpeg": {}, "video/mp4": {}}},
        **answers.refused(401, 403, 404, 422, 503),
    },
)
async def evidence(session: SessionId, name: Name, parts: Uses, _doc: Documented) -> Response:
    """Not cached anywhere: erasing the session erases it."""
    data = await parts.findings.object(session, name)
    media_type = MEDIA_TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
    headers = {
        "Cache-Control": "private, no-store",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'inline; filename="{name}"',
    }
    return Response(data, headers=headers, media_type=media_type)

"""WHIP endpoints (RFC 9725): offer, trickle, goodbye."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from api import answers
from api.auth import bearer
from api.parts import Documented, SessionId, Uses
from api.problems import HttpRefused
from api.whip import SDP, SDPFRAG, accepts_sdp, entity_tag, parse_resource
from proto.signalling import Role, role_of

router = APIRouter(prefix="/v1/whip", tags=["whip"])

Resource = Annotated[str, Path(max_length=129, description="Last segment of the Location that answered the offer.")]
Authorization = Annotated[str, Header(include_in_schema=False)]
Publishes = Annotated[
    Role,
    Query(
        description="Whose source this is. The platform, never the candidate's page, may send the interviewer's sound "
        "as `interviewer`: beside the candidate's, sound only, and with an API key of the role ingest or admin where "
        "the server has keys. So the interviewer's voice is not taken for a second one in the candidate's room."
    ),
]

_ALLOW = "OPTIONS, POST"
_ALLOW_RESOURCE = "DELETE, OPTIONS, PATCH"


def _role(resource: str) -> Role:
    """Whose source a WHIP session is: who may not open it may not touch it."""
    _, peer = parse_resource(resource)
    return role_of(peer)


async def _text(request: Request, media_type: str) -> str:
    """Body of a request of this media type; its size is limited where it is received."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        headers = {"Accept-Post": SDP} if media_type == SDP else {"Accept-Patch": SDPFRAG}
        raise HttpRefused(415, f"the body must be {media_type}", headers)
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise HttpRefused(400, "the body is not UTF-8") from error


@router.post(
    "/{session}",
    status_code=201,
    response_class=Response,
    summary="Publish: SDP offer",
    responses={
        201: {
            "description": "SDP answer; `Location` is the WHIP session, `ETag` its ICE session, `Link` ICE servers.",
            "content": {
                SDP: {"schema": {"type": "string"}, "example": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n..."}
            },
        },
        **answers.refused(400, 401, 403, 404, 406, 408, 410, 413, 415, 422, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                SDP: {"schema": {"type": "string"}, "example": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n..."}
            },
        }
    },
)
async def offer(
    request: Request,
    session: SessionId,
    parts: Uses,
    _doc: Documented,
    role: Publishes = "candidate",
    authorization: Authorization = "",
) -> Response:
    """At most one video and one audio track, at most 128 KiB. Of an interviewer only the sound is taken.

    A second publisher of the same role takes the place of the first; candidate and interviewer never do of each other.
    """
    record = await parts.whip.authorize(session, bearer(authorization), role)
    if not accepts_sdp(request.headers.get("accept", "")):
        raise HttpRefused(406, f"the answer is {SDP}")
    answer = await parts.whip.offer(record, await _text(request, SDP), role)
    response = Response(
        answer.sdp,
        201,
        {
            "Location": f"{parts.settings.public_url.rstrip('/')}/v1/whip/{session}/{answer.node}.{answer.peer}",
            "ETag": f'"{entity_tag(answer.etag)}"',
            "Accept-Patch": SDPFRAG,
        },
        SDP,
    )
    for link in parts.whip.ice_links():
        response.headers.append("Link", link)
    return response


@router.patch(
    "/{session}/{resource}",
    status_code=204,
    summary="Publish: trickle ICE",
    response_class=Response,
    responses=answers.refused(400, 401, 403, 404, 412, 413, 415, 422, 428, 503),
    openapi_extra={"requestBody": {"required": True, "content": {SDPFRAG: {"schema": {"type": "string"}}}}},
)
async def trickle(
    request: Request,
    session: SessionId,
    resource: Resource,
    parts: Uses,
    _doc: Documented,
    authorization: Authorization = "",
    if_match: Annotated[str, Header(max_length=200)] = "",
) -> Response:
    """Candidates that were found after the offer (RFC 8840). An ICE restart is refused (422): send a new offer."""
    await parts.whip.authorize(session, bearer(authorization), _role(resource))
    await parts.whip.patch(session, resource, await _text(request, SDPFRAG), if_match)
    return Response(status_code=204)


@router.delete(
    "/{session}/{resource}",
    summary="Publish: goodbye",
    response_class=Response,
    responses=answers.refused(401, 403, 404, 503),
)
async def goodbye(
    session: SessionId, resource: Resource, parts: Uses, _doc: Documented, authorization: Authorization = ""
) -> Response:
    """Closes the peer; the session goes on until it is ended or expires."""
    await parts.whip.authorize(session, bearer(authorization), _role(resource))
    await parts.whip.delete(session, resource)
    return Response(status_code=200)


@router.options("/{session}", include_in_schema=False)
async def options(parts: Uses) -> Response:
    response = Response(status_code=200, headers={"Allow": _ALLOW, "Accept-Post": SDP})
    for link in parts.whip.ice_links():
        # Credentials are for those who publish, and OPTIONS carries no token.
        response.headers.append("Link", link.partition("; username=")[0])
    return response


@router.options("/{session}/{resource}", include_in_schema=False)
async def options_resource() -> Response:
    return Response(status_code=200, headers={"Allow": _ALLOW_RESOURCE, "Accept-Patch": SDPFRAG})

"""Whose face it should be: register it, ask, erase it; compare an ID document."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from api import answers, examples, multipart, pictures
from api.auth import Right, bearer
from api.identity import DOCUMENT_TYPES, DocumentType
from api.models import DocumentResult, Identity
from api.parts import Documented, SessionId, Uses
from api.problems import HttpRefused
from proto.errors import BadInput

router = APIRouter(prefix="/v1/sessions/{session}/identity", tags=["identity"])

Authorization = Annotated[str, Header(include_in_schema=False)]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PICTURE: dict[str, Any] = {"requestBody": {"required": True, "content": dict.fromkeys(pictures.TYPES, _BINARY)}}
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            multipart.MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["document", "live"],
                    "properties": {
                        "document": {
                            **_BINARY["schema"],
                            "description": "Photo or scan of the document, turned anyhow.",
                        },
                        "live": {**_BINARY["schema"], "description": "Picture of the person, alone."},
                        "document_type": {"type": "string", "enum": list(DOCUMENT_TYPES), "default": "other"},
                    },
                }
            }
        },
    }
}


@router.put(
    "",
    summary="Register a face",
    openapi_extra=_PICTURE,
    responses=answers.described(
        Identity, examples.IDENTITY, refusals=(401, 403, 404, 408, 409, 410, 413, 415, 422, 503)
    ),
)
async def register(
    request: Request, session: SessionId, parts: Uses, _doc: Documented, authorization: Authorization = ""
) -> Response:
    """The only face of a JPEG, PNG or WebP picture becomes the one this session is compared with.

    The session's own token may register once; an API key may also replace. Kept encrypted, and erased with the session.
    """
    record, once = await parts.identities.authorize(session, bearer(authorization), Right.PUBLISH)
    if _media_type(request) not in pictures.TYPES:
        raise HttpRefused(415, f"the body must be {', '.join(pictures.TYPES)}", {"Accept": ", ".join(pictures.TYPES)})
    async with parts.identities.upload():
        return answers.json(await parts.identities.register(record, await request.body(), replace=not once))


@router.get(
    "",
    summary="Whether a face is registered",
    responses=answers.described(Identity, examples.IDENTITY, refusals=(401, 403, 404, 503)),
)
async def state(session: SessionId, parts: Uses, _doc: Documented, authorization: Authorization = "") -> Response:
    """For the session's token, or an API key that may read. The face itself is never given out."""
    record, _ = await parts.identities.authorize(session, bearer(authorization), Right.READ)
    return answers.json(await parts.identities.of(record))


@router.delete(
    "",
    status_code=204,
    summary="Erase the registered face",
    response_class=Response,
    responses=answers.refused(401, 403, 404, 503),
)
async def erase(session: SessionId, parts: Uses, _doc: Documented, authorization: Authorization = "") -> Response:
    """From then on the session is compared with nobody. Not for the session's token: it could hide another person."""
    record, by_token = await parts.identities.authorize(session, bearer(authorization), Right.PUBLISH)
    if by_token:
        raise HttpRefused(403, "the session's token may not erase the face it is compared with")
    await parts.identities.erase(record.session)
    return Response(status_code=204)


@router.post(
    "/document",
    summary="Compare an ID document with a live picture",
    openapi_extra=_FORM,
    responses=answers.described(
        DocumentResult, examples.DOCUMENT, refusals=(401, 403, 404, 408, 410, 413, 415, 422, 503)
    ),
)
async def document(
    request: Request, session: SessionId, parts: Uses, _doc: Documented, authorization: Authorization = ""
) -> Response:
    """`curl -F document=@card.jpg -F live=@me.jpg -F document_type=passport ...`. Where they match, the live face is
    registered, as by PUT.
    """
    record, once = await parts.identities.authorize(session, bearer(authorization), Right.PUBLISH)
    if _media_type(request) != multipart.MEDIA_TYPE:
        raise HttpRefused(415, f"the body must be {multipart.MEDIA_TYPE}", {"Accept": multipart.MEDIA_TYPE})
    async with parts.identities.upload():
        fields = multipart.parse(request.headers["content-type"], await request.body())
        compared = await parts.identities.compare(
            record, _needed(fields, "document"), _needed(fields, "live"), _document_type(fields), replace=not once
        )
    return answers.json(compared)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _needed(fields: dict[str, bytes], name: str) -> bytes:
    if not fields.get(name):
        raise BadInput("is missing", field=name)
    return fields[name]


def _document_type(fields: dict[str, bytes]) -> DocumentType:
    given = fields.get("document_type", b"other").decode("utf-8", "replace").strip()
    if given not in DOCUMENT_TYPES:
        raise BadInput(f"must be one of {', '.join(DOCUMENT_TYPES)}", field="document_type")
    return cast("DocumentType", given)

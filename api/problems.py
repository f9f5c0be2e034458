"""Every error as application/problem+json (RFC 9457), whoever raised it: a room, FastAPI's validation, the router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import Match

from api.auth import Forbidden, Unauthorized
from proto.errors import BadInput, CandorError, Conflict, FeatureMissing, Full, NotFound, Refused, Unavailable
from runtime.log import get_logger

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1

log = get_logger("api")


class HttpRefused(Refused):
    """A refusal that only HTTP has a word for, such as 415 or 428."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, *, code: str = "", field: str = ""
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.code = code
        self.field = field


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with a request: where, and what it should be."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details. `request_id` is also in the response's X-Request-Id and in the server's log. `code`
    says for programs what `detail` says for people, where the status alone leaves it open.
    """

    type: str
    title: str
    status: int
    detail: str
    request_id: str = ""
    errors: tuple[FieldError, ...] = ()
    code: str = ""


_STATUS: tuple[tuple[type[CandorError], int], ...] = (
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Full, 503),
    (BadInput, 422),
    (FeatureMissing, 503),
    (Unavailable, 503),
    (Refused, 409),
)


def response(
    status: int,
    detail: str,
    *,
    request_id: str = "",
    headers: Mapping[str, str] | None = None,
    errors: Sequence[FieldError] = (),
    code: str = "",
) -> Response:
    """A problem as a response."""
    title = HTTPStatus(status).phrase
    problem = Problem(
        type=f"urn:candor:problem:{title.lower().replace(' ', '-')}",
        title=title,
        status=status,
        detail=detail,
        request_id=request_id,
        errors=tuple(errors),
        code=code,
    )
    return Response(msgspec.json.encode(problem), status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of this app as a problem."""
    app.add_exception_handler(CandorError, _candor)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(Exception, _unexpected)


def of(error: CandorError, request_id: str = "") -> Response:
    """The problem that says `error`."""
    if isinstance(error, HttpRefused):
        found = (FieldError(error.field, str(error)),) if error.field else ()
        return response(
            error.status, str(error), request_id=request_id, headers=error.headers, errors=found, code=error.code
        )
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="candor"'
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    errors = (FieldError(error.field, str(error)),) if isinstance(error, BadInput) and error.field else ()
    return response(status, str(error), request_id=request_id, headers=headers, errors=errors)


def request_id_of(connection: HTTPConnection) -> str:
    """Id that the middleware gave this request."""
    return str(connection.scope.get("candor.request_id", ""))


async def _candor(request: Request, error: Exception) -> Response:
    assert isinstance(error, CandorError)
    return of(error, request_id_of(request))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    detail = str(error.detail)
    if error.status_code == 404 and detail == "Not Found":
        detail = "there is nothing at this path"
    if error.status_code == 405:
        allowed = allowed_methods(request)
        headers["Allow"] = ", ".join(allowed)
        detail = f"this path takes {', '.join(allowed)}"
    return response(error.status_code, detail, request_id=request_id_of(request), headers=headers)


def allowed_methods(request: Request) -> list[str]:
    """Every method that some route takes at this path; a route alone knows only its own."""
    methods: set[str] = set()
    for context in request.app.router.routes:
        methods |= _methods_at(context, request.scope)
    return sorted(methods)


def _methods_at(route: Any, scope: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        match, _ = route.matches({**scope, "method": method})
        if match is Match.FULL:
            found.add(method)
    return found


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        FieldError(".".join(str(part) for part in item["loc"] if part != "body") or "body", str(item["msg"]))
        for item in error.errors()
    ]
    detail = "; ".join(f"{item.field}: {item.message}" for item in errors)
    return response(422, detail, request_id=request_id_of(request), errors=errors)


async def _unexpected(request: Request, error: Exception) -> Response:
    request_id = request_id_of(request)
    log.error("api.failed", request=request_id, error=type(error).__name__, exc_info=error)
    return response(500, "the server failed; its log has the details under this request id", request_id=request_id)

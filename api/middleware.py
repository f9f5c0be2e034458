"""What happens to every request before a router sees it: an id, a trace, limits, and refusals of foreign web pages."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import metrics, problems
from api.settings import ApiSettings, listed
from proto.signalling import MAX_SDP_BYTES
from runtime import tracing
from runtime.log import get_logger

WHIP = "/v1/whip/"
PICTURES = {"identity": 1, "document": 2}
"""Paths of a session that take pictures, by their last part: how many."""
PATIENT_TIMES = 4
"""A body that is too large is read, and thrown away, up to so many times the limit."""
FORM_BYTES = 16 * 1024
"""What a form takes besides its pictures."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TAKES_PICTURES = re.compile(r"/v1/sessions/[^/]+/identity(/document)?")

log = get_logger("api.access")


class Trace:
    """Gives each request an id and a trace, security headers to each answer, and one line to the log.

    The line has the route's template, never the path or the query: no token, no name gets in.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        scope["candor.request_id"] = request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        status = 101 if scope["type"] == "websocket" else 500
        began = time.perf_counter()

        async def sender(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["X-Request-Id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    answer.setdefault(name, value)
                if scope["path"].startswith("/v1/"):
                    answer.setdefault("Cache-Control", "no-store")
            await send(message)

        with tracing.of({"traceparent": headers.get("traceparent", "")}):
            try:
                await self._app(scope, receive, sender)
            finally:
                _account(scope, status, time.perf_counter() - began)


def _account(scope: Scope, status: int, took_s: float) -> None:
    method = scope.get("method", "WS")
    route = getattr(scope.get("route"), "path", "") or "(none)"
    metrics.REQUESTS.labels(method, route, str(status)).inc()
    if not route.endswith(("/feed", "/feed/ws")):
        metrics.REQUEST_SECONDS.labels(method, route).observe(took_s)
    level = log.debug if route in ("/healthz", "/readyz", "/health", "/metrics") else log.info
    level(
        "api.request",
        request=scope["candor.request_id"],
        method=method,
        route=route,
        status=status,
        took_ms=round(took_s * 1000, 1),
    )


class Cors:
    """CORS (WHATWG Fetch) for the origins of the settings; WHIP has a list of its own. No list, no headers."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app = app
        self._api = frozenset(listed(settings.allow_origins))
        self._whip = frozenset(listed(settings.whip_allow_origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        origin = headers.get("origin", "")
        whip = scope.get("path", "").startswith(WHIP)
        allowed = self._whip if whip else self._api
        if not origin or ("*" not in allowed and origin not in allowed):
            await self._app(scope, receive, send)
            return
        preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in headers

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                _allow(MutableHeaders(scope=message), "*" if "*" in allowed else origin, preflight)
            await send(message)

        if preflight and not whip:
            await sender({"type": "http.response.start", "status": 204, "headers": []})
            await sender({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, sender)


def _allow(answer: MutableHeaders, origin: str, preflight: bool) -> None:
    answer["Access-Control-Allow-Origin"] = origin
    answer["Cross-Origin-Resource-Policy"] = "cross-origin"
    if origin != "*":
        answer.add_vary_header("Origin")
    if preflight:
        answer["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
        answer["Access-Control-Allow-Headers"] = "Authorization, Content-Type, If-Match, Last-Event-ID, X-Request-Id"
        answer["Access-Control-Max-Age"] = "600"
    else:
        answer["Access-Control-Expose-Headers"] = "Location, Link, ETag, Accept-Patch, Retry-After, X-Request-Id"


class Guard:
    """Protects a server without API keys from web pages in the same browser.

    A page of another site may not call it (its Origin, or Sec-Fetch-Site, gives it away), and a page that points its
    own name at 127.0.0.1 (DNS rebinding) is recognised by that name. WHIP needs a token in any case and may come from
    anywhere.
    """

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app = app
        public = urlsplit(settings.public_url).hostname
        self._hosts = LOOPBACK_HOSTS | {settings.host.strip("[]")} | set(listed(settings.allowed_hosts))
        self._hosts |= {public} if public else set()
        self._origins = frozenset(listed(settings.allow_origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = self._refusal(scope) if scope["type"] in ("http", "websocket") else ""
        if reason:
            answer = problems.response(403, reason, request_id=scope.get("candor.request_id", ""))
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if (urlsplit(f"//{host}").hostname or "") not in self._hosts:
            return "this host name is not ours; name it in CANDOR_API_ALLOWED_HOSTS, or set CANDOR_API_KEYS"
        path: str = scope["path"]
        if not path.startswith("/v1/") or path.startswith(WHIP) or self._origins & {"*", headers.get("origin", "")}:
            return ""
        origin = headers.get("origin")
        foreign = urlsplit(origin).netloc != host if origin is not None else False
        if foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "a web page of another origin may not call this; name it in CANDOR_API_ALLOW_ORIGINS"
        return ""


class BodyLimit:
    """Refuses bodies that are too large (413, as soon as that is clear) or too slow (408)."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, timeout_s = self._limits(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            if int(declared) <= PATIENT_TIMES * limit and "expect" not in Headers(scope=scope):
                await _read_away(receive, timeout_s)
            answer = problems.response(413, _too_large(limit), request_id=scope.get("candor.request_id", ""))
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
        else:
            await self._app(scope, _Limited(receive, limit, timeout_s), send)

    def _limits(self, path: str) -> tuple[int, float]:
        """Most bytes of a body, and the time it may take."""
        settings = self._settings
        if path.startswith(WHIP):
            return MAX_SDP_BYTES, settings.body_timeout_s
        if _TAKES_PICTURES.fullmatch(path):
            pictures = PICTURES[path.rpartition("/")[2]]
            return pictures * settings.max_picture_bytes + FORM_BYTES, settings.picture_timeout_s
        return settings.max_body_bytes, settings.body_timeout_s


class _Limited:
    """`receive` that counts, and that has a deadline until the body is complete."""

    def __init__(self, receive: Receive, limit: int, timeout_s: float) -> None:
        self._receive = receive
        self._limit = limit
        self._deadline = asyncio.get_running_loop().time() + timeout_s
        self._taken = 0
        self._complete = False

    async def __call__(self) -> MutableMapping[str, Any]:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, "the body took too long", {"Connection": "close"}) from error
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._taken > self._limit:
                raise HTTPException(413, _too_large(self._limit), {"Connection": "close"})
        return message


async def _read_away(receive: Receive, timeout_s: float) -> None:
    """Let a client send what it declared, if it waits for nothing: cut off in the middle, it would read no answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes"

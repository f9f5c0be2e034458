"""A WHIP client (RFC 9725): one connection that sends tracks."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcconfiguration import RTCBundlePolicy

from proto.errors import BadInput, CandorError, Full, NotFound, Refused, Unavailable

SDP = "application/sdp"
HTTP_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 15.0
GOODBYE_TIMEOUT_S = 5.0
SILENCE_S = 8.0
"""Receiver reports come about once a second: a server that sent none for so long is gone."""
MAX_REDIRECTS = 3
MAX_RETRY_AFTER_S = 60
LOOPBACK = "127.0.0.1"

_GATHER = "get_component_candidates"
_CONNECTION = "_connection"


class NoRoom(Full):
    """503: come back after `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class _Relayed(MediaStreamTrack):
    """A track lent to one connection: a connection stops its tracks when it ends, and the source must outlive it."""

    def __init__(self, source: MediaStreamTrack) -> None:
        super().__init__()
        self.kind = source.kind
        self._source = source
        self.ended = False

    async def recv(self) -> Any:
        if self.readyState != "live":
            raise MediaStreamError
        try:
            return await self._source.recv()
        except Exception:
            # At its end or broken, no more will come of it.
            self.ended = True
            raise


class WhipConnection:
    """Inside `async with`, the tracks are being sent. Leaving says goodbye (DELETE)."""

    def __init__(self, url: str, token: str, tracks: list[MediaStreamTrack]) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tracks = [_Relayed(track) for track in tracks]
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._http = httpx.AsyncClient(timeout=HTTP_TIMEOUT_S)
        self._location = ""
        self._etag = ""
        self._reported = 0.0
        self._settled = asyncio.Event()
        self._was_connected = False
        self._pc.on("connectionstatechange", self._changed)

    async def __aenter__(self) -> Self:
        try:
            await self._connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _connect(self) -> None:
        for track in self._tracks:
            self._pc.addTransceiver(track, direction="sendonly")
        self._reach_loopback()
        await self._pc.setLocalDescription(await self._pc.createOffer())
        response = await self._post(self._pc.localDescription.sdp)
        self._location = urljoin(str(response.url), response.headers.get("Location", ""))
        self._etag = response.headers.get("ETag", "")
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        except (ValueError, AssertionError, LookupError, AttributeError) as error:
            raise Refused(f"{self._url} did not answer with SDP: is it a WHIP endpoint?") from error
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), CONNECT_TIMEOUT_S)
        if not self._was_connected:
            raise Unavailable(
                "the server answered, but no media reaches it: is UDP let through between here and there?"
            )
        self._reported = time.monotonic()

    def _changed(self) -> None:
        # A connection may be made and lost again before anybody looks: that is a lost one, not one that never was.
        self._was_connected |= self._pc.connectionState == "connected"
        if self._pc.connectionState in ("connected", "failed", "closed"):
            self._settled.set()

    def _reach_loopback(self) -> None:
        """aioice leaves loopback out; a server on this machine may be there and nowhere else."""
        connection = getattr(self._pc.getTransceivers()[0].sender.transport.transport, _CONNECTION)
        gather: Callable[..., Awaitable[list[Any]]] = getattr(connection, _GATHER)
        local = _is_loopback(urlsplit(self._url).hostname or "")

        async def with_loopback(component: int, addresses: list[str], timeout: int = 5) -> list[Any]:
            chosen = [*addresses, LOOPBACK] if local or not addresses else addresses
            return await gather(component=component, addresses=chosen, timeout=timeout)

        setattr(connection, _GATHER, with_loopback)

    async def _post(self, sdp: str) -> httpx.Response:
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._ask("POST", url, content=sdp, headers={**self._headers, "Content-Type": SDP})
            if response.status_code not in (307, 308):
                _check(response, url)
                return response
            target = urljoin(url, response.headers.get("Location", ""))
            if urlsplit(target).netloc != urlsplit(url).netloc:
                raise Refused(f"{url} sends us to another host, where the token does not go")
            url = target
        raise Refused(f"{self._url} redirects more than {MAX_REDIRECTS} times")

    async def _ask(self, method: str, url: str, **request: Any) -> httpx.Response:
        try:
            return await self._http.request(method, url, **request)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise BadInput(f"is not an http or https URL ({error})", field=url) from error
        except httpx.TransportError as error:
            raise Unavailable(f"nothing answers at {url} ({error or type(error).__name__})") from error

    @property
    def location(self) -> str:
        """URL of the WHIP session, for PATCH and DELETE."""
        return self._location

    @property
    def etag(self) -> str:
        """Names the ICE session in If-Match."""
        return self._etag

    @property
    def finished(self) -> bool:
        """Whether every track has come to its end."""
        return all(track.ended for track in self._tracks)

    async def alive(self) -> bool:
        """Whether the server still takes what is sent: connected, and its reports come."""
        if self._pc.connectionState != "connected":
            return False
        report = await self._pc.getStats()
        newest = max((entry.timestamp.timestamp() for entry in report.values() if entry.type == _REPORT), default=0.0)
        if newest and time.time() - newest < SILENCE_S:
            self._reported = time.monotonic()
        return time.monotonic() - self._reported < SILENCE_S

    async def close(self) -> None:
        """Say goodbye, as far as the server hears it."""
        if self._location:
            try:
                async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                    await self._ask("DELETE", self._location, headers=self._headers)
            except (CandorError, TimeoutError):
                # The server notices by itself that nothing comes any more.
                pass
            self._location = ""
        await self._pc.close()
        await self._http.aclose()


_REPORT = "remote-inbound-rtp"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check(response: httpx.Response, url: str) -> None:
    """Raise what an answer other than 201 means, in words for the person who publishes."""
    status = response.status_code
    if status == httpx.codes.CREATED:
        return
    detail = _detail(response)
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise Refused(f"the token is not accepted for this session{detail}")
    if status == httpx.codes.NOT_FOUND:
        raise NotFound(f"there is no such session at {url}{detail}")
    if status == httpx.codes.SERVICE_UNAVAILABLE:
        raise NoRoom(f"no ingest node has room{detail}", _retry_after_s(response))
    if status in (httpx.codes.BAD_REQUEST, httpx.codes.NOT_ACCEPTABLE, httpx.codes.UNPROCESSABLE_ENTITY):
        raise BadInput(f"the server does not accept our offer{detail}")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Unavailable(f"the server has a problem (HTTP {status}){detail}")
    raise Refused(f"{url} answered HTTP {status}{detail}")


def _retry_after_s(response: httpx.Response) -> float:
    """Seconds of a Retry-After header; a date, or nothing, counts as the least."""
    value = response.headers.get("Retry-After", "")
    return float(min(int(value), MAX_RETRY_AFTER_S)) if value.isdecimal() else 1.0


def _detail(response: httpx.Response) -> str:
    try:
        problem = response.json()
    except ValueError:
        return ""
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return f": {detail}" if detail else ""

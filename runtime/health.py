"""What a process says about itself: `/healthz` (it runs), `/readyz` (it can do its work), `/metrics`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proto.errors import Unavailable
from runtime import metrics


class Part(msgspec.Struct, frozen=True):
    """One thing a process depends on or offers. Only a critical one that fails makes the process not ready."""

    name: str
    ok: bool
    detail: str
    critical: bool


class Health:
    """The parts of a process and how they are; written by the service, read by the probes."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._checks: dict[str, Callable[[], bool]] = {}

    def set(self, name: str, *, ok: bool, detail: str = "", critical: bool = True) -> None:
        """Say how a part is. Parts named `feature:...` also show in the metric candor_feature_available."""
        self._parts[name] = Part(name, ok, detail, critical)
        if name.startswith("feature:"):
            metrics.FEATURE_UP.labels(name.removeprefix("feature:")).set(ok)

    def check(self, name: str, probe: Callable[[], bool]) -> None:
        """A critical part that is asked each time, e.g. the connection."""
        self._checks[name] = probe

    def parts(self) -> list[Part]:
        asked = [Part(name, probe(), "", critical=True) for name, probe in self._checks.items()]
        return asked + list(self._parts.values())

    @property
    def ready(self) -> bool:
        return all(part.ok for part in self.parts() if part.critical)


def _app(service: str, health: Health) -> Starlette:
    def report(ok: bool, status: int) -> Response:
        body = {"service": service, "ok": ok, "parts": health.parts()}
        return Response(msgspec.json.encode(body), status, media_type="application/json")

    async def healthz(_request: Request) -> Response:
        return report(health.ready, 200)

    async def readyz(_request: Request) -> Response:
        return report(health.ready, 200 if health.ready else 503)

    async def metrics_(_request: Request) -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics_)])


class QuietServer(uvicorn.Server):
    """uvicorn without signal handlers of its own: the lifecycle has the only ones."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        Unavailable: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it small answers wait 40 ms.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    sock.setblocking(False)
    return sock


@asynccontextmanager
async def serving(service: str, health: Health, host: str, port: int) -> AsyncIterator[int]:
    """Serve the probes while inside; gives the port.

    Raises:
        Unavailable: the port is taken.
    """
    sock = listen(host, port)
    server = QuietServer(
        uvicorn.Config(_app(service, health), log_config=None, access_log=False, lifespan="off", ws="none")
    )
    task = asyncio.create_task(server.serve(sockets=[sock]), name="health")
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        sock.close()

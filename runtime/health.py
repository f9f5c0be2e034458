"""What a process says about itself: `/healthz` (it runs), `/readyz` (it can do its work), `/health` (all of it: what it
lacks, and what runs its models), `/metrics`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proto.errors import Unavailable
from proto.health import HealthPart, ProcessHealth
from runtime import metrics

NODE = f"{socket.gethostname()}-{os.getpid()}"
"""Names this process among those of its service."""


FEATURE = "feature:"
"""Parts named so are what sessions get from this process, or lack."""

SERVICE = "service"
"""The part that is not ok until the service takes work: probes are answered before that."""

RUNS_ON = "provider:"
"""Parts named so are models that run on something else than they should."""


class RunsOn(msgspec.Struct, frozen=True, kw_only=True):
    """A model and what really runs it. `wanted` is what should (empty: this will do), `reason` why it does not."""

    model: str
    provider: str
    wanted: str = ""
    reason: str = ""
    command: str = ""

    @property
    def ok(self) -> bool:
        return self.wanted in ("", self.provider)


class Health:
    """The parts of a process and how they are; written by the service, read by the probes."""

    def __init__(self) -> None:
        self._parts: dict[str, HealthPart] = {}
        self._checks: dict[str, Callable[[], bool]] = {}
        self._providers: dict[str, RunsOn] = {}
        self._running: list[Callable[[], Iterable[RunsOn]]] = []

    def set(self, name: str, *, ok: bool, detail: str = "", critical: bool = True, command: str = "") -> None:
        """Say how a part is; only a critical one that fails makes the process not ready. `command` is what makes it
        available. Parts named `feature:...` also show in the metric candor_feature_available.
        """
        self._parts[name] = HealthPart(name=name, ok=ok, detail=detail, critical=critical, command=command)
        if name.startswith(FEATURE):
            metrics.FEATURE_UP.labels(name.removeprefix(FEATURE)).set(ok)

    def starting(self) -> None:
        """Not ready until the service says `started`, however much else is well by then."""
        self.set(SERVICE, ok=False, detail="starting")

    def started(self) -> None:
        """The service takes work from now on."""
        self.set(SERVICE, ok=True)

    def check(self, name: str, probe: Callable[[], bool]) -> None:
        """A critical part that is asked each time, e.g. the connection."""
        self._checks[name] = probe

    def provider(self, model: str, provider: str) -> None:
        """Say what runs a model, once for all."""
        self._providers[model] = RunsOn(model=model, provider=provider)

    def runs_on(self, probe: Callable[[], Iterable[RunsOn]]) -> None:
        """Models that are asked for each time: one that is loaded again may run on something else than before."""
        if probe not in self._running:
            self._running.append(probe)

    def parts(self) -> list[HealthPart]:
        asked = [HealthPart(name=name, ok=probe()) for name, probe in self._checks.items()]
        return asked + list(self._parts.values()) + [_fallen_back(model) for model in self._models() if not model.ok]

    def providers(self) -> dict[str, str]:
        """Provider by model."""
        return {one.model: one.provider for one in self._models()}

    def report(self, service: str) -> ProcessHealth:
        """All of it, as it is told over the bus."""
        parts = tuple(self.parts())
        return ProcessHealth(service=service, node=NODE, ready=_ready(parts), parts=parts, providers=self.providers())

    @property
    def ready(self) -> bool:
        return _ready(self.parts())

    def _models(self) -> list[RunsOn]:
        return [*self._providers.values(), *(one for probe in self._running for one in probe())]


def _ready(parts: Iterable[HealthPart]) -> bool:
    return all(part.ok for part in parts if part.critical)


def _fallen_back(model: RunsOn) -> HealthPart:
    detail = f"wants {model.wanted}, runs on {model.provider}: {model.reason}"
    return HealthPart(name=f"{RUNS_ON}{model.model}", ok=False, detail=detail, critical=False, command=model.command)


def _app(service: str, health: Health) -> Starlette:
    def answer(body: object, status: int = 200) -> Response:
        return Response(msgspec.json.encode(body), status, media_type="application/json")

    def report(status: int) -> Response:
        return answer({"service": service, "ok": health.ready, "parts": health.parts()}, status)

    async def healthz(_request: Request) -> Response:
        return report(200)

    async def readyz(_request: Request) -> Response:
        return report(200 if health.ready else 503)

    async def health_(_request: Request) -> Response:
        told = health.report(service)
        return answer(
            {
                "service": service,
                "node": told.node,
                "ok": told.ready,
                "parts": told.parts,
                "providers": told.providers,
            }
        )

    async def metrics_(_request: Request) -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    routes = {"/healthz": healthz, "/readyz": readyz, "/health": health_, "/metrics": metrics_}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in routes.items()])


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

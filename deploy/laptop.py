"""`candor up`: nats-server and every service as child processes of one supervisor that fails as one.

The services are run by the same commands as in production; this module imports none of them. If one of them dies the
others are drained and the supervisor fails: a laptop has no use for half a pipeline, and its owner should see why.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy import broker, identity_key
from deploy.child import Child, OnLine
from proto.errors import Conflict, Unavailable

READY_S = 120.0
"""How long everything together may take to become ready: models are loaded meanwhile."""
PATIENCE_S = 25.0
"""How long one process may drain: a little more than the services give themselves."""
HOPELESS_S = 3.0
"""The same when NATS is gone, and with it whatever they could still hand over."""
POLL_S = 0.1
DEFAULT_PORT = 8000
DEFAULT_NATS_PORT = 4222
PORTS_TRIED = 50
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - recognised when asked for, never chosen

EPHEMERAL_KEY = (
    "registered faces are encrypted with a key of this run alone: after a restart they count as not registered "
    "(CANDOR_VISION_IDENTITY_KEY keeps them)"
)

START_ORDER = ("aggregator", "vision", "speech", "ingest", "api")
"""What takes in comes up last: nothing is accepted before there is somebody to deal with it."""
STOP_ORDER = ("ingest", "vision", "speech", "aggregator", "api", "nats")
"""Along the way of the data, so that each finishes what the one before it still sent."""


@dataclass(frozen=True)
class Options:
    """What `candor up` was asked for. `port` None takes DEFAULT_PORT or the next free one after it."""

    data: Path
    host: str = broker.LOOPBACK
    port: int | None = None
    vision_workers: int = 1
    candor: tuple[str, ...] = (sys.executable, "-m", "deploy.cli")
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True)
class Running:
    """One process of the running laptop; `health_port` is where it says how it is."""

    child: Child
    health_port: int
    health_path: str
    room: str


class Laptop:
    """Everything of one `candor up`. Use as: start(), then failed() or your own end, then stop()."""

    def __init__(self, options: Options, on_line: OnLine) -> None:
        self._options = options
        self._on_line = on_line
        self._running: list[Running] = []
        self._identity_key = identity_key.ephemeral(options.env)
        self.nats_url = ""
        self.api_port = 0

    @property
    def url(self) -> str:
        """Where the dashboard and the API are."""
        host = self._options.host
        shown = broker.LOOPBACK if host in EVERYWHERE else f"[{host}]" if ":" in host else host
        scheme = "https" if self._options.env.get("CANDOR_API_TLS_CERT_FILE") else "http"
        return f"{scheme}://{shown}:{self.api_port}"

    @property
    def state_file(self) -> Path:
        return self._options.data / "state.json"

    @property
    def processes(self) -> list[tuple[str, int, str]]:
        """Name, process id and health URL of each, in the order they were started."""
        return [
            (each.child.name, each.child.pid, f"http://{broker.LOOPBACK}:{each.health_port}{each.health_path}")
            for each in self._running
        ]

    async def start(self) -> None:
        """Start everything and return when all of it is ready.

        Raises:
            Unavailable: something did not start, died, or was not ready within READY_S; everything is stopped again.
            FeatureMissing: there is no nats-server.
        """
        try:
            async with asyncio.timeout(READY_S):
                self.api_port = self._choose_api_port()
                await self._start_nats()
                if self._identity_key:
                    self._on_line("candor", EPHEMERAL_KEY)
                for room, name in self._plan():
                    await self._start(room, name)
                self._write_state()
                for each in self._running[1:]:
                    await self._ready(each)
        except TimeoutError as error:
            waiting = [each.child.name for each in self._running if not await self._is_ready(each)]
            await self.stop()
            raise Unavailable(f"not ready within {READY_S:g} s: {', '.join(waiting) or 'nats'}") from error
        except BaseException:
            await self.stop()
            raise

    async def failed(self) -> Child:
        """The first process that ends by itself: wait for it beside whatever else may end the run."""
        ends = {asyncio.create_task(each.child.wait()): each.child for each in self._running}
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
        return ends[done.pop()]

    async def stop(self) -> None:
        """Drain along the way of the data; processes of one room together."""
        without_nats = any(each.room == "nats" and each.child.returncode is not None for each in self._running)
        patience_s = HOPELESS_S if without_nats else PATIENCE_S
        for room in STOP_ORDER:
            children = [each.child for each in self._running if each.room == room]
            await asyncio.gather(*(child.stop(patience_s) for child in children))
        self.state_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End everything now, without draining."""
        for each in self._running:
            each.child.kill()
        self.state_file.unlink(missing_ok=True)

    def _plan(self) -> Iterator[tuple[str, str]]:
        """Room and process name of every service, in START_ORDER."""
        workers = self._options.vision_workers
        for room in START_ORDER:
            if room == "vision" and workers > 1:
                yield from (("vision", f"vision-{number}") for number in range(1, workers + 1))
            else:
                yield room, room

    def _choose_api_port(self) -> int:
        wanted, host = self._options.port, self._options.host
        if wanted is not None:
            if wanted and not broker.is_free(wanted, host):
                raise Unavailable(f"port {wanted} on {host} is taken: choose another with --port, or leave it out")
            return wanted or broker.free_port(host)
        for port in range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED):
            if broker.is_free(port, host):
                if port != DEFAULT_PORT:
                    self._on_line("candor", f"port {DEFAULT_PORT} is taken, using {port} (--port chooses)")
                return port
        return broker.free_port(host)

    async def _start_nats(self) -> None:
        options = self._options
        port = DEFAULT_NATS_PORT if broker.is_free(DEFAULT_NATS_PORT) else broker.free_port()
        monitor_port = broker.free_port()
        config = broker.write_config(options.data, port, monitor_port)
        command = (broker.find_server(), "-c", str(config))
        child = await Child.start("nats", command, options.env, self._on_line)
        self.nats_url = f"nats://{broker.LOOPBACK}:{port}"
        nats = Running(child, monitor_port, "/healthz", "nats")
        self._running.append(nats)
        await self._ready(nats)

    async def _start(self, room: str, name: str) -> None:
        options = self._options
        health_port = broker.free_port()
        env = {
            "PYTHONUNBUFFERED": "1",
            "GLOG_minloglevel": "2",
            "CANDOR_LOG_FORMAT": "console",
            "CANDOR_INGEST_DRAIN_S": "2",
            **options.env,
            "CANDOR_NATS_URL": self.nats_url,
            "CANDOR_HEALTH_HOST": broker.LOOPBACK,
            "CANDOR_HEALTH_PORT": str(health_port),
        }
        if room == "vision":
            env |= self._identity_key
        if room == "api":
            env |= {"CANDOR_API_HOST": options.host, "CANDOR_API_PORT": str(self.api_port)}
        child = await Child.start(name, (*options.candor, room), env, self._on_line)
        self._running.append(Running(child, health_port, "/readyz", room))

    async def _ready(self, each: Running) -> None:
        while not await self._is_ready(each):
            code = each.child.returncode
            if code is not None:
                await each.child.wait()
                raise Unavailable(describe_end(each.child))
            await asyncio.sleep(POLL_S)

    async def _is_ready(self, each: Running) -> bool:
        if each.child.returncode is not None:
            return False
        status, _ = await broker.answers(each.health_port, each.health_path)
        return status == 200

    def _write_state(self) -> None:
        """What runs where, for tools and tests: written whole or not at all."""
        state: dict[str, Any] = {
            "pid": os.getpid(),
            "started_unix_s": round(time.time(), 3),
            "url": self.url,
            "nats_url": self.nats_url,
            "children": [{"name": name, "pid": pid, "health_url": url} for name, pid, url in self.processes],
        }
        draft = self.state_file.with_suffix(".tmp")
        draft.write_text(json.dumps(state, indent=2) + "\n", "utf-8")
        draft.replace(self.state_file)


def describe_end(child: Child) -> str:
    """How a child ended, with the last it said."""
    code = child.returncode
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
    last = "\n".join(f"  {child.name} | {line}" for line in list(child.tail)[-8:])
    return f"{child.name} {how}" + (f"; its last words:\n{last}" if last else "")


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the data directory, made if it is not there: two servers must not share one store.

    Raises:
        Conflict: another `candor up` has it.
        Unavailable: it cannot be made or written.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        handle = (data / "lock").open("a+")
    except OSError as error:
        raise Unavailable(f"the data directory {data} cannot be used: {error.strerror}") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(f"another `candor up` is using {data}: stop it, or choose another --data") from error
        yield

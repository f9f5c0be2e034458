"""All services as processes of their own, as in production, that can be measured and killed one by one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from proto.errors import Unavailable

SERVICES = ("ingest", "vision", "speech", "aggregator", "api")
READY_S = 60.0
STOP_S = 15.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A TCP port nobody listens on at this moment, below those the system gives to outgoing connections."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


@dataclass
class Stack:
    """nats-server and services in `folder`; `env` is given to every service. Names beyond SERVICES are `service:n`."""

    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    services: tuple[str, ...] = SERVICES
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    health: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nats_port = free_port()
        self.nats_url = f"nats://127.0.0.1:{self.nats_port}"
        self.api_port = free_port()
        self.url = f"http://127.0.0.1:{self.api_port}"

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            await self.start_nats()
            for name in self.services:
                self.spawn(name)
            await asyncio.gather(*(self.ready(name) for name in self.services))
        except BaseException:
            await self.stop_all()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_all()

    async def start_nats(self) -> None:
        """Start nats-server, or start it again on the same port and store."""
        beside = Path(sys.executable).parent / "nats-server"
        binary = str(beside) if beside.exists() else shutil.which("nats-server")
        if binary is None:
            raise Unavailable("nats-server is missing: run `uv sync`")
        config = self.folder / "nats.conf"
        store = self.folder / "jetstream"
        config.write_text(
            f'listen: "127.0.0.1:{self.nats_port}"\n'
            f'jetstream {{ store_dir: "{store}", max_memory_store: 1GB, max_file_store: 32GB }}\n'
        )
        self._popen("nats", [binary, "-c", str(config)], {})
        async with asyncio.timeout(READY_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.nats_port)
                    writer.close()
                    return
                await asyncio.sleep(0.01)

    def spawn(self, name: str) -> None:
        """Start one service process; `vision:2` is a second vision worker."""
        port = free_port()
        self.health[name] = f"http://127.0.0.1:{port}"
        env = {
            "CANDOR_NATS_URL": self.nats_url,
            "CANDOR_LOG_FORMAT": "json",
            "CANDOR_HEALTH_PORT": str(port),
            "CANDOR_API_PORT": str(self.api_port),
            **self.env,
        }
        self._popen(name, [sys.executable, "-m", "deploy.cli", name.partition(":")[0]], env)

    def _popen(self, name: str, command: list[str], env: Mapping[str, str]) -> None:
        with (self.folder / f"{name.replace(':', '-')}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=os.environ | env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    async def ready(self, name: str) -> None:
        """Wait until the process says that it can do its work.

        Raises:
            Unavailable: it ended, or did not get ready in time; with its last lines.
        """
        try:
            async with asyncio.timeout(READY_S), httpx.AsyncClient() as http:
                while True:
                    if self.processes[name].poll() is not None:
                        raise Unavailable(f"{name} ended: {self.tail(name)}")
                    with contextlib.suppress(httpx.TransportError):
                        if (await http.get(f"{self.health[name]}/readyz")).status_code == 200:
                            return
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise Unavailable(f"{name} is not ready after {READY_S:g} s: {self.tail(name)}") from error

    def tail(self, name: str, lines: int = 8) -> str:
        """Last lines of a process's log."""
        path = self.folder / f"{name.replace(':', '-')}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and, if it ends the process, wait for that."""
        process = self.processes[name]
        process.send_signal(how)
        if how in (signal.SIGKILL, signal.SIGTERM):
            process.wait(STOP_S)

    def cpu_s(self, name: str) -> float:
        """User and system CPU seconds that a process has used."""
        stat = Path(f"/proc/{self.processes[name].pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def rss_bytes(self, name: str) -> int:
        """Resident memory of a process."""
        return int(Path(f"/proc/{self.processes[name].pid}/statm").read_text().split()[1]) * _PAGE_BYTES

    async def stop_all(self) -> None:
        """End everything; services before nats-server."""
        for name in reversed(list(self.processes)):
            process = self.processes.pop(name)
            if process.poll() is None:
                process.terminate()
                try:
                    await asyncio.to_thread(process.wait, STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

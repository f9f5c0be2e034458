"""The connection to NATS itself: made, kept, made again; with the topology behind it."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Protocol

import nats.errors
from nats.aio.client import Client
from nats.aio.client import Server as NatsServer
from nats.js.errors import APIError, NoStreamResponseError

from proto.errors import BusUnavailable
from runtime import metrics
from runtime.bus import topology
from runtime.log import get_logger
from runtime.settings import RuntimeSettings

API_TIMEOUT_S = 5.0
RECONNECT_S = 0.5
PENDING_BYTES = 8 << 20
FLUSH_S = 2

log = get_logger("bus")


class Waiting(Protocol):
    """Somebody who waits for an answer on this connection."""

    def interrupt(self) -> None: ...


class Connection:
    """Reconnects for ever with jitter. `waiting` are told when it breaks: the answers they wait for are lost."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self.settings = settings
        self.client = Client()
        self.js = self.client.jetstream(timeout=API_TIMEOUT_S)
        self.waiting: set[Waiting] = set()
        self._refusal: Exception | None = None
        self._restoring: asyncio.Task[None] | None = None

    async def open(self, name: str, wait_s: float) -> None:
        """Connect, and make sure that streams, consumers and buckets exist.

        Raises:
            BusUnavailable: no server with JetStream answered within `wait_s`.
        """
        try:
            async with asyncio.timeout(wait_s):
                await self._connect(name)
                await self._ensure_topology()
        except TimeoutError as error:
            await self.close()
            where, reason = self.settings.nats_url, self._refusal or "no answer"
            raise BusUnavailable(f"no NATS server with JetStream at {where} within {wait_s:g} s: {reason}") from error
        except asyncio.CancelledError:
            await self.close()
            raise
        metrics.BUS_CONNECTED.set(1)

    async def close(self) -> None:
        """Send what is waiting, then hang up."""
        if self._restoring is not None:
            self._restoring.cancel()
            await asyncio.gather(self._restoring, return_exceptions=True)
        if self.client.is_connected:
            try:
                await self.client.flush(timeout=FLUSH_S)
            except (nats.errors.Error, OSError):
                log.warning("bus.flush_failed")
        await self.client.close()

    async def _connect(self, name: str) -> None:
        servers = [url.strip() for url in self.settings.nats_url.split(",")]
        while True:
            try:
                await self.client.connect(servers, **self._options(name))
                return
            except (nats.errors.Error, OSError) as error:
                # The first connection is ours to repeat: nats-py only repeats the later ones.
                self._refusal = error
                await asyncio.sleep(random.uniform(0.05, 0.2))

    async def _ensure_topology(self) -> None:
        while True:
            try:
                await topology.ensure(self.js, self.settings)
                return
            except (nats.errors.Error, NoStreamResponseError, APIError) as error:
                # A cluster that is still electing its leader; a real refusal stays until the deadline and is told.
                self._refusal = error
                await asyncio.sleep(random.uniform(0.05, 0.2))

    def _options(self, name: str) -> dict[str, Any]:
        options: dict[str, Any] = {
            "name": name,
            "max_reconnect_attempts": -1,
            "reconnect_to_server_handler": _jitter,
            "connect_timeout": 2,
            "ping_interval": 5,
            "max_outstanding_pings": 2,
            "pending_size": PENDING_BYTES,
            "error_cb": _on_error,
            "disconnected_cb": self._on_disconnect,
            "reconnected_cb": self._on_reconnect,
        }
        if self.settings.nats_credentials:
            options["user_credentials"] = str(self.settings.nats_credentials)
        return options

    async def _on_disconnect(self) -> None:
        metrics.BUS_CONNECTED.set(0)
        for one in self.waiting:
            one.interrupt()
        if not self.client.is_closed:
            log.warning("bus.disconnected")

    async def _on_reconnect(self) -> None:
        metrics.BUS_CONNECTED.set(1)
        metrics.BUS_RECONNECTS.inc()
        log.info("bus.reconnected")
        # A server that was restarted has lost its memory streams, with their consumers.
        self._restoring = asyncio.create_task(self._ensure_topology(), name="topology")


async def _on_error(error: Exception) -> None:
    if isinstance(error, nats.errors.SlowConsumerError):
        metrics.WATCHER_DROPPED.labels(error.subject.partition(".")[0]).inc()
    elif not isinstance(error, OSError | nats.errors.Error):
        log.error("bus.error", error=repr(error))


def _jitter(servers: list[NatsServer], _info: dict[str, Any]) -> tuple[NatsServer | None, float]:
    """Any server, after a random part of the pause: a thousand clients must not come back at the same moment."""
    return random.choice(servers), random.uniform(0.1, 1.0) * RECONNECT_S

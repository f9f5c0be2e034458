"""The api as a process: listen, serve, and end feeds before requests when it stops."""

from __future__ import annotations

import asyncio
import logging
import socket

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.parts import Parts
from api.settings import ApiSettings
from proto.errors import BadSettings, Unavailable
from runtime.bus import Bus
from runtime.health import QuietServer, listen
from runtime.log import get_logger

# A peer that takes nothing for so long is gone, even if its system answers probes; the kernel then frees the socket.
DEAD_PEER_MS = 30_000
MAX_HEADER_BYTES = 64 * 1024
WS_MAX_MESSAGE_BYTES = 4 * 1024
KEEP_ALIVE_S = 65

log = get_logger("api")


async def serve(settings: ApiSettings, bus: Bus, stop: asyncio.Event) -> None:
    """Serve HTTP until `stop` is set; then end feeds, let requests finish for `drain_s`, and return.

    Raises:
        BadSettings: keys, host or certificate are not usable.
        Unavailable: the address is taken.
    """
    app = create_app(settings, bus)
    with listen(settings.host.strip("[]"), settings.port) as sock:
        await serve_on(sock, app, stop)


async def serve_on(sock: socket.socket, app: FastAPI, stop: asyncio.Event) -> None:
    """Serve an app on a listening socket until `stop` is set."""
    parts: Parts = app.state.parts
    settings = parts.settings
    # Inherited by the connections it accepts.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
    server = QuietServer(_config(settings, app))
    _tell(settings, parts, sock.getsockname()[1])
    parts.bus.health.check("feed", parts.hub.subscribed.is_set)
    parts.bus.health.check("list", lambda: parts.listing.ready)
    parts.bus.health.started()
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(parts.hub.run()), tasks.create_task(parts.listing.run())]
        serving = tasks.create_task(server.serve(sockets=[sock]))
        stopping = tasks.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        # Feeds never finish by themselves: they are told to come back elsewhere before the server waits for requests.
        parts.hub.stop()
        server.should_exit = True
        await asyncio.wait({serving})
        for task in (*background, stopping):
            task.cancel()
    if not stop.is_set():
        raise Unavailable("the HTTP server ended by itself")


def _config(settings: ApiSettings, app: FastAPI) -> uvicorn.Config:
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        raise BadSettings("tls_cert_file and tls_key_file belong together", field="[api] tls_cert_file")
    # At INFO it would log the query strings of WebSockets, and with them access tokens.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        http="h11",
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ws="websockets-sansio",
        ws_max_size=WS_MAX_MESSAGE_BYTES,
        ws_ping_interval=settings.keepalive_s,
        ws_ping_timeout=settings.keepalive_s,
        # Feeds are many and their frames small: compressing each on its own costs more than it saves.
        ws_per_message_deflate=False,
        forwarded_allow_ips=settings.trusted_proxies,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        ssl_certfile=settings.tls_cert_file,
        ssl_keyfile=settings.tls_key_file,
    )
    try:
        config.load()
    except OSError as error:
        raise BadSettings(f"cannot be used: {error}", field="[api] tls_cert_file") from error
    return config


def _tell(settings: ApiSettings, parts: Parts, port: int) -> None:
    scheme = "https" if settings.tls_cert_file else "http"
    host = f"[{settings.host.strip('[]')}]" if ":" in settings.host else settings.host
    log.info(
        "api.listening", url=settings.public_url or f"{scheme}://{host}:{port}", docs=f"{scheme}://{host}:{port}/docs"
    )
    if parts.keys.open:
        log.warning(
            "api.open",
            reason="no API keys are set: anybody on this machine may read and erase sessions; only loopback is served",
        )

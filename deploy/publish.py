"""`candor publish`: send a recording, a camera or any tracks to a session, through lost connections, until it ends."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from deploy.client import Client
from deploy.sources import Tracks, open_source
from deploy.whip import NoRoom, WhipConnection
from proto.errors import CandorError, Unavailable

POLL_S = 0.5
RETRY_S = 2.0
PATIENCE_S = 60.0
"""How long to go on trying when nothing can be sent."""

Say = Callable[[str], None]


async def publish(
    source: Tracks,
    whip_url: str,
    token: str,
    *,
    stop: asyncio.Event | None = None,
    patience_s: float = PATIENCE_S,
    say: Say | None = None,
) -> float:
    """Send the tracks until they end or `stop` is set; returns for how many seconds media was sent.

    A lost connection is made again, and a full server asked again after its Retry-After, for `patience_s`; `say` is
    told in words. The tracks are stopped at the end.

    Raises:
        BadInput, NotFound, Refused: the server will not have it (address, session, token, codec).
        Unavailable: nothing answers, or no media gets through.
        Full: no node had room for as long as `patience_s`.
    """
    stop = stop or asyncio.Event()
    tell = say or _silent
    sent_s = 0.0
    deadline = time.monotonic() + patience_s
    try:
        while not stop.is_set():
            wait_s = RETRY_S
            try:
                async with WhipConnection(whip_url, token, source.all) as connection:
                    tell("live")
                    began = time.monotonic()
                    finished = await _send(connection, stop, tell, sent_s)
                    sent_s += time.monotonic() - began
                    if finished:
                        break
                    tell("the connection was lost; connecting again")
                    deadline = time.monotonic() + patience_s
            except (NoRoom, Unavailable) as error:
                wait_s = error.retry_after_s if isinstance(error, NoRoom) else RETRY_S
                first_refusal = sent_s == 0.0 and isinstance(error, Unavailable)
                if first_refusal or time.monotonic() + wait_s > deadline:
                    raise
                tell(f"{error}; trying again in {wait_s:.0f} s")
            await _sleep(wait_s, stop)
    finally:
        source.close()
    return sent_s


async def _send(connection: WhipConnection, stop: asyncio.Event, tell: Say, before_s: float) -> bool:
    """Until the tracks end or `stop` (True), or the connection is lost (False). `before_s` was sent earlier."""
    began = time.monotonic()
    while not stop.is_set() and not connection.finished:
        if not await connection.alive():
            return False
        tell(_progress(before_s + time.monotonic() - began))
        await _sleep(POLL_S, stop)
    return True


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


async def publish_command(
    source: str,
    *,
    url: str = "http://127.0.0.1:8000",
    key: str = "",
    whip_url: str = "",
    token: str = "",
    label: str = "",
    policy: str = "standard",
    loop: bool = False,
    say: Say | None = None,
) -> str:
    """Publish a file, `camera` or `/dev/videoN`; returns the session's id.

    With no `whip_url`, a session is created at the api `url` first, and ended when everything was sent. With one, its
    `token` is needed, and the session is left as it is: who created it ends it.

    Raises:
        CandorError: with a sentence for the person at the terminal.
    """
    tell = say or ProgressLine()
    tracks = open_source(source, loop=loop)
    created: dict[str, Any] = {}
    try:
        if not whip_url:
            async with Client(url, key) as client:
                created = await client.create(label or Path(source).stem, policy)
            whip_url, token = _absolute(created["whip_url"], url), created["token"]
            tell(f"session {created['id']}")
        session = created.get("id") or session_in(whip_url)
        sent_s = await publish(tracks, whip_url, token, say=tell)
        tell(f"sent {sent_s:.0f} s")
    finally:
        tracks.close()
        if created:
            await _end(url, key, created["id"], tell)
    return str(session)


async def _end(url: str, key: str, session: str, tell: Say) -> None:
    try:
        async with Client(url, key) as client:
            await client.end(session)
    except CandorError as error:
        tell(f"the session was not ended: {error}")


def session_in(whip_url: str) -> str:
    """Id of the session that a WHIP URL publishes to."""
    return whip_url.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]


def _absolute(url: str, base: str) -> str:
    return str(httpx.URL(base).join(url))


def _progress(sent_s: float) -> str:
    return f"live {int(sent_s) // 60:02d}:{int(sent_s) % 60:02d}"


def _silent(_text: str) -> None:
    return None


class ProgressLine:
    """Says what happens on stderr: on a terminal the time runs in one line, elsewhere only changes are printed."""

    def __init__(self) -> None:
        self._running = False
        self._last = ""

    def __call__(self, text: str) -> None:
        terminal = sys.stderr.isatty()
        ticking = text.startswith("live ")
        if text == self._last or (ticking and not terminal):
            return
        self._last = text
        if ticking:
            sys.stderr.write(f"\r{text}")
        else:
            sys.stderr.write(("\n" if self._running else "") + text + "\n")
        self._running = ticking
        sys.stderr.flush()

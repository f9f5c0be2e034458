"""One session of the demo: stream a candidate, print the feed as it happens, then the comparison and the report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from deploy.client import Client
from deploy.demo import printing, voice
from deploy.demo.compare import compare, hear
from deploy.demo.scene import Scene
from deploy.demo.script import SHOW, Act, Line, Script
from deploy.demo.tracks import Camera, Clock, Microphone
from deploy.demo.voice import Soundtrack
from deploy.publish import publish
from deploy.sources import Tracks, open_source
from deploy.watch import styled
from deploy.words import Reader
from proto.errors import FeatureMissing, Unavailable
from proto.views import SessionView

PATIENCE_S = 20.0
"""How long to try to get the first picture through."""
SETTLE_S = 15.0
QUIET_S = 2.0
"""When nothing new was said for so long, what was streamed has been dealt with."""
ENDED_S = 10.0
POLL_S = 0.1
OVER = ("ended", "expired")


@dataclass(frozen=True)
class Wanted:
    """What to show: a recording, or else the generated candidate; `duration_s` ends either early."""

    video: Path | None = None
    duration_s: float | None = None
    policy: str = "standard"


@dataclass(frozen=True)
class Performance:
    """What is streamed; `script` and `clock` are None for a recording."""

    tracks: Tracks
    script: Script | None = None
    clock: Clock | None = None
    speaks: bool = False


class Show:
    """One session from its creation to its report."""

    def __init__(self, client: Client, console: Console, wanted: Wanted, performance: Performance) -> None:
        self._client = client
        self._console = console
        self._wanted = wanted
        self._performance = performance
        self._reader = Reader()
        self._last_news_s = time.monotonic()

    async def run(self) -> int:
        """Stream, print, compare. Returns 1 if nothing of what was streamed was analysed, else 0.

        Raises:
            Unavailable, Refused: the server, or the way to it, failed.
            BadInput: it does not know the policy.
        """
        label = self._wanted.video.name if self._wanted.video else "Demo candidate"
        created = await self._client.create(label, self._wanted.policy)
        session: str = created["id"]
        self._print(
            "session ", (session, "bold"), "   dashboard ", (f"{self._client.url}/#/sessions/{session}", "underline")
        )
        first = await self._view(session)
        async with self._feed(session):
            await self._stream(created, first.created_unix_s)
            await self._settle(session)
            await self._client.end(session)
            await self._until_ended(session)
        return await self._conclude(session, first.created_unix_s)

    async def _stream(self, created: dict[str, Any], created_unix_s: float) -> None:
        telling = asyncio.create_task(self._tell_script(created_unix_s))
        try:
            async with asyncio.timeout(self._wanted.duration_s if self._wanted.video else None):
                await publish(self._performance.tracks, created["whip_url"], created["token"], patience_s=PATIENCE_S)
        except TimeoutError:
            self._print(("the show is cut here, as --duration says", "dim"))
        finally:
            telling.cancel()

    async def _tell_script(self, created_unix_s: float) -> None:
        """Print what the candidate does, at the moment it does it."""
        script, clock = self._performance.script, self._performance.clock
        if script is None or clock is None:
            return
        await clock.started.wait()
        began_unix_s = clock.started_unix_s or 0.0
        cues: list[Act | Line] = [*script.acts, *script.lines]
        for cue in sorted(cues, key=lambda cue: cue.start_s):
            await asyncio.sleep(max(0.0, began_unix_s + cue.start_s - time.time()))
            at_s = began_unix_s + cue.start_s - created_unix_s
            self._print((f"{at_s:7.1f} s  ", "dim"), (_cue(cue), "bright_black"))

    @asynccontextmanager
    async def _feed(self, session: str) -> AsyncIterator[None]:
        """Print the feed while inside; if the feed fails, what is inside fails with it."""
        reading = asyncio.create_task(self._print_feed(session))
        inside = asyncio.current_task()
        assert inside is not None
        reading.add_done_callback(lambda task: None if task.cancelled() else inside.cancel())
        try:
            yield
        except asyncio.CancelledError:
            if reading.done() and not reading.cancelled():
                inside.uncancel()
                raise reading.exception() or Unavailable("the session was deleted during the show") from None
            raise
        finally:
            reading.cancel()

    async def _print_feed(self, session: str) -> None:
        async for event in self._client.feed(session):
            for line in self._reader.read(event):
                self._last_news_s = time.monotonic()
                self._console.print(styled(line))

    async def _settle(self, session: str) -> None:
        """Wait until what was streamed has been dealt with: nothing new, and no words that may still change."""
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            quiet_s = time.monotonic() - self._last_news_s
            if quiet_s > QUIET_S and not self._reader.tentative.get(session):
                return
            await asyncio.sleep(POLL_S)

    async def _until_ended(self, session: str) -> None:
        deadline = time.monotonic() + ENDED_S
        while (await self._view(session)).status not in OVER:
            if time.monotonic() > deadline:
                raise Unavailable(f"the session did not end within {ENDED_S:g} s: is the aggregator well?")
            await asyncio.sleep(POLL_S)

    async def _conclude(self, session: str, created_unix_s: float) -> int:
        view = await self._view(session)
        report = msgspec.convert(await self._client.get(session, "report"), printing.Report)
        script, clock = self._performance.script, self._performance.clock
        if script is not None and clock is not None and clock.started_unix_s is not None:
            offset_s = clock.started_unix_s - created_unix_s
            printing.print_comparison(self._console, compare(script, view.ledger, view.timeline, offset_s), offset_s)
            if report.transcript and self._performance.speaks:
                words = [(word.start_s, word.text) for part in report.transcript for word in part.words]
                printing.print_heard(self._console, hear(script, words, offset_s))
        printing.print_report(self._console, report, view.ledger)
        if view.measures.frames_seen:
            return 0
        self._print(("Not one frame was analysed: something is broken.", "bold red"))
        return 1

    async def _view(self, session: str) -> SessionView:
        return msgspec.convert(await self._client.get(session), SessionView)

    def _print(self, *parts: str | tuple[str, str]) -> None:
        self._console.print(Text.assemble(*parts))


def prepare(wanted: Wanted, console: Console) -> Performance:
    """Open the recording, or make the candidate (about two seconds).

    Raises:
        BadInput, NotFound: the recording cannot be streamed, or the duration is too short to show anything.
        FeatureMissing: what the candidate is made of is not installed.
    """
    if wanted.video is not None:
        return Performance(open_source(str(wanted.video)))
    script = SHOW if wanted.duration_s is None else SHOW.cut(wanted.duration_s)
    scene = Scene(script)
    sound, speaks = _voice(script, console)
    clock = Clock(script.duration_s)
    return Performance(Tracks(Camera(scene, sound, clock), Microphone(sound, clock)), script, clock, speaks)


def _voice(script: Script, console: Console) -> tuple[Soundtrack, bool]:
    try:
        return voice.speak(script), True
    except (FeatureMissing, Unavailable) as error:
        console.print(Text(f"the candidate stays silent: {error}", style="magenta"))
        return voice.silence(script), False


def _cue(cue: Act | Line) -> str:
    return f"▸ {cue.words}" if isinstance(cue, Act) else f"▸ says “{cue.text}”"

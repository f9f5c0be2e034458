"""`candor watch`: the live feed in a terminal, as a table with running lines, or as JSON lines for machines."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, nullcontext

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.client import Client, Event
from deploy.words import Line, Reader, Row

ROWS_SHOWN = 15
OVER = ("ended", "expired")
AFTERWARDS_S = 3.0
"""A session's last words may come a little after its end."""
STYLES = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "green",
    "info": "cyan",
    "state": "bold",
    "speech": "italic",
    "notice": "magenta",
}


async def watch(client: Client, session: str = "", *, as_json: bool = False) -> None:
    """Show the feed of all sessions until cancelled, or of one until that session is over.

    Raises:
        NotFound, Refused, BadInput: what the server answered.
    """
    if as_json:
        async for event in until_over(client, session):
            sys.stdout.write(json_line(event) + "\n")
            sys.stdout.flush()
        return
    console = Console(highlight=False, markup=False)
    reader = Reader()
    console.print(Text(f"watching {session or 'all sessions'} at {client.url}  (Ctrl-C ends)", style="dim"))
    with Live(console=console, refresh_per_second=4) if console.is_terminal else nullcontext() as live:
        async for event in until_over(client, session):
            for line in reader.read(event):
                console.print(styled(line, reader.rows.get(line.session), name=not session))
            if live is not None:
                live.update(table(reader))


async def until_over(client: Client, session: str) -> AsyncIterator[Event]:
    """The feed; that of one session ends AFTERWARDS_S after the session has."""
    deadline: float | None = None
    loop = asyncio.get_running_loop()
    async with aclosing(client.feed(session)) as feed:
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await anext(feed)
            except (StopAsyncIteration, TimeoutError):
                return
            yield event
            if session and deadline is None and _is_over(event):
                deadline = loop.time() + AFTERWARDS_S


def _is_over(event: Event) -> bool:
    match event.name:
        case "snapshot":
            return json.loads(event.data).get("status") in OVER
        case "changed":
            return json.loads(event.data)["view"].get("status") in OVER
    return False


def json_line(event: Event) -> str:
    """One event as one line of JSON: event, id, data."""
    data = {"reason": event.data.decode()} if event.name == "lost" else json.loads(event.data)
    return json.dumps({"event": event.name, "id": event.id or None, "data": data}, ensure_ascii=False)


def styled(line: Line, row: Row | None = None, *, name: bool = False) -> Text:
    """A line for the terminal: session time, whose it is, what happened."""
    when = f"{line.t_s:7.1f} s  " if line.t_s is not None else " " * 11
    who = f"{(row.label if row is not None and row.label else line.session)[:20]:20}  " if name else ""
    return Text.assemble((when, "dim"), who, (line.text, STYLES.get(line.level) or STYLES.get(line.kind, "")))


def table(reader: Reader) -> Table:
    """Sessions by risk, those still going on first."""
    rows = sorted(reader.rows.values(), key=lambda row: (row.status in OVER, -row.score))
    result = Table(expand=True)
    for heading, justify in (("session", "left"), ("status", "left"), ("time", "right"), ("risk", "right")):
        result.add_column(heading, justify=justify)  # type: ignore[arg-type]
    result.add_column("now", ratio=1)
    for row in rows[:ROWS_SHOWN]:
        result.add_row(
            Text(row.label or row.session),
            row.status,
            f"{row.clock_s:.0f} s",
            Text(f"{int(row.score)} {row.level}", style=STYLES[row.level]),
            _now(row, reader.tentative.get(row.session, "")),
        )
    if len(rows) > ROWS_SHOWN:
        result.caption = f"and {len(rows) - ROWS_SHOWN} more"
    return result


def _now(row: Row, tentative: str) -> Text:
    happening = [episode.kind for episode in row.active]
    if row.could_not_tell.active:
        happening.append(f"could not tell: {', '.join(row.could_not_tell.reasons).replace('_', ' ')}")
    return Text.assemble(", ".join(happening), "  " if happening and tentative else "", (tentative, "italic dim"))

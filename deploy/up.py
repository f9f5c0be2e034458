"""`candor up` as people see it: whose line is whose, what runs where, and how to stop it."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.child import OnLine
from deploy.laptop import Laptop, Options
from deploy.supervise import supervise

COLOURS = {
    "candor": "bold white",
    "nats": "bright_black",
    "ingest": "cyan",
    "vision": "magenta",
    "speech": "yellow",
    "aggregator": "green",
    "api": "blue",
}
NAME_WIDTH = 10
NATS_CHATTER = "[INF]"


async def up(options: Options) -> int:
    """Run everything until Ctrl-C. Returns 0; failures are raised as `supervise` says."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    return await supervise(options, prefixed(console), lambda laptop, stop: _serve(console, laptop, stop))


async def _serve(console: Console, laptop: Laptop, stop: asyncio.Event) -> int:
    console.print(what_runs(laptop))
    console.print(
        Text.assemble(("dashboard  ", "bold"), (laptop.url, "bold underline"), "   API docs  ", f"{laptop.url}/docs")
    )
    console.print(Text("Ctrl-C drains and stops everything.", style="dim"))
    await stop.wait()
    return 0


def prefixed(console: Console) -> OnLine:
    """Prints a child's line behind its name."""

    def on_line(name: str, line: str) -> None:
        if name == "nats" and NATS_CHATTER in line:
            return
        colour = COLOURS.get(name.partition("-")[0], "white")
        console.print(Text.assemble((f"{name:{NAME_WIDTH}} | ", colour), Text.from_ansi(line)))

    return on_line


def what_runs(laptop: Laptop) -> Table:
    """Every process, its id, and where it says how it is."""
    table = Table(title="running", title_justify="left")
    table.add_column("process")
    table.add_column("pid", justify="right")
    table.add_column("health")
    for name, pid, url in laptop.processes:
        table.add_row(Text(name, style=COLOURS.get(name.partition("-")[0], "")), str(pid), url)
    table.caption = f"NATS at {laptop.nats_url}, data in {laptop.state_file.parent}"
    return table

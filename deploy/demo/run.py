"""`candor demo`: the show against a Candor that is started for it, or against one that runs already."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from deploy.child import OnLine
from deploy.client import Client
from deploy.demo.show import Show, Wanted, prepare
from deploy.laptop import Laptop, Options
from deploy.supervise import supervise

LOG_FILE = "demo.log"
PLAIN_WIDTH = 120


async def against(url: str, key: str, wanted: Wanted) -> int:
    """Show once against the server at `url`; the exit code."""
    console = _console()
    performance = await asyncio.to_thread(prepare, wanted, console)
    async with Client(url, key) as client:
        return await Show(client, console, wanted, performance).run()


async def everything(options: Options, key: str, wanted: Wanted, *, once: bool = False) -> int:
    """Start everything, show, and keep serving until Ctrl-C unless `once` or nobody is at a terminal.

    Raises:
        CandorError: what failed; the services' own words are in demo.log in the data directory.
    """
    console = _console()
    performance = await asyncio.to_thread(prepare, wanted, console)
    staying = not once and sys.stdin.isatty() and sys.stdout.isatty()

    async def body(laptop: Laptop, stop: asyncio.Event) -> int:
        console.print(Text.assemble("everything runs; its log is ", (str(options.data / LOG_FILE), "dim")))
        code = await _until(stop, show(laptop))
        if staying and not stop.is_set():
            console.print(Text.assemble("the dashboard stays at ", (laptop.url, "bold underline"), " until Ctrl-C"))
            await stop.wait()
        return code

    async def show(laptop: Laptop) -> int:
        async with Client(laptop.url, key) as client:
            return await Show(client, console, wanted, performance).run()

    console.print(Text("starting nats-server and the services, which takes some seconds", style="dim"))
    with _logging(options.data, console) as on_line:
        return await supervise(options, on_line, body)


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, int]) -> int:
    """The result of `work`; 0 if `stop` comes first, and then it is given up."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else 0
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait({working})


def _console() -> Console:
    """Wide enough for the tables where nobody has a window."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)


@contextmanager
def _logging(data: Path, console: Console) -> Iterator[OnLine]:
    """The services' lines go to a file, so that the show is readable; the supervisor's own are shown."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / LOG_FILE).open("w", encoding="utf-8") as file:

        def on_line(name: str, line: str) -> None:
            file.write(f"{name:10} | {line}\n")
            file.flush()
            if name == "candor":
                console.print(Text(line, style="dim"))

        yield on_line

"""Running something on a laptop's worth of Candor: until it is done, a child dies, or a signal says stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from deploy.child import OnLine
from deploy.laptop import Laptop, Options, describe_end, only_one
from proto.errors import Unavailable

FORCED_CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Body = Callable[[Laptop, asyncio.Event], Awaitable[int]]
"""What to do while everything runs. The event is set by Ctrl-C: return then. Its result is the exit code."""


async def supervise(options: Options, on_line: OnLine, body: Body) -> int:
    """Start everything, run `body`, drain everything. The first of SIGNALS ends it in order, the second at once.

    Raises:
        Conflict: another `candor up` has the data directory.
        Unavailable: something did not start, or died; by then everything else is drained.
        FeatureMissing: there is no nats-server.
    """
    with only_one(options.data):
        laptop = Laptop(options, on_line)
        with _signals(laptop, on_line) as stop:
            return await _run(laptop, body, stop)


async def _run(laptop: Laptop, body: Body, stop: asyncio.Event) -> int:
    starting = asyncio.create_task(laptop.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        stopping.cancel()
        return 0
    stopping.cancel()
    await starting
    showing = asyncio.ensure_future(body(laptop, stop))
    watching = asyncio.create_task(laptop.failed())
    try:
        await asyncio.wait({showing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done() and not stop.is_set():
            showing.cancel()
            raise Unavailable(describe_end(watching.result()))
        return await showing
    finally:
        watching.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        await laptop.stop()


@contextmanager
def _signals(laptop: Laptop, on_line: OnLine) -> Iterator[asyncio.Event]:
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            laptop.kill()
            os._exit(FORCED_CODE)
        on_line("candor", f"{number.name}: draining; once more to leave at once")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield stop
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

"""How a service process lives: read settings, connect, serve, drain on the first signal, leave at once on the next."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from proto import subjects
from proto.errors import BadSettings, BusUnavailable, CandorError
from runtime.bus import Bus, Subscription
from runtime.health import serving
from runtime.log import configure, get_logger
from runtime.settings import RuntimeSettings, ServiceSettings

S = TypeVar("S", bound=ServiceSettings)
Serve = Callable[[S, Bus, asyncio.Event], Awaitable[None]]
"""A service: says `bus.health.started()` once it takes work, goes on until the event is set, drains and returns."""

CONNECT_S = 30.0
HEALTH_QUESTIONS = 16
"""Questions after this process's health that may wait; of more, the oldest are dropped, and counted."""

log = get_logger("lifecycle")


def run(service: str, settings_class: type[S], serve: Serve[S]) -> int:
    """Run one service until SIGTERM or Ctrl-C. Returns the exit code: 0 drained, 1 failed, 2 misconfigured.

    Raises:
        BadSettings: a setting does not parse; nothing was started.
    """
    runtime = RuntimeSettings.load()
    settings = settings_class.load()
    configure(service, runtime.log_format, runtime.log_level, show_pii=runtime.log_pii)
    if unknown := settings_class.unknown_variables():
        log.warning("settings.unknown_variables", names=unknown)
    try:
        asyncio.run(_live(service, runtime, settings, serve))
    except CandorError as error:
        log.error("lifecycle.failed", reason=str(error))
        return 2 if isinstance(error, BadSettings) else 1
    except TimeoutError:
        log.error("lifecycle.drain_timed_out", after_s=runtime.drain_s)
        return 1
    return 0


async def _live(service: str, runtime: RuntimeSettings, settings: S, serve: Serve[S]) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    # Started in this order and stopped in reverse: probes outlive the service, so that a draining process can be
    # watched, and the bus outlives it too, because draining means publishing what is still in hand.
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(await Bus.connect(runtime, service, wait_s=CONNECT_S))
        bus.health.check("nats", lambda: bus.connected)
        bus.health.starting()
        port = await stack.enter_async_context(serving(service, bus.health, runtime.health_host, runtime.health_port))
        await stack.enter_async_context(answering_health(service, bus))
        log.info("lifecycle.started", pid=os.getpid(), health=f"http://{runtime.health_host}:{port}/healthz")
        await _serve_and_drain(serve(settings, bus, stop), stop, runtime.drain_s)
    log.info("lifecycle.stopped")


@asynccontextmanager
async def answering_health(service: str, bus: Bus) -> AsyncIterator[None]:
    """Tell whoever asks over the bus how this process is.

    Raises:
        BusUnavailable: NATS does not take the subscription.
    """
    async with bus.subscribe(subjects.HEALTH_ASK, limit=HEALTH_QUESTIONS) as questions:
        task = asyncio.create_task(_answer(questions, service, bus), name="health-answers")
        try:
            yield
        finally:
            # Closing ends the task: cancelled in the middle of a write, it might not notice.
            await questions.close()
            await asyncio.wait({task})


async def _answer(questions: Subscription, service: str, bus: Bus) -> None:
    async for question in questions:
        try:
            await question.respond(bus.health.report(service))
        except BusUnavailable as error:
            # Whoever asked has stopped waiting long before NATS is back.
            log.debug("lifecycle.health_not_told", reason=str(error))


async def _serve_and_drain(serving_: Awaitable[None], stop: asyncio.Event, drain_s: float) -> None:
    task = asyncio.ensure_future(serving_)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        async with asyncio.timeout(drain_s):
            await task
    finally:
        stopping.cancel()


def _stop_on_signals(stop: asyncio.Event) -> None:
    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            log.warning("lifecycle.forced", signal=number.name)
            os._exit(128 + number)
        log.info("lifecycle.draining", signal=number.name)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)

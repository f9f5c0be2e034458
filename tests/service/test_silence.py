"""Silence is reported only where somebody listened: a standstill of our own is nobody's lost connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from aggregator.service import serve
from aggregator.settings import AggregatorSettings
from proto import codec, subjects
from proto.observations import AnyObservation, SourceStalled
from runtime.bus import Bus
from tests.support.observed import created, stats, up
from tests.support.wait import eventually

STALL_S = 0.5
STANDSTILL_S = 2.0
"""Shorter than a lease, which would be lost with everything remembered under it."""


async def stall(bus: Bus) -> SourceStalled | None:
    found = await bus.last(subjects.LOG, subjects.log("s1", "source.stalled"))
    return None if found is None else codec.decode(found.data, AnyObservation)


async def test_a_process_that_stood_still_counts_silence_from_its_awakening(
    bus: Bus, connect: Callable[[], Awaitable[Bus]]
):
    stop = asyncio.Event()
    settings = AggregatorSettings(node="one", balance_s=0.1, sweep_s=0.1, stall_s=STALL_S)
    task = asyncio.create_task(serve(settings, await connect(), stop))
    try:
        await bus.observe(created(created_unix_s=time.time()))
        await bus.observe(up())

        async def folded() -> bool:
            info = await bus._js.consumer_info(subjects.LOG, subjects.fold_consumer(subjects.partition("s1")))
            return not info.num_pending and not info.num_ack_pending

        await eventually(folded, 10.0, "folded")
        time.sleep(STANDSTILL_S)  # noqa: ASYNC251  # as SIGSTOP does: nothing of this process runs
        await eventually(lambda: stall(bus), 10.0, "a stall")
        reported = await stall(bus)
        assert reported is not None
        # Measured from the last word before the standstill it would be at least as long as that.
        assert STALL_S <= reported.silent_s < STANDSTILL_S
    finally:
        stop.set()
        await task


async def test_an_interviewer_who_goes_on_does_not_hide_that_the_candidate_fell_silent(
    bus: Bus, connect: Callable[[], Awaitable[Bus]]
):
    stop = asyncio.Event()
    settings = AggregatorSettings(node="one", balance_s=0.1, sweep_s=0.1, stall_s=STALL_S)
    task = asyncio.create_task(serve(settings, await connect(), stop))
    try:
        await bus.observe(created(created_unix_s=time.time()))
        await bus.observe(up())
        for number in range(40):
            await bus.observe(stats(number / 10, source="interviewer-0f"))
            await asyncio.sleep(0.1)
        assert await stall(bus) is not None
    finally:
        stop.set()
        await task

"""Which sessions have sound that nobody may be listening to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from proto import subjects
from proto.errors import BadInput, BusUnavailable
from runtime.bus import Bus
from runtime.log import get_logger

SWEEP_S = 5.0
TRY_AGAIN_S = 1.0
LIMIT = 256
MAX_REMEMBERED = 100_000

log = get_logger("speech")


class Discovery:
    """Calls `offer(session)` for sessions that have sound: at once when a message passes by, and now and then for those
    whose sound waits in the stream although nobody sends any more. `offer` decides; it is called at most about once a
    second for a session.
    """

    def __init__(self, bus: Bus, offer: Callable[[str], None]) -> None:
        self._bus = bus
        self._offer = offer
        self._next_try_s: dict[str, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear_new(stop), name="speech-discovery")
            group.create_task(self._sweep(stop), name="speech-sweep")

    async def _hear_new(self, stop: asyncio.Event) -> None:
        # A core subscription: what it drops under load does not matter, the next chunk comes 200 ms later.
        async with self._bus.subscribe(subjects.audio("*"), limit=LIMIT) as passing:
            while not stop.is_set():
                delivery = await passing.next(0.5)
                if delivery is not None:
                    self._consider(delivery.subject)

    async def _sweep(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                stream = await self._bus.info(subjects.AUDIO, subjects.audio("*"))
            except BusUnavailable as error:
                log.warning("speech.sweep_failed", error=str(error))
            else:
                for subject in stream.subjects:
                    self._consider(subject)
                kept = {subjects.session_of(subject) for subject in stream.subjects}
                self._next_try_s = {s: until_s for s, until_s in self._next_try_s.items() if s in kept}
            await _sleep(stop, SWEEP_S)

    def _consider(self, subject: str) -> None:
        try:
            session = subjects.check_session(subjects.session_of(subject))
        except BadInput:
            log.warning("speech.strange_subject")
            return
        now_s = asyncio.get_running_loop().time()
        if now_s < self._next_try_s.get(session, 0.0) or len(self._next_try_s) >= MAX_REMEMBERED:
            return
        self._next_try_s[session] = now_s + TRY_AGAIN_S * random.uniform(0.7, 1.3)
        self._offer(session)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return

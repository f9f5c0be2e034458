"""A speech worker: takes sessions that have sound, as many as it has room for, and listens to each under a lease."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys

from inference.backends import running
from inference.backends.silero import SileroBackend
from inference.speech import bidding, metrics
from inference.speech.decoding import Decoder
from inference.speech.discovery import Discovery
from inference.speech.encoder import VoiceEncoder
from inference.speech.resume import standing
from inference.speech.session import Session
from inference.speech.settings import SpeechSettings
from proto import subjects
from proto.errors import CandorError, FeatureMissing
from runtime import lifecycle
from runtime.bus import Bus
from runtime.leases import Lease, Leases
from runtime.log import get_logger

SETTLED_LIMIT = 10_000
TRIES_AT_ONCE = 64
MAX_PAUSE_S = 60.0
HESITATE_STEP_S = 0.02
LOOK_S = 1.0

log = get_logger("speech")


async def serve(settings: SpeechSettings, bus: Bus, stop: asyncio.Event) -> None:
    """Run one worker until `stop` is set; sessions are given back as they are, a successor goes on."""
    bus.health.runs_on(running.models)
    silero = SileroBackend()
    silero.load()
    owner = f"speech-{socket.gethostname()}-{os.getpid()}"
    # Leases end last: a session may publish as long as its lease is held, and is given back when it has stopped.
    async with Leases(bus, owner) as leases, Decoder(settings) as decoder, VoiceEncoder(settings) as encoder:
        _tell_feature(bus, await decoder.ensure(), decoder)
        if settings.voices:
            _tell_voices(bus, await encoder.ensure(), encoder)
        worker = Worker(settings, bus, leases, silero, decoder, encoder)
        bus.health.started()
        await worker.run(stop)
    silero.close()


class Worker:
    """The sessions of one process."""

    def __init__(
        self,
        settings: SpeechSettings,
        bus: Bus,
        leases: Leases,
        silero: SileroBackend,
        decoder: Decoder,
        encoder: VoiceEncoder,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._leases = leases
        self._silero = silero
        self._decoder = decoder
        self._encoder = encoder
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._held: set[str] = set()
        self._listeners: dict[str, Session] = {}
        self._admission = asyncio.Lock()
        self._settled: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._stop = asyncio.Event()
        self._count()

    async def run(self, stop: asyncio.Event) -> None:
        """Take sessions until `stop` is set, then give them back."""
        discovery = Discovery(self._bus, self._offer)
        watching = asyncio.create_task(self._watch_load(), name="speech-load")
        try:
            await discovery.run(stop)
        finally:
            self._stop.set()
            await asyncio.gather(watching, *self._tasks.values())

    async def _watch_load(self) -> None:
        """Keep the figures of load fresh, whether anybody offers a session or not."""
        while not self._stop.is_set():
            self._delay_s()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._stop.wait()

    def _offer(self, session: str) -> None:
        """Try to take a session, if it is not ours already and there is room."""
        if session in self._tasks or self._stop.is_set():
            return
        if self._full or len(self._tasks) - len(self._held) >= TRIES_AT_ONCE:
            metrics.TURNED_AWAY.inc()
            return
        self._tasks[session] = asyncio.create_task(self._hold(session), name=f"speech-{session}")

    @property
    def _full(self) -> bool:
        return len(self._held) >= self._settings.max_sessions

    async def _hesitate(self) -> None:
        """Leave a session to a worker with more room; what this one takes on meanwhile counts too."""
        waited_s = 0.0
        while waited_s < self._delay_s() and not self._stop.is_set():
            await asyncio.sleep(HESITATE_STEP_S)
            waited_s += HESITATE_STEP_S

    def _delay_s(self) -> float:
        behind_s = max((listener.behind_s for listener in self._listeners.values()), default=0.0)
        factor = self._decoder.realtime_factor
        metrics.BEHIND.set(behind_s)
        metrics.REALTIME_FACTOR.set(factor)
        return bidding.delay_s(len(self._held), self._settings.max_sessions, factor, behind_s)

    async def _admit(self, session: str) -> Lease | None:
        """The session's lease, if nobody has it. One at a time, so that trying takes no room away from having."""
        async with self._admission:
            if self._full or self._stop.is_set():
                return None
            lease = await self._leases.acquire(subjects.lease_audio(session))
            if lease is not None:
                self._held.add(session)
                self._count()
            return lease

    async def _hold(self, session: str) -> None:
        lease: Lease | None = None
        failed = False
        try:
            if not await self._news(session):
                return
            await self._hesitate()
            lease = await self._admit(session)
            if lease is not None:
                await self._listen(session, lease)
                self._failures.pop(session, None)
        except CandorError as error:
            # The boundary of a session: its sound waits in the stream, whoever offers it next takes it up from the log.
            metrics.FAILED.labels(type(error).__name__).inc()
            log.warning("speech.session_given_back", session=session, error=type(error).__name__, reason=str(error))
            failed = True
        except Exception as error:
            metrics.FAILED.labels(type(error).__name__).inc()
            log.exception("speech.session_failed", session=session)
            failed = True
        finally:
            if lease is not None:
                await self._release(lease)
            self._held.discard(session)
            self._count()
            if failed:
                await self._pause(session)
            self._tasks.pop(session, None)

    async def _pause(self, session: str) -> None:
        """Leave a session that fails to others, longer each time: it is not offered again while its task lives."""
        count = self._failures[session] = self._failures.get(session, 0) + 1
        while len(self._failures) > SETTLED_LIMIT:
            del self._failures[next(iter(self._failures))]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(MAX_PAUSE_S, 0.5 * 2 ** min(count, 10))):
                await self._stop.wait()

    async def _listen(self, session: str, lease: Lease) -> None:
        where = await standing(self._bus, session)
        if where is None:
            # Not created here, or erased: nobody may listen.
            self._settle(session, await self._newest(session))
            return
        if where.resumed:
            metrics.RESUMED.inc()
        listener = Session(self._bus, session, lease, where, self._settings, self._silero, self._decoder, self._encoder)
        self._listeners[session] = listener
        log.info("speech.session_taken", session=session, resumed=where.resumed)
        run = asyncio.create_task(listener.run(self._stop), name=f"speech-listen-{session}")
        lost = asyncio.create_task(lease.lost.wait(), name=f"speech-lease-{session}")
        try:
            await asyncio.wait({run, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Whatever is under way when the lease is lost stops at once.
            for task in (run, lost):
                task.cancel()
            results = await asyncio.gather(run, lost, return_exceptions=True)
            self._listeners.pop(session, None)
        if isinstance(results[0], Exception):
            raise results[0]
        _tell_feature(self._bus, self._decoder.missing, self._decoder)
        if self._settings.voices:
            _tell_voices(self._bus, self._encoder.missing, self._encoder)
        if lease.held and not self._stop.is_set():
            self._settle(session, listener.last_seq or await self._newest(session))
            log.info("speech.session_over", session=session)

    async def _news(self, session: str) -> bool:
        """Whether there is sound beyond what this worker has settled."""
        return session not in self._settled or await self._newest(session) > self._settled[session]

    async def _newest(self, session: str) -> int:
        last = await self._bus.last(subjects.AUDIO, subjects.audio(session))
        return last.seq if last else 0

    def _settle(self, session: str, seq: int) -> None:
        self._settled[session] = seq
        while len(self._settled) > SETTLED_LIMIT:
            del self._settled[next(iter(self._settled))]

    async def _release(self, lease: Lease) -> None:
        try:
            await self._leases.release(lease)
        except CandorError as error:
            log.warning("speech.release_failed", key=lease.key, reason=str(error))

    def _count(self) -> None:
        metrics.SESSIONS.set(len(self._held))
        metrics.FREE.set(self._settings.max_sessions - len(self._held))


def _tell_feature(bus: Bus, missing: FeatureMissing | None, decoder: Decoder) -> None:
    if decoder.model:
        bus.health.provider(decoder.model, decoder.device)
    detail = str(missing) if missing else f"model {decoder.model}"
    command = missing.command if missing else ""
    bus.health.set("feature:transcript", ok=missing is None, detail=detail, critical=False, command=command)


def _tell_voices(bus: Bus, missing: FeatureMissing | None, encoder: VoiceEncoder) -> None:
    detail = str(missing) if missing else f"model {encoder.model}"
    command = missing.command if missing else ""
    bus.health.set("feature:voices", ok=missing is None, detail=detail, critical=False, command=command)


def main() -> int:
    """What `candor speech` runs."""
    return lifecycle.run("speech", SpeechSettings, serve)


if __name__ == "__main__":
    sys.exit(main())

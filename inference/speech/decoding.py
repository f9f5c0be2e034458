"""Decoding shared by the sessions of a worker: one queue, ends of utterances first, then in order of asking."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from inference.backends.whisper import FEATURE, Hypothesis, WhisperBackend
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.speech import metrics
from inference.speech.settings import SpeechSettings
from inference.speech.transcriber import Request
from proto.errors import FeatureMissing, Full, Unavailable
from runtime.log import get_logger

LOOK_AGAIN_S = 30.0
"""A worker without weights looks for them again this often: a model pulled later is used without a restart."""

log = get_logger("speech")


class Decoder:
    """Runs Whisper in `settings.decoders` threads. A session asks for one decode at a time, so the queue holds at most
    as many as there are sessions, and each session gets its turn: no session can stand in it twice.
    """

    def __init__(self, settings: SpeechSettings) -> None:
        self._settings = settings
        self._store = Store(ModelsSettings.load(dir=settings.models_dir))
        self._pool = ThreadPoolExecutor(settings.decoders, thread_name_prefix="whisper")
        self._free = settings.decoders
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._backend: WhisperBackend | None = None
        self._looked_s = float("-inf")
        self.missing: FeatureMissing | None = None

    @property
    def model(self) -> str:
        """Name of the loaded model, or ""."""
        return self._backend.name if self._backend else ""

    @property
    def device(self) -> str:
        """What runs it, `cpu` or `cuda`, or ""."""
        return self._backend.device if self._backend else ""

    async def ensure(self) -> FeatureMissing | None:
        """Load the model if it is not; returns why there is none."""
        now_s = asyncio.get_running_loop().time()
        if self._backend is None and now_s - self._looked_s >= LOOK_AGAIN_S:
            self._looked_s = now_s
            try:
                self._backend = await asyncio.get_running_loop().run_in_executor(self._pool, self._load)
                self.missing = None
                log.info("speech.model_loaded", model=self._backend.name)
            except FeatureMissing as missing:
                self.missing = missing
                log.warning("speech.no_text", reason=missing.reason, command=missing.command)
        return self.missing

    def _load(self) -> WhisperBackend:
        settings = self._settings
        model = self._store.find(settings.model, FEATURE)
        backend = WhisperBackend(
            model.path,
            name=model.name,
            device=settings.device,
            compute_type=settings.compute_type,
            threads=settings.threads,
            decoders=settings.decoders,
            beam_size=settings.beam_size,
        )
        backend.load()
        return backend

    async def decode(self, request: Request) -> Hypothesis:
        """The model's words for a request, when it is its turn.

        Raises:
            FeatureMissing: no model is loaded.
            Full: more sessions wait than the worker takes.
            Unavailable: it failed, or waited or took longer than `decode_timeout_s`.
        """
        if self._backend is None:
            raise self.missing or FeatureMissing(FEATURE, "no model is loaded")
        kind = "final" if request.final else "partial"
        asked_s = time.perf_counter()
        limit_s = self._settings.decode_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                await self._turn(urgent=request.final)
        except TimeoutError as error:
            metrics.DECODES.labels(kind, "timeout").inc()
            raise Unavailable(f"a decode waited longer than {limit_s:g} s for its turn") from error
        started_s = time.perf_counter()
        metrics.DECODE_WAIT.observe(started_s - asked_s)
        # The slot is free when the thread is, not when the caller stops waiting for it.
        job = asyncio.get_running_loop().run_in_executor(
            self._pool, self._backend.run, request.samples, request.language
        )
        job.add_done_callback(self._give_back)
        try:
            async with asyncio.timeout(limit_s):
                hypothesis = await asyncio.shield(job)
        except TimeoutError as error:
            metrics.DECODES.labels(kind, "timeout").inc()
            raise Unavailable(f"a decode took longer than {limit_s:g} s") from error
        except Unavailable:
            metrics.DECODES.labels(kind, "failed").inc()
            raise
        metrics.DECODES.labels(kind, "done").inc()
        metrics.DECODE.observe(time.perf_counter() - started_s)
        return hypothesis

    async def _turn(self, *, urgent: bool) -> None:
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        if len(self._waiting) >= self._settings.max_sessions:
            raise Full(f"{len(self._waiting)} decodes wait already")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (0 if urgent else 1, next(self._order), turn))
        metrics.WAITING.set(len(self._waiting))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free += 1
                self._call_next()
            raise

    def _give_back(self, job: asyncio.Future[Hypothesis]) -> None:
        if not job.cancelled():
            job.exception()
        self._free += 1
        self._call_next()

    def _call_next(self) -> None:
        while self._free > 0 and self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._free -= 1
                turn.set_result(None)
        metrics.WAITING.set(len(self._waiting))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._backend is not None:
            self._backend.close()

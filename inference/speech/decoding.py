"""Decoding shared by the sessions of a worker: one queue, from which what waits is taken in batches.

Ends of utterances come first, then utterances under way in order of asking, then translations.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Literal, Self

from inference.backends.whisper import FEATURE, Hypothesis, Passage, WhisperBackend
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.speech import metrics, windows
from inference.speech.cadence import Load
from inference.speech.settings import SpeechSettings
from proto.errors import FeatureMissing, Full, Unavailable
from runtime.log import get_logger

LOOK_AGAIN_S = 30.0
"""A worker without weights looks for them again this often: a model pulled later is used without a restart."""
GPU_BATCH = 8
CPU_BATCH = 1
"""A CPU is busy with one decode: a batch would only make the first of it wait for the last."""

Kind = Literal["final", "partial", "translation"]
_RANKS: dict[Kind, int] = {"final": 0, "partial": 1, "translation": 2}

log = get_logger("speech")


@dataclass(slots=True, order=True)
class _Job:
    """A passage that waits, in the order in which it is its turn."""

    rank: int
    order: int
    passage: Passage = field(compare=False)
    started: asyncio.Future[None] = field(compare=False)
    answer: asyncio.Future[Hypothesis] = field(compare=False)


class Decoder:
    """Runs Whisper in `settings.decoders` threads. A session asks for one decode and one translation at a time, so the
    queue holds at most two for each, and each session gets its turn: none can stand in it twice.
    """

    def __init__(self, settings: SpeechSettings) -> None:
        self._settings = settings
        self._store = Store(ModelsSettings.load(dir=settings.models_dir))
        self._pool = ThreadPoolExecutor(settings.decoders, thread_name_prefix="whisper")
        self._free = settings.decoders
        self._order = itertools.count()
        self._waiting: list[_Job] = []
        self._backend: WhisperBackend | None = None
        self._looked_s = float("-inf")
        self.load = Load(settings.decoders)
        self.missing: FeatureMissing | None = None

    @property
    def model(self) -> str:
        """Name of the loaded model, or ""."""
        return self._backend.name if self._backend else ""

    @property
    def device(self) -> str:
        """What runs it, `cpu` or `cuda`, or ""."""
        return self._backend.device if self._backend else ""

    @property
    def multilingual(self) -> bool:
        """Whether the loaded model knows other languages than English, and translates from them."""
        return self._backend is not None and self._backend.multilingual

    def knows(self, language: str) -> bool:
        """Whether the loaded model writes a language."""
        return self._backend is not None and self._backend.knows(language)

    @property
    def batch(self) -> int:
        """Most passages decoded together."""
        return self._settings.batch or (GPU_BATCH if self.device == "cuda" else CPU_BATCH)

    @property
    def realtime_factor(self) -> float:
        """Share of the decoders' time that went into decoding lately; near 1 they are what holds the worker up."""
        return self.load.realtime_factor(time.perf_counter())

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
            fitted=windows.fitted(settings.fitted_window, model.name),
        )
        backend.load()
        return backend

    async def decode(self, passage: Passage, kind: Kind) -> Hypothesis:
        """The model's words for a passage, when it is its turn.

        Raises:
            FeatureMissing: no model is loaded.
            Full: more decodes wait than the worker's sessions can ask for.
            Unavailable: it failed, or waited or took longer than `decode_timeout_s`.
        """
        if self._backend is None:
            raise self.missing or FeatureMissing(FEATURE, "no model is loaded")
        if len(self._waiting) >= 2 * self._settings.max_sessions:
            raise Full(f"{len(self._waiting)} decodes wait already")
        loop = asyncio.get_running_loop()
        job = _Job(_RANKS[kind], next(self._order), passage, loop.create_future(), loop.create_future())
        heapq.heappush(self._waiting, job)
        self._call_next()
        try:
            hypothesis = await self._answer(job)
        except Unavailable as error:
            metrics.DECODES.labels(kind, "timeout" if isinstance(error, _TooLate) else "failed").inc()
            raise
        finally:
            self._forget(job)
        metrics.DECODES.labels(kind, "done").inc()
        return hypothesis

    async def _answer(self, job: _Job) -> Hypothesis:
        limit_s = self._settings.decode_timeout_s
        asked_s = time.perf_counter()
        try:
            async with asyncio.timeout(limit_s):
                await job.started
        except TimeoutError as error:
            raise _TooLate(f"a decode waited longer than {limit_s:g} s for its turn") from error
        metrics.DECODE_WAIT.observe(time.perf_counter() - asked_s)
        try:
            async with asyncio.timeout(limit_s):
                return await job.answer
        except TimeoutError as error:
            raise _TooLate(f"a decode took longer than {limit_s:g} s") from error

    def _forget(self, job: _Job) -> None:
        """Whoever stops waiting leaves no job behind."""
        job.started.cancel()
        job.answer.cancel()
        if job in self._waiting:
            self._waiting.remove(job)
            heapq.heapify(self._waiting)
        metrics.WAITING.set(len(self._waiting))

    def _call_next(self) -> None:
        """Give free threads what waits. Batches form by themselves: out of what came while all threads were busy."""
        while self._free > 0 and self._waiting and self._backend is not None:
            jobs = [job for job in self._take() if not job.started.done()]
            if not jobs:
                continue
            self._free -= 1
            metrics.BATCH.observe(len(jobs))
            for job in jobs:
                job.started.set_result(None)
            passages = [job.passage for job in jobs]
            # The slot is free when the thread is, not when the caller stops waiting for it.
            run = asyncio.get_running_loop().run_in_executor(self._pool, self._backend.run, passages)
            run.add_done_callback(partial(self._done, jobs, time.perf_counter()))
        metrics.WAITING.set(len(self._waiting))

    def _take(self) -> list[_Job]:
        """The next batch. No transcription waits for a translation in it."""
        jobs = [heapq.heappop(self._waiting)]
        translates = jobs[0].rank == _RANKS["translation"]
        while self._waiting and len(jobs) < self.batch:
            if (self._waiting[0].rank == _RANKS["translation"]) != translates:
                break
            jobs.append(heapq.heappop(self._waiting))
        return jobs

    def _done(self, jobs: list[_Job], started_s: float, run: asyncio.Future[list[Hypothesis | Unavailable]]) -> None:
        now_s = time.perf_counter()
        metrics.DECODE.observe(now_s - started_s)
        self.load.note(now_s, now_s - started_s, len(jobs))
        error = None if run.cancelled() else run.exception()
        for place, job in enumerate(jobs):
            if job.answer.done():
                continue
            if run.cancelled():
                job.answer.cancel()
            elif error is not None:
                job.answer.set_exception(error)
            elif isinstance(answer := run.result()[place], Unavailable):
                job.answer.set_exception(answer)
            else:
                job.answer.set_result(answer)
        self._free += 1
        self._call_next()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._backend is not None:
            self._backend.close()


class _TooLate(Unavailable):
    """The time for an answer is over."""

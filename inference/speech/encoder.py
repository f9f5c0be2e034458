"""The voice encoder of a worker: one model in a thread of its own for all its sessions, one batch after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from inference.backends.settings import OnnxSettings
from inference.backends.voice_encoder import FEATURE, VoiceEncoderBackend
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.signals.mel import Sound
from inference.signals.voice_groups import Embedding
from inference.speech import metrics
from inference.speech.settings import SpeechSettings
from proto.errors import FeatureMissing
from runtime.log import get_logger

LOOK_AGAIN_S = 30.0
"""As for the transcript's model: one that is pulled later is used without a restart."""
EMBED_TIMEOUT_S = 10.0
MAX_BATCH = 32

log = get_logger("speech")


class VoiceEncoder:
    """An async context manager. A session asks for one batch at a time, so no more wait than there are sessions."""

    def __init__(self, settings: SpeechSettings) -> None:
        self._name = settings.voices_model
        self._store = Store(ModelsSettings.load(dir=settings.models_dir))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="voices")
        self._backend: VoiceEncoderBackend | None = None
        self._looked_s = float("-inf")
        self.missing: FeatureMissing | None = None

    @property
    def model(self) -> str:
        """Name of the loaded model, or ""."""
        return self._backend.name if self._backend else ""

    async def ensure(self) -> FeatureMissing | None:
        """Load the model if it is not; returns why there is none."""
        now_s = asyncio.get_running_loop().time()
        if self._backend is None and now_s - self._looked_s >= LOOK_AGAIN_S:
            self._looked_s = now_s
            try:
                self._backend = await asyncio.get_running_loop().run_in_executor(self._pool, self._load)
                self.missing = None
                log.info("speech.voices_loaded", model=self._backend.name)
            except FeatureMissing as missing:
                self.missing = missing
                log.warning("speech.no_voices", reason=missing.reason, command=missing.command)
        return self.missing

    async def embed(self, sounds: Sequence[Sound]) -> list[Embedding | None] | None:
        """Embeddings in order; None for a sound that the model makes nothing of, and for all where it failed."""
        if not sounds:
            return []
        if self._backend is None:
            return None
        begin_s = time.perf_counter()
        job = asyncio.get_running_loop().run_in_executor(self._pool, self._embed, list(sounds))
        try:
            async with asyncio.timeout(EMBED_TIMEOUT_S):
                found = await asyncio.shield(job)
        except TimeoutError:
            # The thread goes on; what it finds is nobody's any more.
            job.add_done_callback(_forget)
            metrics.VOICE_CELLS.labels("timeout").inc(len(sounds))
            log.warning("speech.voices_late", sounds=len(sounds), after_s=EMBED_TIMEOUT_S)
            return None
        except Exception as error:  # whatever a model raises: the voice of this stretch is not known, nothing else
            metrics.VOICE_CELLS.labels("failed").inc(len(sounds))
            log.error("speech.voices_failed", error=type(error).__name__, exc_info=error)
            return None
        metrics.VOICE_CELLS.labels("done").inc(len(sounds))
        metrics.EMBED.observe(time.perf_counter() - begin_s)
        return found

    def _load(self) -> VoiceEncoderBackend:
        backend = VoiceEncoderBackend(self._store.find(self._name, FEATURE), OnnxSettings.load())
        backend.load()
        return backend

    def _embed(self, sounds: list[Sound]) -> list[Embedding | None]:
        if self._backend is None:
            return [None] * len(sounds)
        parts = (sounds[start : start + MAX_BATCH] for start in range(0, len(sounds), MAX_BATCH))
        return [embedding for part in parts for embedding in self._backend.run(part)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._backend is not None:
            self._pool.submit(self._backend.close)
        self._pool.shutdown(wait=False)


def _forget(job: asyncio.Future[list[Embedding | None]]) -> None:
    if not job.cancelled():
        job.exception()

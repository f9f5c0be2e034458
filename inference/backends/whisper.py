"""Whisper through faster-whisper (CTranslate2), from a local folder: it never reaches for the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from proto.errors import FeatureMissing, Unavailable

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

FEATURE = "transcript"
NEEDED = ("config.json", "model.bin", "tokenizer.json")
"""Without tokenizer.json faster-whisper would ask the network for one."""


@dataclass(frozen=True, slots=True)
class RawWord:
    """A word with times in seconds from the start of the decoded sound."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class RawSegment:
    words: tuple[RawWord, ...]
    no_speech_probability: float
    log_probability: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the model wrote for a stretch of sound; `language_probability` is 1 where the language was given."""

    segments: tuple[RawSegment, ...]
    language: str
    language_probability: float


class WhisperBackend:
    """One model in a folder of CTranslate2 files. `run` may be called from `decoders` threads at once."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        device: str = "auto",
        compute_type: str = "default",
        threads: int = 2,
        decoders: int = 1,
        beam_size: int = 1,
    ) -> None:
        self.name = name
        self._folder = folder
        self._device = device
        self._compute_type = compute_type
        self._threads = threads
        self._decoders = decoders
        self._beam_size = beam_size
        self._model: WhisperModel | None = None

    @property
    def device(self) -> str:
        """What runs it, `cpu` or `cuda`, once it is loaded."""
        return str(self._model.model.device) if self._model else ""

    def load(self) -> None:
        """Read the weights; takes seconds for the larger models.

        Raises:
            FeatureMissing: files are missing or broken, or the device or number format is not there.
        """
        lacking = [name for name in NEEDED if not (self._folder / name).is_file()]
        if lacking:
            raise FeatureMissing(FEATURE, f"{self._folder} lacks {', '.join(lacking)}")
        from faster_whisper import WhisperModel  # noqa: PLC0415 - a second of imports

        try:
            self._model = WhisperModel(
                str(self._folder),
                device=self._device,
                compute_type=self._compute_type,
                cpu_threads=self._threads,
                num_workers=self._decoders,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise FeatureMissing(FEATURE, f"the model in {self._folder} does not load: {error}") from error

    def run(self, samples: NDArray[np.float32], language: str = "") -> Hypothesis:
        """Decode up to 30 s of 16 kHz sound (-1..1). An empty language is found out from the sound.

        Raises:
            FeatureMissing: the model is not loaded.
            Unavailable: the library failed, for example for want of memory.
        """
        if self._model is None:
            raise FeatureMissing(FEATURE, "the model is not loaded")
        try:
            return self._transcribe(self._model, samples, language)
        except RuntimeError as error:
            raise Unavailable(f"{self.name} failed: {error}") from error

    def _transcribe(self, model: WhisperModel, samples: NDArray[np.float32], language: str) -> Hypothesis:
        # Temperature 0 only: the same sound must give the same words to a worker and to its successor.
        found, info = model.transcribe(
            samples,
            language=language or None,
            beam_size=self._beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=False,
        )
        segments = tuple(
            RawSegment(
                tuple(RawWord(w.word, float(w.start), float(w.end), float(w.probability)) for w in segment.words or ()),
                float(segment.no_speech_prob),
                float(segment.avg_logprob),
            )
            for segment in found
        )
        return Hypothesis(segments, info.language, float(info.language_probability))

    def close(self) -> None:
        self._model = None

"""Whisper through faster-whisper (CTranslate2), from a local folder: it never reaches for the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inference.backends.whisper_batch import ENGLISH, Batches, Hypothesis, Passage, RawSegment
from inference.backends.whisper_timing import RawWord
from proto.errors import FeatureMissing, Unavailable

__all__ = ["ENGLISH", "FEATURE", "Hypothesis", "Passage", "RawSegment", "RawWord", "WhisperBackend"]

FEATURE = "transcript"
NEEDED = ("config.json", "model.bin", "tokenizer.json")
"""Without tokenizer.json faster-whisper would ask the network for one."""


class WhisperBackend:
    """One model in a folder of CTranslate2 files. `run` may be called from `decoders` threads at once.

    `fitted` encodes the sound with half a second to one and a half of padding instead of up to 30 s.
    """

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
        fitted: bool = False,
    ) -> None:
        self.name = name
        self._folder = folder
        self._device = device
        self._compute_type = compute_type
        self._threads = threads
        self._decoders = decoders
        self._beam_size = beam_size
        self._fitted = fitted
        self._batches: Batches | None = None
        self._device_used = ""
        self._multilingual = False

    @property
    def device(self) -> str:
        """What runs it, `cpu` or `cuda`, once it is loaded."""
        return self._device_used

    @property
    def multilingual(self) -> bool:
        """Whether the loaded model knows more than English; only such a model translates."""
        return self._multilingual

    def knows(self, language: str) -> bool:
        """Whether the loaded model writes a language, by Whisper's code for it."""
        return self._batches is not None and self._batches.knows(language)

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
            model = WhisperModel(
                str(self._folder),
                device=self._device,
                compute_type=self._compute_type,
                cpu_threads=self._threads,
                num_workers=self._decoders,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise FeatureMissing(FEATURE, f"the model in {self._folder} does not load: {error}") from error
        self._device_used, self._multilingual = str(model.model.device), bool(model.model.is_multilingual)
        self._batches = Batches(model, beam_size=self._beam_size, fitted=self._fitted)

    def run(self, batch: Sequence[Passage]) -> list[Hypothesis | Unavailable]:
        """Decode passages together; the answers are in their order, an error stands in the place of its passage.

        Raises:
            FeatureMissing: the model is not loaded.
        """
        if self._batches is None:
            raise FeatureMissing(FEATURE, "the model is not loaded")
        try:
            return list(self._batches.run(batch))
        except (RuntimeError, ValueError) as error:
            if len(batch) == 1:
                return [Unavailable(f"{self.name} failed: {error}")]
        # One of them broke the batch (or all were too much for the memory): each for itself.
        return [answer for passage in batch for answer in self.run([passage])]

    def close(self) -> None:
        self._batches = None
        self._device_used, self._multilingual = "", False

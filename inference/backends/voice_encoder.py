"""A voice as a direction: the embedding of 1.6 s of speech, by Resemblyzer's encoder or any ONNX file of its layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from inference.backends.onnx import OnnxModel
from inference.backends.settings import OnnxSettings
from inference.signals import mel
from proto.errors import FeatureMissing

if TYPE_CHECKING:
    from inference.models.store import LocalModel

FEATURE = "voices"
WIDTH = 256

Embedding = npt.NDArray[np.float32]
"""(256,), of length 1."""


class VoiceEncoderBackend:
    """Takes `mels` (n, 160, 40) and gives (n, 256). One for all sessions of a process; not safe for threads."""

    def __init__(self, model: LocalModel, onnx: OnnxSettings) -> None:
        self.name = model.name
        self._model = OnnxModel(model.path, onnx, name=model.name, feature=FEATURE, fp16=model.card.half_precision)

    def load(self) -> None:
        """Open the file and run it on silence.

        Raises:
            FeatureMissing: it, or ONNX Runtime, is absent or broken, or is no model of this layout.
        """
        self._model.load()
        try:
            (found,) = self._embed([np.zeros(mel.PARTIAL, np.float32)])
        except Exception as error:  # ONNX Runtime has errors of its own for a feed that a graph does not take
            raise FeatureMissing(FEATURE, f"{self.name} does not take mels of {mel.FRAMES}x{mel.BANDS}") from error
        if found.shape != (WIDTH,):
            raise FeatureMissing(FEATURE, f"{self.name} gives {found.size} numbers for a voice, not {WIDTH}")

    @property
    def provider(self) -> str:
        """ONNX Runtime provider that runs it."""
        return self._model.provider

    def run(self, batch: Sequence[mel.Sound]) -> list[Embedding | None]:
        """Embedding of each sound of up to 1.6 s, in order; None for one that the encoder makes nothing of."""
        return [found if _is_direction(found) else None for found in self._embed(batch)]

    def close(self) -> None:
        self._model.close()

    def _embed(self, batch: Sequence[mel.Sound]) -> list[Embedding]:
        if not batch:
            return []
        feed = np.stack([mel.partial(sound) for sound in batch])
        (out, *_) = self._model.run({self._model.inputs[0]: feed})
        return list(np.asarray(out, np.float32).reshape(len(batch), -1))


def _is_direction(embedding: Embedding) -> bool:
    """Digital silence, or a model that failed, gives zeros or what is no number."""
    return bool(abs(float(np.linalg.norm(embedding)) - 1.0) < 0.01)

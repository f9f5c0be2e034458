"""Silero VAD v6, from the ONNX file inside the faster-whisper package: speech probability of every 32 ms of sound."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.backends import running
from inference.backends.onnx import session_options
from inference.backends.providers import CPU
from proto.errors import FeatureMissing
from runtime.health import RunsOn

WINDOW = 512
"""Samples of one window at 16 kHz."""
CONTEXT = 64
"""Samples of the window before that the model wants in front."""
_STATE_SHAPE = (1, 1, 128)


def _zeros() -> NDArray[np.float32]:
    return np.zeros(_STATE_SHAPE, np.float32)


@dataclass(slots=True)
class SileroState:
    """What one stream of sound carries from window to window."""

    hidden: NDArray[np.float32] = field(default_factory=_zeros)
    cell: NDArray[np.float32] = field(default_factory=_zeros)
    context: NDArray[np.float32] = field(default_factory=lambda: np.zeros(CONTEXT, np.float32))


class SileroBackend:
    """One model for all streams; each stream brings its own state."""

    name = "silero-vad-v6"

    def __init__(self) -> None:
        self._session: Any = None

    def load(self) -> None:
        """Read the model.

        Raises:
            FeatureMissing: the installed faster-whisper does not carry it.
        """
        import faster_whisper  # noqa: PLC0415 - a second of imports, only where it is used

        path = Path(faster_whisper.__file__).parent / "assets" / "silero_vad_v6.onnx"
        if not path.is_file():
            raise FeatureMissing("voice activity", "this faster-whisper does not carry Silero VAD v6")
        import onnxruntime  # noqa: PLC0415 - half a second, only where a model runs

        # On the CPU, whatever else is here: 32 ms of sound are too little work to be carried to a GPU and back.
        self._session = onnxruntime.InferenceSession(str(path), session_options(1), providers=[CPU])
        running.started(RunsOn(model=self.name, provider=CPU), {})

    def run(self, samples: NDArray[np.int16], state: SileroState) -> NDArray[np.float32]:
        """Speech probability (0-1) of each window of `samples` (a whole number of windows); moves `state` on."""
        if self._session is None:
            raise FeatureMissing("voice activity", "the model is not loaded")
        scaled = samples.astype(np.float32) / 32768.0
        windows = scaled.reshape(-1, WINDOW)
        before = np.concatenate([state.context[None, :], windows[:-1, -CONTEXT:]])
        feed = {"input": np.concatenate([before, windows], axis=1), "h": state.hidden, "c": state.cell}
        probabilities, state.hidden, state.cell = self._session.run(None, feed)
        state.context = windows[-1, -CONTEXT:].copy()
        return np.asarray(probabilities, np.float32).reshape(-1)

    def close(self) -> None:
        if self._session is not None:
            self._session = None
            running.stopped(self.name)

"""One ONNX model in ONNX Runtime, on the best provider there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.backends.settings import OnnxSettings
from proto.errors import FeatureMissing

Array = npt.NDArray[Any]


class OnnxModel:
    """A model file with a dynamic first axis. Not safe for threads.

    `name` labels metrics and `/health`; `feature` is what a session lacks without it; `fp16` says that half precision
    was seen to give the same results. Once `load` has been called, `provider` names the one that really runs it, and
    `fixed_batch` is the size of the first axis where the file fixes it, or None.
    """

    def __init__(self, path: Path, settings: OnnxSettings, *, name: str, feature: str, fp16: bool = False) -> None:
        self._path = path
        self._settings = settings
        self._fp16 = fp16
        self._session: Any = None
        self.name = name
        self.feature = feature
        self.provider = ""
        self.inputs: tuple[str, ...] = ()
        self.fixed_batch: int | None = None

    def load(self) -> None:
        """Open the file and run it once, so that the first picture is not slow.

        Raises:
            FeatureMissing: the file, or ONNX Runtime, is absent or broken.
        """
        import onnxruntime  # noqa: PLC0415 - half a second, only where a model runs

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._settings.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise FeatureMissing(self.feature, f"{self._path} does not load: {error}") from error
        self.inputs = tuple(one.name for one in self._session.get_inputs())
        first_axis = self._session.get_inputs()[0].shape[:1]
        self.fixed_batch = first_axis[0] if first_axis and isinstance(first_axis[0], int) else None
        self.provider = self._session.get_providers()[0]

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """Outputs in the graph's order. The first axis of every feed and output is the batch.

        Raises:
            FeatureMissing: the model is not loaded.
        """
        if self._session is None:
            raise FeatureMissing(self.feature, "the model is not loaded")
        return [np.asarray(out) for out in self._session.run(None, feeds)]

    def close(self) -> None:
        self._session = None

"""What the models converted from MediaPipe's package have in common: one file with one input named `input`."""

from __future__ import annotations

from inference.backends.onnx import OnnxModel
from inference.backends.settings import OnnxSettings
from inference.models.store import LocalModel


class ConvertedBackend:
    """Derive with `run`. `name` has the versions of the package and of the conversion."""

    def __init__(self, model: LocalModel, onnx: OnnxSettings) -> None:
        self.name = model.path.stem
        self._model = OnnxModel(
            model.path, onnx, name=model.name, feature=model.card.feature, fp16=model.card.half_precision
        )

    @property
    def provider(self) -> str:
        """Execution provider that runs it, once loaded."""
        return self._model.provider

    def load(self) -> None:
        """Open the model and run it once.

        Raises:
            FeatureMissing: the file, or ONNX Runtime, is absent or broken.
        """
        self._model.load()

    def close(self) -> None:
        self._model.close()

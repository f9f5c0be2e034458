"""Models made of what an installed package carries: the form that suits where they run."""

from __future__ import annotations

from inference.backends import gpu
from inference.backends.onnx import OnnxModel
from inference.backends.settings import OnnxSettings
from inference.models import convert
from inference.models.store import LocalModel
from proto.errors import FeatureMissing, Unavailable


def model_of(model: LocalModel, onnx: OnnxSettings) -> OnnxModel:
    """The model, not loaded yet. The store has the form for a CPU; one for a GPU is made beside it when it is wanted.

    Raises:
        FeatureMissing: it cannot be made.
    """
    path = model.path
    if model.card.embedded and _on_gpu(onnx):
        try:
            path = convert.build(model.name, path.parent, for_gpu=True)
        except (OSError, Unavailable) as error:
            raise FeatureMissing(model.card.feature, f"{model.name} cannot be made: {error}") from error
    return OnnxModel(path, onnx, name=model.name, feature=model.card.feature, fp16=model.card.half_precision)


def _on_gpu(onnx: OnnxSettings) -> bool:
    """Whether a GPU is asked for, or is there."""
    return onnx.provider != "cpu" if onnx.provider != "auto" else gpu.device_present()

"""Models made of what an installed package carries: the form that suits where they run."""

from __future__ import annotations

from inference.backends.onnx import OnnxModel
from inference.backends.settings import OnnxSettings
from inference.models import convert
from inference.models.store import LocalModel
from proto.errors import FeatureMissing, Unavailable

_GPU = {"TensorrtExecutionProvider", "CUDAExecutionProvider"}


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
    """Whether a GPU is asked for, or would be taken."""
    if onnx.provider != "auto":
        return onnx.provider != "cpu"
    import onnxruntime  # noqa: PLC0415 - half a second, only where a model runs

    return not _GPU.isdisjoint(onnxruntime.get_available_providers())

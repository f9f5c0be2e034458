"""`candor models build --tensorrt`: the engines that workers would otherwise build when they start, for minutes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from inference.backends import gpu
from inference.backends.engine_cache import engines_in, label
from inference.backends.onnx import OnnxModel
from inference.backends.providers import TENSORRT
from inference.backends.running import models as running
from inference.backends.settings import OnnxSettings
from inference.models.store import LocalModel
from proto.errors import FeatureMissing, Unavailable

FEATURE = "TensorRT engines"


def build(
    models: Sequence[LocalModel], settings: OnnxSettings, progress: Callable[[str], None] = typer.echo
) -> tuple[str, ...]:
    """Build the engines of these models for this machine's GPU, in `engine_dir` of the settings; those that are there
    already are only opened. `progress` is told a line before and after each model. Returns the names of the models that
    now have engines: models which no code here runs by itself (speech, and what a package runs) have none.

    Raises:
        FeatureMissing: there is no TensorRT, or no GPU, here; says what to run where a command helps.
        Unavailable: TensorRT does not take some of the models; the others are built.
    """
    _check()
    refused: list[str] = []
    built: list[str] = []
    for local in models:
        if local.path.suffix != ".onnx" or local.card.package:
            continue
        progress(f"{local.name}: building; the first time takes minutes")
        reason = _build(local, settings.model_copy(update={"provider": "tensorrt"}))
        if reason:
            refused.append(f"{local.name}: {reason}")
            progress(f"{local.name}: not built")
            continue
        built.append(local.name)
        progress(f"{local.name}: {_size(settings, local.path)} in {settings.engine_dir.expanduser()}")
    if refused:
        raise Unavailable("TensorRT does not run " + "; ".join(refused))
    return tuple(built)


def _check() -> None:
    if gpu.both_builds():
        raise FeatureMissing(FEATURE, "onnxruntime and onnxruntime-gpu are both installed", gpu.mend(gpu=True))
    import onnxruntime  # noqa: PLC0415 - half a second, only where engines are built

    if TENSORRT not in onnxruntime.get_available_providers():
        raise FeatureMissing(FEATURE, "this ONNX Runtime is built without TensorRT", gpu.SYNC_GPU)
    if not gpu.device_present():
        raise FeatureMissing(FEATURE, "no NVIDIA GPU is visible here, and an engine is built on the GPU it is for")


def _build(local: LocalModel, settings: OnnxSettings) -> str:
    """Empty, or why there is no engine."""
    model = OnnxModel(local.path, settings, name=local.name, feature=local.card.feature, fp16=local.card.half_precision)
    try:
        model.load()
        told = next(one for one in running() if one.model == local.name)
        return "" if model.provider == TENSORRT else told.reason
    except FeatureMissing as error:
        return error.reason
    finally:
        model.close()


def _size(settings: OnnxSettings, path: Path) -> str:
    files = engines_in(settings.engine_dir.expanduser() / label(path))
    return f"{len(files)} engine{'' if len(files) == 1 else 's'}"

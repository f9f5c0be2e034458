"""Every model that is here on a GPU: the provider that was asked for, the CPU's results, engines that are built once.

Runs wherever a CUDA provider and a device are found, and is skipped, with its reason, elsewhere. Tolerances are those
of the relative error: root of the squared differences' sum over that of the CPU's values, output by output.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from inference.backends import engines, gpu, running
from inference.backends.engine_cache import engines_in
from inference.backends.onnx import Array, OnnxModel
from inference.backends.providers import CPU, CUDA, TENSORRT, inputs_of, zeros
from inference.backends.settings import OnnxSettings
from inference.models.manifest import Manifest
from inference.models.reading import load
from inference.models.settings import ModelsSettings
from inference.models.store import LocalModel, Store
from tests.conftest import REPOSITORY

FLOAT32 = 1e-3
"""CUDA without TF32: other kernels, another order of sums."""
TF32 = 1e-2
"""TensorRT takes TF32, with 10 bits of mantissa, wherever it is faster, and ONNX Runtime has no option against it."""
HALF = 2e-2
"""float16, for the models whose cards allow it."""

TOLERANCE = {("cuda", False): FLOAT32, ("cuda", True): TF32, ("tensorrt", False): TF32, ("tensorrt", True): HALF}
REAL = {"cuda": CUDA, "tensorrt": TENSORRT}
BATCH = 3


def gpu_or_skip(provider: str) -> None:
    if CUDA not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA provider")
    if not gpu.device_present():
        pytest.skip("no NVIDIA GPU is visible here")
    if provider == "tensorrt" and TENSORRT not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no TensorRT provider")


def models_here(folder: Path, built: Path) -> list[LocalModel]:
    """All models that a session of ours runs: those built here, and those of the folder, the tests' own included."""
    rows = load(REPOSITORY / "tests" / "support" / "models.toml").models
    store = Store(ModelsSettings(dir=folder, built_dir=built), manifest=Manifest(models=rows), for_gpu=True)
    return [
        store.find(name, card.feature)
        for name, card in store.models.items()
        if (card.embedded or store.present(name)) and store.path(name).suffix == ".onnx" and not card.package
    ]


def feeds_for(local: LocalModel) -> dict[str, Array]:
    """Noise in the range the model's inputs have: 0-255 where the card's layout leaves pixels as they are, else 0-1."""
    inputs = inputs_of(onnxruntime.InferenceSession(str(local.path), providers=[CPU]))
    layout = local.card.layout
    top = 255.0 if layout and layout.scale == 1.0 and layout.std == (1.0, 1.0, 1.0) else 1.0
    random = np.random.default_rng(7)
    shaped = zeros(inputs, BATCH)
    assert shaped is not None, local.name
    return {name: (random.random(feed.shape) * top).astype(feed.dtype) for name, feed in shaped.items()}


def distance(ours: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> float:
    """Relative to the truth's size; infinite where a number is none."""
    assert ours.shape == truth.shape
    if not np.isfinite(ours).all():
        return float("inf")
    return float(np.linalg.norm(ours.astype(np.float64) - truth) / max(np.linalg.norm(truth), 1e-9))


def opened(local: LocalModel, provider: str, engine_dir: Path) -> OnnxModel:
    settings = OnnxSettings(provider=provider, engine_dir=engine_dir, max_batch=4, optimal_batch=2)
    half = local.card.half_precision
    model = OnnxModel(local.path, settings, name=local.name, feature=local.card.feature, fp16=half)
    model.load()
    return model


def far_off(local: LocalModel, provider: str, engine_dir: Path) -> list[str]:
    """What is wrong with a model on a provider; empty where nothing is."""
    feeds = feeds_for(local)
    truth = opened(local, "cpu", engine_dir)
    there = opened(local, provider, engine_dir)
    try:
        if there.provider != REAL.get(provider, CPU):
            (told,) = [one for one in running.models() if one.model == local.name]
            return [f"{local.name} runs on {there.provider}: {told.reason}"]
        limit = TOLERANCE.get((provider, local.card.half_precision), FLOAT32)
        distances = [distance(ours, right) for ours, right in zip(there.run(feeds), truth.run(feeds), strict=True)]
        return [f"{local.name}, output {i}: {d:.2e} > {limit}" for i, d in enumerate(distances) if not d <= limit]
    finally:
        there.close()
        truth.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return tmp_path_factory.mktemp("built")


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
@pytest.mark.timeout(1800)
def test_every_model_gives_the_cpus_results(provider: str, models_dir: Path, built: Path, tmp_path: Path) -> None:
    gpu_or_skip(provider)
    faults = [fault for local in models_here(models_dir, built) for fault in far_off(local, provider, tmp_path)]
    assert faults == []


@pytest.mark.timeout(1800)
def test_engines_are_built_once(models_dir: Path, built: Path, tmp_path: Path) -> None:
    gpu_or_skip("tensorrt")
    local = next(one for one in models_here(models_dir, built) if one.name == "face-mesh")
    settings = OnnxSettings(engine_dir=tmp_path, max_batch=4, optimal_batch=2)
    assert engines.build([local], settings, lambda _: None) == ("face-mesh",)
    first = engines_in(tmp_path)
    assert first
    again = opened(local, "tensorrt", tmp_path)
    assert again.provider == TENSORRT
    again.close()
    assert engines_in(tmp_path) == first


def test_what_is_compared_is_the_models_and_a_difference_is_found(
    models_dir: Path, built: Path, tmp_path: Path
) -> None:
    """The comparison itself, where there is no GPU: the CPU against the CPU, and against numbers that are a bit off."""
    locals_ = models_here(models_dir, built)
    assert {"face-detector", "face-mesh", "person", "yolox-nano", "mobilefacenet"} <= {one.name for one in locals_}
    local = next(one for one in locals_ if one.name == "faceapi-expression")
    assert far_off(local, "cpu", tmp_path) == []
    values = np.random.default_rng(1).random((3, 7))
    assert distance(values * 1.002, values) > FLOAT32
    assert distance(np.full_like(values, np.nan), values) == float("inf")

"""Which ONNX Runtime providers a model is tried on, in which order and with which options. Pure: asks nothing of the
machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inference.backends.settings import OnnxSettings

TENSORRT = "TensorrtExecutionProvider"
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"

CHAIN = (TENSORRT, CUDA, CPU)
"""Best first."""

_NAMED = {"tensorrt": TENSORRT, "cuda": CUDA, "cpu": CPU}
_TYPES: dict[str, npt.DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class Input(NamedTuple):
    """One input of a graph. `shape` has None where the graph leaves an axis open; `kind` is e.g. `tensor(float)`."""

    name: str
    shape: tuple[int | None, ...]
    kind: str

    def at(self, batch: int) -> tuple[int, ...] | None:
        """The shape of a batch of this size; None where an axis other than the first is open, too."""
        rest = tuple(axis for axis in self.shape[1:] if axis is not None)
        if len(rest) < len(self.shape) - 1:
            return None
        if not self.shape:
            return ()
        return (self.shape[0] if self.shape[0] is not None else batch, *rest)


def inputs_of(session: Any) -> tuple[Input, ...]:
    """Inputs of an `InferenceSession`."""
    return tuple(
        Input(one.name, tuple(axis if isinstance(axis, int) else None for axis in one.shape), one.type)
        for one in session.get_inputs()
    )


def fixed_batch(inputs: Sequence[Input]) -> int | None:
    """Size of the first axis where the graph fixes it, else None."""
    return inputs[0].shape[0] if inputs and inputs[0].shape else None


def wanted(choice: str, available: Sequence[str], *, gpu: bool, shaped: bool = True) -> str:
    """The provider that ought to run a model; another one is a fall-back that operators hear of.

    `choice` is the setting, `available` what this ONNX Runtime was built with, `gpu` whether an NVIDIA device is here,
    `shaped` whether every axis but the first is fixed, without which TensorRT would build an engine for each new size.
    """
    if choice != "auto":
        named = _NAMED[choice]
        return named if shaped or named != TENSORRT else CUDA
    best = next((one for one in CHAIN if one in available and (shaped or one != TENSORRT)), CPU)
    return CUDA if gpu and best == CPU else best


def chain(choice: str, available: Sequence[str], *, shaped: bool = True) -> tuple[str, ...]:
    """Providers to try, best first; the CPU is always the last."""
    best = _NAMED.get(choice, TENSORRT)
    return tuple(
        one for one in CHAIN[CHAIN.index(best) :] if one == CPU or (one in available and (shaped or one != TENSORRT))
    )


def batches(settings: OnnxSettings, inputs: Sequence[Input]) -> tuple[int, int, int]:
    """Smallest, best and largest batch a model is run with; all the same where the graph fixes it."""
    fixed = fixed_batch(inputs)
    if fixed is not None:
        return fixed, fixed, fixed
    return 1, min(settings.optimal_batch, settings.max_batch), settings.max_batch


def profile(inputs: Sequence[Input], batch: int) -> str:
    """Shapes of the inputs with an open first axis, as the options trt_profile_*_shapes want them: `a:8x3x112,b:8x4`.

    Empty where no axis is open. Every axis but the first must be fixed.
    """
    shapes = {one.name: one.at(batch) for one in inputs if None in one.shape}
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items() if shape is not None)


def tensorrt_options(
    settings: OnnxSettings, inputs: Sequence[Input], *, name: str, fp16: bool, cache: Path
) -> dict[str, str]:
    """Options of the TensorRT provider. `fp16` says that this model stays the same in half precision; `cache` is the
    folder of this model's engines.
    """
    options = {
        "device_id": str(settings.device_id),
        "trt_fp16_enable": _flag(fp16 and settings.fp16),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_engine_cache_prefix": name,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
    }
    if settings.memory_limit_mib:
        options["trt_max_workspace_size"] = str(settings.memory_limit_mib << 20)
    for word, batch in zip(("min", "opt", "max"), batches(settings, inputs), strict=True):
        if shapes := profile(inputs, batch):
            options[f"trt_profile_{word}_shapes"] = shapes
    return options


def cuda_options(settings: OnnxSettings, *, fp16: bool) -> dict[str, str]:
    """Options of the CUDA provider. It computes in the graph's own number format: where a model may lose precision, its
    float32 products use TF32 (10 bits of mantissa, as float16 has); a float16 graph is the card's business.
    """
    options = {
        "device_id": str(settings.device_id),
        "use_tf32": _flag(fp16 and settings.fp16),
        # The default tries every algorithm anew for each batch size it has not seen: seconds, in the live path.
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    if settings.memory_limit_mib:
        # Growing by doubling would ask for more than the limit long before the model needs it.
        options |= {"gpu_mem_limit": str(settings.memory_limit_mib << 20), "arena_extend_strategy": "kSameAsRequested"}
    return options


def zeros(inputs: Sequence[Input], batch: int) -> dict[str, npt.NDArray[Any]] | None:
    """Feeds of a warm-up run; None where a shape or a number type cannot be known beforehand."""
    feeds: dict[str, npt.NDArray[Any]] = {}
    for one in inputs:
        shape = one.at(batch)
        if shape is None or one.kind not in _TYPES:
            return None
        feeds[one.name] = np.zeros(shape, _TYPES[one.kind])
    return feeds


def main_provider(registered: Sequence[str], nodes: dict[str, int]) -> str:
    """The provider that runs most of a graph. `registered` are the session's, best first; `nodes` counts the graph's
    nodes by provider, and is empty where ONNX Runtime cannot say.
    """
    if not nodes:
        return registered[0]
    return max(registered, key=lambda one: nodes.get(one, 0))


def _flag(value: bool) -> str:
    return "1" if value else "0"

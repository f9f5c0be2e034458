"""What this machine has for a GPU: the device, its driver, NVIDIA's libraries, and the builds of ONNX Runtime."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from inference.backends.providers import CUDA, TENSORRT
from runtime.log import get_logger

SYNC_GPU = "uv sync --locked --no-group cpu --extra gpu"
SYNC_CPU = "uv sync --locked"

DRIVER = "libcuda.so.1"
CUDA_NEEDED = 13000
"""CUDA 13.0, as the driver counts: what this onnxruntime-gpu is built against (its wheel says so)."""

LIBRARIES = {
    CUDA: (DRIVER, "libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudnn.so.9"),
    TENSORRT: ("libnvinfer.so.10", "libnvonnxparser.so.10"),
}
"""What each provider of ONNX Runtime 1.31 is linked against (for cuDNN and CUDA: opens at its first use)."""

log = get_logger("onnx")


def device_present(dev: Path = Path("/dev")) -> bool:
    """Whether an NVIDIA GPU is visible here (in a container: was handed in)."""
    return any(dev.glob("nvidia[0-9]*"))


def both_builds(installed: Callable[[str], Any] = metadata.version) -> bool:
    """Whether the CPU and the GPU build of ONNX Runtime are both installed: they write the same files."""
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            installed(name)
        except metadata.PackageNotFoundError:
            return False
    return True


def mend(*, gpu: bool) -> str:
    """The command that leaves one whole build where there were two: removing one takes files of the other with it."""
    return f"{SYNC_GPU} --reinstall-package onnxruntime-gpu" if gpu else f"{SYNC_CPU} --reinstall-package onnxruntime"


def preload(onnxruntime: Any, providers: Sequence[str]) -> None:
    """Open NVIDIA's libraries out of their pip packages, which the system's loader does not know of.

    What does not open is not told here: the provider then fails, and `why_not` says which it was.
    """
    if CUDA not in providers and TENSORRT not in providers:
        return
    with contextlib.redirect_stdout(io.StringIO()) as said:
        onnxruntime.preload_dlls(directory="")
    for line in said.getvalue().splitlines():
        log.debug("onnx.preload", said=line)
    if TENSORRT in providers:
        _preload_tensorrt()


def _preload_tensorrt() -> None:
    # Importing the package opens all it carries, in no order: what was opened before what it needs is tried again.
    try:
        folder = Path(str(importlib.import_module("tensorrt_libs").__file__)).parent
    except ImportError:
        return
    for name in LIBRARIES[TENSORRT]:
        opens(str(folder / name))


def opens(library: str) -> bool:
    """Whether a shared library can be opened; it stays open."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def driver_cuda() -> int:
    """The newest CUDA the driver supports, e.g. 13000 for 13.0; 0 where there is no driver."""
    version = ctypes.c_int(0)
    try:
        ctypes.CDLL(DRIVER).cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return 0
    return version.value


def tensorrt_version() -> int:
    """Version of the TensorRT library, e.g. 101601 for 10.16.1; 0 where there is none."""
    try:
        version: int = ctypes.CDLL(LIBRARIES[TENSORRT][0]).getInferLibVersion()
    except (OSError, AttributeError):
        return 0
    return version


class Why(NamedTuple):
    """Why a provider does not run a model, and the command that mends it, where there is one."""

    reason: str
    command: str = ""


def why_not(provider: str, *, opens: Callable[[str], bool] = opens, driver: Callable[[], int] = driver_cuda) -> Why:
    """Why a provider did not start, as far as it can be told from outside; no reason where all it needs is here."""
    needed = LIBRARIES[CUDA] + (LIBRARIES[TENSORRT] if provider == TENSORRT else ())
    missing = [name for name in needed if not opens(name)]
    if DRIVER in missing:
        return Why(f"no NVIDIA driver is visible here ({DRIVER} cannot be opened)")
    if missing:
        return Why(f"{', '.join(missing)} cannot be opened", SYNC_GPU)
    has = driver()
    if has < CUDA_NEEDED:
        return Why(f"the driver knows CUDA up to {_dotted(has)}, this ONNX Runtime needs {_dotted(CUDA_NEEDED)}")
    return Why("")


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"

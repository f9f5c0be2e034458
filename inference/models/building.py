"""Models that are made of what the mediapipe package carries."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

from inference.backends import gpu
from inference.backends.settings import OnnxSettings
from inference.models import convert
from inference.models.integrity import put_in_place
from inference.models.locks import alone
from proto.errors import FeatureMissing, Unavailable

WAIT_S = 120.0
COMMAND = "candor models build"


def may_use_gpu() -> bool:
    """Whether this installation runs models on a GPU where there is one, as far as settings and packages say."""
    provider = OnnxSettings.load().provider
    if provider != "auto":
        return provider != "cpu"
    try:
        metadata.version("onnxruntime-gpu")
    except metadata.PackageNotFoundError:
        return False
    return True


def uses_gpu() -> bool:
    """The same, here: an image is made where no GPU is, and may be run so."""
    return may_use_gpu() and (OnnxSettings.load().provider != "auto" or gpu.device_present())


def file_name(name: str, *, for_gpu: bool) -> str:
    """Name of the built file. It changes with whatever the result depends on, so that an old one is never taken."""
    try:
        return convert.file_name(name, for_gpu=for_gpu)
    except Unavailable:
        # Without the package there is nothing to build, and no file of that name.
        return f"{name}-without-mediapipe.onnx"


def build(name: str, final: Path, feature: str, *, for_gpu: bool) -> None:
    """Make `final`, unless another process was first. Takes seconds; nobody sees half a file.

    Raises:
        FeatureMissing: the package, or room to write, is missing.
    """
    folder = final.parent
    workshop = folder / f".{name}.building"
    try:
        with alone(folder / f".{name}.lock", WAIT_S):
            if final.is_file() and final.stat().st_size:
                return
            # Left behind by a process that died.
            shutil.rmtree(workshop, ignore_errors=True)
            workshop.mkdir()
            try:
                made = convert.build(name, workshop, for_gpu=for_gpu)
                # Built by root while an image is made, read by a worker that is not.
                made.chmod(0o644)
                put_in_place(made, final)
            finally:
                shutil.rmtree(workshop, ignore_errors=True)
    except (OSError, Unavailable) as error:
        raise FeatureMissing(feature, f"{name} cannot be built in {folder}: {error}", COMMAND) from error

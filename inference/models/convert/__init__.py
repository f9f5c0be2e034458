"""The models that mediapipe's package carries, as ONNX: the same weights, a dynamic batch, nothing else needed to run.

A file comes in two forms with the same inputs and outputs: for ONNX Runtime's CPU provider, and for GPUs (TensorRT,
CUDA). Its name holds mediapipe's version and a digest of this package, so that nothing built before is taken for new.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path

from inference.models.convert import tflite
from proto.errors import NotFound

NAMES = ("face-detector", "face-mesh", "person", "hands-palm", "hands-landmarks")


def file_name(name: str, *, for_gpu: bool = False) -> str:
    """Name of the file that `build` makes.

    Raises:
        NotFound: no such model is converted.
        Unavailable: mediapipe is not installed.
    """
    if name not in NAMES:
        raise NotFound(f"no model {name!r} is converted; there are {', '.join(NAMES)}")
    form = "gpu" if for_gpu else "cpu"
    return f"{name}-mediapipe-{tflite.package_version()}-{_digest()}-{form}.onnx"


def build(name: str, folder: Path, *, for_gpu: bool = False) -> Path:
    """Convert a model into a file of `folder` unless it is there; under a second. Nobody ever sees half a file.

    Raises:
        NotFound: no such model is converted.
        Unavailable: mediapipe, or its file, is missing.
        OSError: the folder cannot be written.
    """
    final = folder / file_name(name, for_gpu=for_gpu)
    if final.is_file():
        return final
    # The onnx package takes a moment to import, and only a build needs it.
    from inference.models.convert import cpu, lanes  # noqa: PLC0415
    from inference.models.convert.recipes import RECIPES  # noqa: PLC0415

    recipe = RECIPES[name]
    graph = recipe.write(tflite.read(tflite.package_file(recipe.source)))
    lanes.join(graph)
    if not for_gpu:
        cpu.suit(graph)
    folder.mkdir(parents=True, exist_ok=True)
    handle, made = tempfile.mkstemp(dir=folder, prefix=f".{name}-", suffix=".onnx")
    os.close(handle)
    try:
        graph.save(Path(made), f"candor, converted from mediapipe {tflite.package_version()} (Apache-2.0)")
        Path(made).replace(final)
    finally:
        Path(made).unlink(missing_ok=True)
    return final


@cache
def _digest() -> str:
    """Of all that this package consists of."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]

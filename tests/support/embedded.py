"""The models that come along, built once for a test run, and the parts of vision made of them."""

from __future__ import annotations

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from inference.backends import registry
from inference.backends.base import Backend
from inference.backends.settings import OnnxSettings
from inference.models.settings import ModelsSettings
from inference.models.store import LocalModel, Store
from inference.vision.faces import FaceFinder


@cache
def _store() -> Store:
    folder = Path(mkdtemp(prefix="candor-built-"))
    atexit.register(shutil.rmtree, folder)
    return Store(ModelsSettings(built_dir=folder), for_gpu=False)


def local(name: str) -> LocalModel:
    return _store().find(name, "face")


def backend(row: str, name: str | None = None, **options: Any) -> Backend[Any]:
    """A loaded backend of an embedded model, on the CPU."""
    made = registry.create(row, model=local(name or row), onnx=OnnxSettings(provider="cpu"), **options)
    made.load()
    return made


def face_finder(max_faces: int = 4, **options: Any) -> FaceFinder:
    return FaceFinder(backend("face-detector", **options), backend("face-mesh"), max_faces=max_faces)


def hands() -> Backend[Any]:
    return backend("hands", "hands-palm", landmarks=local("hands-landmarks"))

"""Where TensorRT's engines lie. An engine belongs to one model file, one ONNX Runtime, one TensorRT, one kind of GPU.

ONNX Runtime names the files after the graph and the kind of GPU, but not after the weights or the versions: those are
the folder's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.models.locks import alone

BUILD_WAIT_S = 1800.0
"""A large engine takes minutes to build, and several processes of a node want the same one."""


def label(path: Path) -> str:
    """A model file's name without its ending, as part of a path: letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", path.stem).lstrip(".") or "_"


def engine_folder(root: Path, path: Path, versions: str) -> Path:
    """Folder of a model file's engines; made where it is not there. `versions` of what builds and runs them.

    Raises:
        OSError: the model cannot be read, or the folder not made.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = root.expanduser() / label(path) / f"{digest[:16]}-{versions}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def engines_in(folder: Path) -> dict[str, int]:
    """Engines of a folder: file name to time of writing, in ns."""
    return {file.name: file.stat().st_mtime_ns for file in sorted(folder.rglob("*.engine"))}


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Nobody else builds in this folder meanwhile.

    Raises:
        Unavailable: somebody else is at it for longer than `BUILD_WAIT_S`.
    """
    with alone(folder / "lock", BUILD_WAIT_S):
        yield

"""MediaPipe, imported late and told to be quiet."""

from __future__ import annotations

import importlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from types import ModuleType

from proto.errors import FeatureMissing


def solution(name: str, feature: str) -> ModuleType:
    """Module of one of MediaPipe's solutions, e.g. `face_mesh`. The import takes a second or two.

    Raises:
        FeatureMissing: naming `feature`, when mediapipe cannot be imported.
    """
    # Read by the C++ libraries when they are loaded.
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return importlib.import_module(f"mediapipe.python.solutions.{name}")
    except ImportError as error:
        raise FeatureMissing(feature, f"mediapipe cannot be imported ({error})", "uv sync") from error


_CHATTER = re.compile(rb"INFO: Created TensorFlow Lite|WARNING: All log messages before absl|[IW]\d{4} ")


@contextmanager
def quietly() -> Iterator[None]:
    """Hold back what MediaPipe's C++ tells stderr about its own insides, for which it has no switch.

    What anybody else writes meanwhile is written when it ends. Meant for loading, which takes well under a second.
    """
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(2, line)


def model_name(task: str) -> str:
    return f"mediapipe-{version('mediapipe')}-{task}"

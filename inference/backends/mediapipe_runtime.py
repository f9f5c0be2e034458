"""MediaPipe, imported late and told to be quiet."""

from __future__ import annotations

import importlib
import os
from importlib.metadata import version
from types import ModuleType

from proto.errors import FeatureMissing


def solution(name: str, feature: str) -> ModuleType:
    """Module of one of MediaPipe's solutions, e.g. `face_mesh`. The import takes a second or two.

    Raises:
        FeatureMissing: naming `feature`, when mediapipe cannot be imported.
    """
    # Read by the C++ logging library when it is loaded; its warnings are about its own insides.
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return importlib.import_module(f"mediapipe.python.solutions.{name}")
    except ImportError as error:
        raise FeatureMissing(feature, f"mediapipe cannot be imported ({error})", "uv sync") from error


def model_name(task: str) -> str:
    return f"mediapipe-{version('mediapipe')}-{task}"

"""Every row of the backend table resolves, and looking at the table loads nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inference.backends import registry
from proto.errors import NotFound


@pytest.mark.parametrize("name", sorted(registry.BACKENDS))
def test_rows_resolve(name: str) -> None:
    module, _, attribute = registry.BACKENDS[name].partition(":")
    backend = getattr(__import__(module, fromlist=[attribute]), attribute)
    for method in ("load", "run", "close"):
        assert callable(getattr(backend, method))


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(NotFound, match="face-mesh"):
        registry.create("crystal-ball")


def test_the_table_imports_no_model_library() -> None:
    code = (
        "import sys; import inference.backends.registry, inference.vision.service; "
        "print([name for name in ('mediapipe', 'faster_whisper', 'onnxruntime', 'jax') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout.strip() == "[]"

"""MediaPipe's chatter is held back while it loads; nothing else is lost."""

from __future__ import annotations

import os

import pytest

from inference.backends import mediapipe_runtime
from proto.errors import FeatureMissing


def test_only_chatter_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with mediapipe_runtime.quietly():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        os.write(2, b"W0000 00:00:17.4 1 feedback_manager.cc:114] Feedback manager\n")
        os.write(2, b"a real complaint\nF0000 00:00:17.4 1 graph.cc:1] fatal\n")
    os.write(2, b"W0000 afterwards\n")
    assert capfd.readouterr().err == "a real complaint\nF0000 00:00:17.4 1 graph.cc:1] fatal\nW0000 afterwards\n"


def test_stderr_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with mediapipe_runtime.quietly():
            os.write(2, b"before\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_a_solution_that_cannot_be_imported_is_a_missing_feature() -> None:
    with pytest.raises(FeatureMissing, match=r"^crystal: .*uv sync") as error:
        mediapipe_runtime.solution("crystal_ball", "crystal")
    assert error.value.command == "uv sync"

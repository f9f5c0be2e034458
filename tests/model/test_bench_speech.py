"""`candor bench --speech` measures a real worker on clips whose words and times are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import speech
from proto.errors import BadInput
from tests.support.speech import TEST_MODEL

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def test_model(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_SPEECH_MODEL", str(models_dir / TEST_MODEL))
    monkeypatch.setenv("CANDOR_SPEECH_COMPUTE_TYPE", "int8")
    monkeypatch.setenv("CANDOR_SPEECH_THREADS", "1")


@pytest.mark.usefixtures("test_model")
def test_delays_errors_and_costs_of_one_and_two_sessions(media: Path, tmp_path: Path) -> None:
    file = tmp_path / "speech.json"
    speech.run(media / "audio" / "espeak", 3.0, (1, 2), file)
    figures = {one["name"]: one for one in json.loads(file.read_text())["figures"]}
    for name in ("1 session", "2 sessions"):
        assert figures[f"{name}: word error rate"]["value"] < 10.0
        seen, done = (figures[f"{name}: end of a word to {what}, p50"] for what in ("first seen", "committed"))
        assert 0.0 < seen["value"] <= done["value"]
        assert seen["samples"] == done["samples"] > 5
        assert figures[f"{name}: decoding"]["value"] > 0.0
        assert figures[f"{name}: worker's CPU"]["value"] > 0.0


def test_without_a_model_it_says_how_to_get_one(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_SPEECH_MODEL", str(tmp_path / "nothing"))
    with pytest.raises(BadInput, match="candor models pull"):
        speech.run(media / "audio" / "espeak", 3.0, (1,), None)

"""Which models' windows are fitted to the sound."""

from __future__ import annotations

import pytest

from inference.speech import windows


def test_on_and_off_are_what_they_say() -> None:
    assert windows.fitted("on", "whisper-tiny")
    assert not windows.fitted("off", "whisper-espeak-test")


def test_a_model_that_was_not_measured_is_padded() -> None:
    assert not windows.fitted("auto", "whisper-tiny")


def test_a_model_is_fitted_only_where_that_was_seen_to_be_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MEASURED", {"same": (0.05, 0.05), "worse": (0.05, 0.08)})
    assert windows.fitted("auto", "same")
    assert not windows.fitted("auto", "worse")

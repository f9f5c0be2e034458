"""Fixtures of the services' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.backends import registry
from tests.support import models_that_misbehave
from tests.support.models_that_misbehave import SlowDetector
from tests.support.vision import portrait_of


@pytest.fixture
def slow_detector(monkeypatch: pytest.MonkeyPatch) -> type[SlowDetector]:
    """Each batch waits for a permit."""
    SlowDetector.reset()
    monkeypatch.setitem(registry.BACKENDS, "face-detector", models_that_misbehave.SLOW)
    return SlowDetector


@pytest.fixture
def portrait(media: Path) -> bytes:
    """A JPEG of one person, 320 wide."""
    return portrait_of(media)

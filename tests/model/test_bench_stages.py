"""The bench of vision's stages runs on a fresh machine, and measures what really runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import stages
from bench.figures import Report
from proto.observations import FrameSeen, FrameSkipped


class Recorded(Report):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.values: dict[str, float] = {}

    def say(self, text: str) -> None:
        self.said.append(text)

    def add(self, name: str, value: float, unit: str, samples: int, target: float | None = None) -> None:
        super().add(name, value, unit, samples, target)
        self.values[name] = value


def test_without_any_recording_the_demo_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "FRAMES", 6)
    monkeypatch.setattr(stages, "ROUNDS", 3)
    monkeypatch.setattr(stages, "BATCHES", (1, 2))
    observed: list[object] = []
    observation_of = stages.observation_of
    monkeypatch.setattr(stages, "observation_of", lambda *of: observed.append(observation_of(*of)) or observed[-1])
    report = Recorded()
    stages.run(report, None)
    assert report.values["face path, JPEG to observation, 1 session at once"] > 0
    for stage in (
        "decode JPEG",
        "faces, followed",
        "faces, searched",
        "signals, quality, abstentions",
        "person",
        "hands",
    ):
        assert all(report.values[f"{stage}, batch of {batch}"] > 0 for batch in (1, 2))
    assert not any(name.startswith("objects") for name in report.values)
    assert any("candor models pull yolox-nano" in line for line in report.said)
    assert not any(isinstance(one, FrameSkipped) for one in observed)
    assert all(len(one.faces) == 1 for one in observed if isinstance(one, FrameSeen))


def test_recordings_of_a_folder_are_material(media: Path) -> None:
    material = stages.material_of(media)
    assert material.name == stages.PREFERRED
    assert len(material.jpegs) == stages.FRAMES

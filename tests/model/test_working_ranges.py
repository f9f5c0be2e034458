"""Inside its working range a signal stays what it was when a picture is spoiled, and outside it abstains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import material, ranges
from bench.ranges import SPOILS, Reader, Step
from inference.backends.settings import OnnxSettings
from inference.models.settings import ModelsSettings
from inference.signals.fitness import RANGES
from inference.vision.settings import VisionSettings
from proto.policy import Analysis
from tests.conftest import TEST_DATA, missing
from tests.support.models import MANIFEST

INSIDE = {"shrunk to px": 100.0, "blurred, sigma": 1.0, "darkened to luma": 60.0, "brightened, gain": 1.2}
OUTSIDE = {"shrunk to px": 24.0, "blurred, sigma": 5.0, "darkened to luma": 5.0}


@pytest.fixture(scope="module")
def steps(built_dir: Path) -> Iterator[dict[str, Step]]:
    """Photos of three people and seven expressions, spoiled a little and a lot."""
    if not (TEST_DATA / "media").is_dir() or not (TEST_DATA / "models").is_dir():
        missing(f"the folder of test recordings and models ({TEST_DATA})")
    truth = material.Truth(people=(known := material.read()).people, expressions=known.expressions)
    pictures = list(ranges.pictures(TEST_DATA / "media", truth, Analysis()))
    assert len(pictures) == 13
    settings = VisionSettings(identity_model="mobilefacenet", expression_model="faceapi-expression", objects_model="")
    models = ModelsSettings(dir=TEST_DATA / "models", built_dir=built_dir, manifest=MANIFEST)
    spoils = {what: (spoil, _levels(what)) for what, (spoil, _) in SPOILS.items()}
    with Reader(settings, models, OnnxSettings()) as reader:
        found = ranges.steps(reader, pictures, spoils, bars=False)
        yield {f"{one.spoil} {one.level:g}": one for one in found}


def _levels(what: str) -> tuple[float, ...]:
    return tuple(level[what] for level in (INSIDE, OUTSIDE) if what in level)


def test_what_is_spoiled_a_little_is_still_told_and_still_the_same(steps: dict[str, Step]) -> None:
    """Thirteen pictures: two may change their expression, which is the most fragile, and no two people become alike."""
    for what, level in INSIDE.items():
        step = steps[f"{what} {level:g}"]
        assert step.lost == 0, step
        assert step.pose_deg < 5.0, step
        assert step.gaze_deg < 5.0, step
        assert step.same_expression >= 0.8, step
        assert step.least_cosine > 0.5, step
        assert max(step.abstaining[signal] for signal in ("pose", "gaze")) <= 0.2, step


def test_what_is_spoiled_a_lot_is_told_by_nobody(steps: dict[str, Step]) -> None:
    for what, level in OUTSIDE.items():
        step = steps[f"{what} {level:g}"]
        assert all(step.abstaining[signal] == 1.0 for signal in RANGES), step
        assert max(step.pose_deg, step.gaze_deg) > 5.0, step

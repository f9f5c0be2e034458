"""A row of an operator's that does not fit costs what it is for, not the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.backends.settings import OnnxSettings
from inference.models.settings import ModelsSettings
from inference.vision.equipment import Equipment
from inference.vision.settings import VisionSettings
from tests.support.models import MANIFEST

WRONG = {
    "another size": ("width_px = 112", "width_px = 96", "layout of"),
    "another input": ('input = "input.1"', 'input = "pixels"', "layout.input of"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_row_for_faces_to_compare_leaves_the_rest_at_work(wrong: str, models_dir: Path, tmp_path: Path) -> None:
    right, changed, said = WRONG[wrong]
    text = MANIFEST.read_text("utf-8")
    row = text.index("[models.mobilefacenet]")
    assert right in text[row:]
    manifest = tmp_path / "own.toml"
    manifest.write_text(text[:row] + text[row:].replace(right, changed, 1), "utf-8")
    equipment = Equipment(
        VisionSettings(
            identity_model="mobilefacenet", objects_model="", expression_model="", person=False, hands=False
        ),
        ModelsSettings.load(dir=models_dir, manifest=manifest),
        OnnxSettings(),
    )
    found = equipment.load()
    try:
        assert found["face"] is None
        assert found["identity"] is not None
        assert said in found["identity"].reason
        assert equipment.comparer is None
    finally:
        equipment.close()

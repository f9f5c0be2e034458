"""The rows of the manifests fit the weights that they name."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import onnxruntime
import pytest

from inference.models.settings import ModelsSettings
from inference.models.store import LocalModel, Store
from inference.signals.identity import check_mapping
from proto.errors import FeatureMissing


def session(model: LocalModel) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])


def test_the_folder_of_weights_serves_the_product_as_it_is(models_dir: Path, built_dir: Path) -> None:
    kept = Store(ModelsSettings(dir=models_dir, built_dir=built_dir))
    assert kept.path("yolox-nano") == models_dir / "yolox_nano.onnx"
    assert kept.find("yolox-nano", "objects").path.parent == built_dir
    with pytest.raises(FeatureMissing, match="candor models pull sface"):
        kept.find("sface", "identity")


@pytest.mark.parametrize(
    ("name", "numbers"), [("yolox-nano", 5 + 80), ("mobilefacenet", 512), ("faceapi-expression", 7)]
)
def test_a_row_says_what_goes_in_and_what_comes_out(real_models: dict[str, str], name: str, numbers: int) -> None:
    model = Store(ModelsSettings.load()).find(name, "any")
    layout = model.card.layout
    assert layout is not None
    used = session(model)
    (taken,) = used.get_inputs()
    assert taken.name == layout.input
    assert taken.shape[1:] == [3, layout.height_px, layout.width_px]
    assert used.get_outputs()[0].shape[-1] == numbers
    if model.labels:
        assert len(model.labels) == (numbers - 5 if layout.decode == "yolox" else numbers)


def test_what_the_package_carries_needs_no_folder(built_dir: Path, tmp_path: Path) -> None:
    kept = Store(ModelsSettings(dir=tmp_path, built_dir=built_dir))
    for name, card in kept.models.items():
        if card.embedded:
            # A dynamic batch: frames of several sessions go through together.
            assert not isinstance(session(kept.find(name, card.feature)).get_inputs()[0].shape[0], int), name


def test_calibrating_finds_what_parts_these_people(media: Path, real_models: dict[str, str], tmp_path: Path) -> None:
    for photo in sorted((media / "photos").glob("person_*.jpg")):
        person = tmp_path / photo.stem.split("_")[1]
        person.mkdir(exist_ok=True)
        (person / photo.name).symlink_to(photo)
    (tmp_path / "a" / "two.jpg").symlink_to(media / "photos" / "two_people.jpg")
    (tmp_path / "b" / "broken.jpg").write_bytes(b"no picture")
    done = subprocess.run(
        [sys.executable, "-m", "inference.models", "calibrate", "mobilefacenet", str(tmp_path), "--quiet"],
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | real_models,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "left out a/two.jpg: several_faces"
    assert lines[1].startswith("left out b/broken.jpg: jpeg: cannot be decoded")
    assert lines[2] == "6 pictures of 3 people: 3 pairs of one person, 12 of two."
    assert lines[3] == "At 80 %, 0 of 3 pairs of one person are refused and 0 of 12 of two accepted."
    (points,) = tomllib.loads(lines[-1]).values()
    # Between the most alike of two people and the least alike of one that were measured for the folder's README.
    assert 0.123 < points[2][0] < 0.57
    check_mapping([(cosine, percent) for cosine, percent in points], "mobilefacenet")

"""The rows of the manifests fit the weights that they name."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from inference.models.settings import ModelsSettings
from inference.models.store import LocalModel, Store
from proto.errors import FeatureMissing


def session(model: LocalModel) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])


def test_the_folder_of_weights_serves_the_product_as_it_is(models_dir: Path, built_dir: Path) -> None:
    kept = Store(ModelsSettings(dir=models_dir, built_dir=built_dir))
    assert kept.find("yolox-nano", "objects").path == models_dir / "yolox_nano.onnx"
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

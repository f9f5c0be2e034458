"""Models whose cards allow half precision give the same results when weights and activations are rounded to float16.

The CPU computes each operator in float32 and rounds what goes from one to the next: what can be known without a GPU.
`test_gpu_smoke.py` compares the same models on one.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnxruntime.transformers.float16 import convert_float_to_float16

from inference.backends.providers import CPU, inputs_of
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from tests.support.clips import picture

TOLERANCE = 1e-3
"""Of the relative error. float16 has 11 bits of mantissa, 5e-4 a rounding; seen: 4e-4 at most."""

PICTURES = ("person_a_1.jpg", "person_b_1.jpg", "person_c_2.jpg", "two_people.jpg", "phone_in_hand.jpg")
EMBEDDED = ("face-detector", "face-mesh", "person", "hands-palm", "hands-landmarks")


def on_cpu(model: bytes) -> Any:
    return onnxruntime.InferenceSession(model, providers=[CPU])


def rounded(path: Path) -> bytes:
    with warnings.catch_warnings():
        # It tells of each constant that is too small for float16.
        warnings.simplefilter("ignore")
        half: bytes = convert_float_to_float16(onnx.load(path), keep_io_types=True).SerializeToString()
    return half


def square(path: Path, side_px: int) -> npt.NDArray[np.float32]:
    """The picture's middle as (1, 3, side, side), 0-1."""
    rgb = picture(path)
    side = min(rgb.shape[:2])
    top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
    middle = cv2.resize(rgb[top : top + side, left : left + side], (side_px, side_px), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(middle.transpose(2, 0, 1)[None].astype(np.float32) / 255.0)


@pytest.mark.parametrize("name", EMBEDDED)
def test_rounding_to_float16_changes_no_result(name: str, tmp_path: Path, media: Path) -> None:
    local = Store(ModelsSettings(dir=tmp_path, built_dir=tmp_path), for_gpu=True).find(name, "x")
    whole, half = on_cpu(local.path.read_bytes()), on_cpu(rounded(local.path))
    (taken,) = inputs_of(whole)
    side_px = taken.shape[-1]
    assert side_px
    worst = 0.0
    for photo in PICTURES:
        feed = {taken.name: square(media / "photos" / photo, side_px)}
        for right, ours in zip(whole.run(None, feed), half.run(None, feed), strict=True):
            worst = max(worst, float(np.linalg.norm(ours - right) / np.linalg.norm(right)))
    assert 0.0 < worst < TOLERANCE


def test_these_are_all_the_models_that_lose_precision_on_a_gpu() -> None:
    models = Store(ModelsSettings()).models
    assert {name for name, card in models.items() if card.half_precision} == set(EMBEDDED)

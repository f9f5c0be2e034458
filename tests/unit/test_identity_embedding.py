"""The embedding backend by its card's layout: beside OpenCV's own recogniser, and as arithmetic."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from inference.backends.face_embedding import FaceEmbeddingBackend, prepared
from inference.backends.settings import OnnxSettings
from inference.models.manifest import Card, Layout
from inference.models.reading import load
from inference.models.store import LocalModel
from proto.errors import BadInput, BadSettings, FeatureMissing

RNG = np.random.default_rng(5)
FACES = [cv2.GaussianBlur(RNG.integers(0, 255, (112, 112, 3), dtype=np.uint8), (0, 0), 3) for _ in range(5)]
LAYOUT = Layout(input="data", width_px=112, height_px=112, fit="align_5_points")


def a_model(path: Path, batch: int | str, numbers: int = 128) -> Path:
    """An ONNX file of one random layer, with SFace's names and shapes."""
    ends = [
        helper.make_tensor_value_info("data", TensorProto.FLOAT, [batch, 3, 112, 112]),
        helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [batch, numbers]),
    ]
    # Of zero mean and with a preference for colour: a swapped channel, or one not scaled, changes the result.
    weights = np.random.default_rng(1).normal(0, 1e-3, (3 * 112 * 112, numbers)).astype(np.float32)
    weights[: 112 * 112] *= 3
    nodes = [
        helper.make_node("Flatten", ["data"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weights"], ["fc1"]),
    ]
    graph = helper.make_graph(nodes, "random", ends[:1], ends[1:], [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def a_backend(path: Path, layout: Layout | None = LAYOUT) -> FaceEmbeddingBackend:
    card = Card(task="identity", feature="identity", licence="x", layout=layout)
    return FaceEmbeddingBackend(LocalModel("some-model", card, path), OnnxSettings(provider="cpu"))


def test_with_the_layout_of_sface_it_gives_what_opencvs_recogniser_gives(tmp_path: Path) -> None:
    path = a_model(tmp_path / "random.onnx", 1)
    layout = load(None).models["sface"].layout
    backend = a_backend(path, layout)
    backend.load()
    recogniser = cv2.FaceRecognizerSF.create(str(path), "")
    for face, ours in zip(FACES, backend.run(FACES), strict=True):
        theirs = recogniser.feature(np.ascontiguousarray(face[..., ::-1]))[0]
        assert float(ours @ theirs) / float(np.linalg.norm(theirs)) > 0.99999
    swapped = msgspec.structs.replace(layout, colours="bgr")
    other = a_backend(path, swapped)
    other.load()
    assert float(other.run(FACES[:1])[0] @ backend.run(FACES[:1])[0]) < 0.999


def test_pixels_are_scaled_shifted_and_ordered_as_the_card_says() -> None:
    face = np.zeros((112, 112, 3), dtype=np.uint8)
    face[3, 7] = (10, 20, 30)
    layout = msgspec.structs.replace(LAYOUT, scale=0.5, mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0))
    batch = prepared([face, face], layout)
    assert (batch.shape, batch.dtype, batch.flags.c_contiguous) == ((2, 3, 112, 112), np.float32, True)
    assert batch[1, :, 3, 7].tolist() == [2.0, 2.0, 1.5]
    assert batch[0, :, 0, 0].tolist() == [-0.5, -0.5, -0.375]
    # Mean and deviation belong to the channels in the order in which the model takes them.
    blue_first = prepared([face], msgspec.structs.replace(layout, colours="bgr"))
    assert blue_first[0, :, 3, 7].tolist() == [7.0, 2.0, 0.25]


@pytest.mark.parametrize("batch", [1, "n"])
def test_a_face_looks_the_same_beside_any_other(tmp_path: Path, batch: int | str) -> None:
    backend = a_backend(a_model(tmp_path / "random.onnx", batch))
    backend.load()
    together = backend.run(FACES)
    assert len(together) == len(FACES)
    for face, embedding in zip(FACES, together, strict=True):
        assert embedding.shape == (128,)
        assert float(np.linalg.norm(embedding)) == pytest.approx(1.0, abs=1e-6)
        assert np.array_equal(backend.run([face])[0], embedding)
    assert backend.run([]) == []


def test_a_face_without_anything_in_it_is_like_nobody(tmp_path: Path) -> None:
    backend = a_backend(a_model(tmp_path / "random.onnx", "n"))
    backend.load()
    (nothing,) = backend.run([np.zeros((112, 112, 3), dtype=np.uint8)])
    assert not nothing.any()


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    path = a_model(tmp_path / "random.onnx", "n")
    backend = a_backend(path)
    backend.load()
    with pytest.raises(BadInput, match=r"face: is \(100, 112, 3\)"):
        backend.run([np.zeros((100, 112, 3), dtype=np.uint8)])
    for layout in (None, msgspec.structs.replace(LAYOUT, fit="stretch"), msgspec.structs.replace(LAYOUT, width_px=96)):
        with pytest.raises(BadSettings, match="layout of some-model"):
            a_backend(path, layout)
    wrong = a_backend(path, msgspec.structs.replace(LAYOUT, input="pixels"))
    with pytest.raises(BadSettings, match=r"layout\.input of some-model: is 'pixels', the file has data"):
        wrong.load()
    with pytest.raises(FeatureMissing):
        a_backend(tmp_path / "absent.onnx").load()

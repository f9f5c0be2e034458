"""Small ONNX detectors whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from inference.models.manifest import Card, File, Layout
from inference.models.store import LocalModel

LABELS = ("person", "cell phone", "book")


def fixed_answer(path: Path, answer: npt.ArrayLike, side_px: int, batch: int | None = None) -> Path:
    """A model that says of every picture `answer` (without the batch axis) times the first number it is fed, so that a
    black picture has nothing in it. `batch` fixes the first axis.
    """
    constant = np.asarray(answer, dtype=np.float32)[None]
    shape = [batch or "n", 3, side_px, side_px]
    nodes = [
        helper.make_node("Slice", ["images", "starts", "ends", "axes"], ["pixel"]),
        helper.make_node("Reshape", ["pixel", "column"], ["brightness"]),
        helper.make_node("Mul", ["answer", "brightness"], ["output"]),
    ]
    constants = {
        "answer": constant,
        "starts": np.array([0, 0, 0]),
        "ends": np.array([1, 1, 1]),
        "axes": np.array([1, 2, 3]),
        "column": np.array([-1, *[1] * (constant.ndim - 1)]),
    }
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [shape[0], *constant.shape[1:]])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def local(path: Path, layout: Layout, labels: tuple[str, ...] | str = LABELS) -> LocalModel:
    """The file as the models room hands it out."""
    card = Card(
        task="objects", feature="objects", licence="test", files=(File(path=str(path)),), layout=layout, labels=labels
    )
    return LocalModel(path.stem, card, path)

"""An ONNX graph in the making: nodes in order, constants shared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]

OPSET = 17
IR_VERSION = 8


class Node:
    """One operator; what it does is in ONNX's own names."""

    def __init__(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: dict[str, Any]) -> None:
        self.kind = kind
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.attributes = attributes


class Graph:
    """Four-dimensional activations are (batch, channels, height, width). Only the batch is dynamic."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.outputs: dict[str, tuple[int, ...]] = {}
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._made = 0

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output; returns the output's name."""
        return self.ops(kind, inputs, 1, **attributes)[0]

    def ops(self, kind: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """As `op`, for several outputs."""
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(Node(kind, inputs, names, attributes))
        return names

    def name(self) -> str:
        """A tensor's name nobody has yet."""
        self._made += 1
        return f"t{self._made}"

    def constant(self, values: npt.ArrayLike, kind: type[np.generic] = np.float32) -> str:
        """Name of a constant; equal ones are kept once."""
        array = np.ascontiguousarray(np.asarray(values, dtype=kind))
        array = array.reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"c{len(self._known)}"
            self.constants[self._known[key]] = array
        return self._known[key]

    def ints(self, *values: int) -> str:
        """Name of a constant of whole numbers, as shapes and axes are."""
        return self.constant(list(values), np.int64)

    def output(self, name: str, tensor: str, shape: tuple[int, ...]) -> None:
        """Make a tensor an output; `shape` is without the batch."""
        self.nodes.append(Node("Identity", [tensor], [name], {}))
        self.outputs[name] = shape

    def consumers(self) -> dict[str, list[Node]]:
        """Which nodes read a tensor."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                found.setdefault(name, []).append(node)
        return found

    def drop_unused(self) -> None:
        """Take out nodes and constants that lead nowhere."""
        needed = set(self.outputs)
        kept = []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        self.nodes = kept[::-1]
        self.constants = {name: values for name, values in self.constants.items() if name in needed}

    def save(self, path: Path, producer: str) -> None:
        """Write the model; it is checked before."""
        self.drop_unused()
        graph = helper.make_graph(
            [helper.make_node(node.kind, node.inputs, node.outputs, **node.attributes) for node in self.nodes],
            "converted",
            [_info(name, shape) for name, shape in self.inputs.items()],
            [_info(name, shape) for name, shape in self.outputs.items()],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name=producer
        )
        onnx.checker.check_model(model)
        path.write_bytes(onnx.shape_inference.infer_shapes(model, data_prop=True).SerializeToString())


def _info(name: str, shape: tuple[int, ...]) -> Any:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *shape])

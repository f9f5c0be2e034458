"""PReLU as convolutions that look at one channel of one pixel, which keep ONNX Runtime's blocked layout on a CPU.

A PReLU bends at zero: left of it the slope is m, right of it n, and it is m x + max((n - m) x, 0) where n >= m: two
convolutions, one with its activation and one that adds. Where it bends down instead (a trained slope above 1), minus
the PReLU bends up. So each channel is kept with the sign that suits, and the convolutions before and after it take the
signs into their weights. Where something else reads the channels, the sign has to be plus, and bending down costs an
operator more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inference.models.convert.graph import Graph, Node

Array = npt.NDArray[Any]


def rewrite(graph: Graph) -> None:
    """Take every PReLU out of the graph, in place; nodes are in an order in which they can run."""
    _Rewriter(graph).run()


class _Rewriter:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._readers = graph.consumers()
        self._maker = {name: node for node in graph.nodes for name in node.outputs}
        self._signs: dict[str, Array] = {}

    def run(self) -> None:
        nodes, self._graph.nodes = self._graph.nodes, []
        for node in nodes:
            if node.kind == "PRelu":
                self._prelu(node)
                continue
            if node.kind == "Conv":
                self._take_signs(node)
            elif node.kind == "Add":
                signed = [self._signs[name] for name in node.inputs if name in self._signs]
                if signed:
                    self._signs[node.outputs[0]] = signed[0]
            self._graph.nodes.append(node)

    def _prelu(self, node: Node) -> None:
        graph, (data, slopes), (out,) = self._graph, node.inputs, node.outputs
        slope = graph.constants[slopes].reshape(-1)
        before = self._signs.get(data, np.ones_like(slope))
        after = np.where(slope > 1.0, -1.0, 1.0) if self._may_turn(out) else np.ones_like(slope)
        if (after < 0.0).any():
            self._signs[out] = after
        left = after * np.where(before > 0.0, slope, -1.0)
        right = after * np.where(before > 0.0, 1.0, -slope)
        if (right >= left).all():
            bend = graph.op("Relu", self._scaled(data, right - left))
        else:
            bend = self._scaled(graph.op("Relu", data), right - left)
        graph.nodes.append(Node("Add", [self._scaled(data, left), bend], [out], {}))

    def _scaled(self, data: str, factors: Array) -> str:
        weights = self._graph.constant(factors.reshape(-1, 1, 1, 1))
        return self._graph.op("Conv", data, weights, kernel_shape=[1, 1], group=len(factors))

    def _may_turn(self, tensor: str) -> bool:
        """Whether all that reads a tensor can take its signs into account."""
        return all(
            node.kind == "Conv" or (node.kind == "Add" and self._turns_with(node, tensor))
            for node in self._readers.get(tensor, [])
        )

    def _turns_with(self, add: Node, tensor: str) -> bool:
        """Whether the other summand is a convolution's for this sum alone, and only PReLUs read the sum."""
        others = [name for name in add.inputs if name != tensor]
        return (
            len(others) == 1
            and others[0] in self._maker
            and self._maker[others[0]].kind == "Conv"
            and self._readers[others[0]] == [add]
            and all(reader.kind == "PRelu" for reader in self._readers.get(add.outputs[0], []))
        )

    def _take_signs(self, node: Node) -> None:
        """Weights for the signs its input has and its output must have."""
        graph = self._graph
        weights = graph.constants[node.inputs[1]]
        given = self._signs.get(node.inputs[0])
        if given is not None:
            groups = node.attributes.get("group", 1)
            by_group = given.reshape(groups, weights.shape[1])
            weights = weights * np.repeat(by_group, len(weights) // groups, axis=0)[:, :, None, None]
        wanted = self._wanted(node)
        if wanted is not None:
            self._signs[node.outputs[0]] = wanted
            weights = weights * wanted[:, None, None, None]
            if len(node.inputs) > 2:
                node.inputs[2] = graph.constant(graph.constants[node.inputs[2]] * wanted)
        node.inputs[1] = graph.constant(weights)

    def _wanted(self, node: Node) -> Array | None:
        """Signs of what a convolution's output is added to, where they are not all plus."""
        (out,) = node.outputs
        readers = self._readers.get(out, [])
        if len(readers) != 1 or readers[0].kind != "Add":
            return None
        return next((self._signs[name] for name in readers[0].inputs if name != out and name in self._signs), None)

"""The same graph in the form ONNX Runtime's CPU provider is fast with; results differ by rounding only.

Its convolutions work on channels in blocks, and stay in that layout from one to the next as long as every operator in
between knows it. Three things break it in these models: numbers of channels that are no multiple of the block, padding
of channels, and PReLU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inference.models.convert import prelu
from inference.models.convert.graph import Graph, Node

Array = npt.NDArray[Any]

BLOCK = 16
"""Channels of a block with AVX-512; a multiple of the 8 with AVX2."""

_SAME_CHANNELS = {"Relu", "Clip", "MaxPool", "GlobalAveragePool", "Resize", "HardSwish", "Add", "PRelu"}
"""Operators that keep zero channels zero and need as many channels behind as before."""


def suit(graph: Graph) -> None:
    """Rewrite the graph in place."""
    graph.drop_unused()
    _fill_blocks(graph)
    prelu.rewrite(graph)


def _fill_blocks(graph: Graph) -> None:
    """Add channels of zeros, so that all convolutions have whole blocks."""
    channels = _channels(graph)
    wide = _widened(graph, channels)
    now = {name: _blocks(count) if name in wide else count for name, count in channels.items()}
    nodes, graph.nodes = graph.nodes, []
    same: dict[str, str] = {}
    for node in nodes:
        node.inputs = [same.get(name, name) for name in node.inputs]
        if node.kind == "Conv":
            _widen_convolution(graph, node, now)
        elif node.kind == "PRelu":
            slopes = graph.constants[node.inputs[1]]
            node.inputs[1] = graph.constant(_grown(slopes, (now.get(node.outputs[0], len(slopes)), 1, 1)))
        elif node.kind == "Pad" and node.outputs[0] in channels:
            before, after = now[node.inputs[0]], now[node.outputs[0]]
            if before == after:
                same[node.outputs[0]] = node.inputs[0]
                continue
            weights = graph.constant(np.eye(after, before).reshape(after, before, 1, 1))
            graph.nodes.append(Node("Conv", [node.inputs[0], weights], node.outputs, {"kernel_shape": [1, 1]}))
            continue
        graph.nodes.append(node)


def _widen_convolution(graph: Graph, node: Node, now: dict[str, int]) -> None:
    weights = graph.constants[node.inputs[1]]
    out = now[node.outputs[0]]
    groups = node.attributes.get("group", 1)
    inside = now.get(node.inputs[0], weights.shape[1])
    if groups == weights.shape[0] and groups > 1:
        node.attributes["group"] = out
        inside = 1
    elif groups > 1:
        inside = weights.shape[1]
    node.inputs[1] = graph.constant(_grown(weights, (out, inside, *weights.shape[2:])))
    if len(node.inputs) > 2:
        node.inputs[2] = graph.constant(_grown(graph.constants[node.inputs[2]], (out,)))


def _grown(values: Array, shape: tuple[int, ...]) -> Array:
    return np.pad(values, [(0, want - have) for have, want in zip(values.shape, shape, strict=True)])


def _blocks(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK


def _channels(graph: Graph) -> dict[str, int]:
    """Channels of every activation that comes from a convolution through operators that are known here."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        if node.kind == "Conv":
            found[node.outputs[0]] = graph.constants[node.inputs[1]].shape[0]
        elif node.kind in _SAME_CHANNELS and all(name in found for name in _data(graph, node)):
            found[node.outputs[0]] = found[node.inputs[0]]
        elif node.kind == "Pad" and node.inputs[0] in found and _only_channels_after(graph, node):
            found[node.outputs[0]] = found[node.inputs[0]] + int(graph.constants[node.inputs[1]][5])
    return found


def _only_channels_after(graph: Graph, node: Node) -> bool:
    pads = graph.constants[node.inputs[1]]
    return pads.size == 8 and int(pads.sum()) == int(pads[5])


def _data(graph: Graph, node: Node) -> list[str]:
    return [name for name in node.inputs if name and name not in graph.constants]


def _widened(graph: Graph, channels: dict[str, int]) -> set[str]:
    """Which activations get more channels: all but those that something reads which would notice."""
    wide = set(channels)
    before = -1
    while before != len(wide):
        before = len(wide)
        for node in graph.nodes:
            data = _data(graph, node)
            if node.kind == "Conv":
                weights = graph.constants[node.inputs[1]]
                groups = node.attributes.get("group", 1)
                if groups == weights.shape[0] and groups > 1:
                    _agree(wide, [*data, *node.outputs])
                elif groups > 1:
                    wide -= {*data, *node.outputs}
            elif node.outputs[0] in channels and node.kind in (*_SAME_CHANNELS, "Pad"):
                _agree(wide, [*data, *node.outputs])
            else:
                wide -= set(data)
    return wide


def _agree(wide: set[str], names: list[str]) -> None:
    if not wide.issuperset(names):
        wide.difference_update(names)

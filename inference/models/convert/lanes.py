"""Branches that do the same with weights of their own become one: lanes side by side in the channels.

The face mesh looks at lips, eyes and irises through five networks of the same build. As grouped convolutions they are a
third of the operators, and at 2 to 16 pixels a side what an operator costs is mostly its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from inference.models.convert.graph import Graph, Node

_JOINED = {"Conv", "PRelu", "Add", "MaxPool", "Pad"}


class _Lane(NamedTuple):
    group: int
    place: int


class _Group:
    """Nodes that do the same. `tensor` holds all their outputs: `widths` channels each, from multiples of `pitch`."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.tensor = ""
        self.widths: list[int] = []

    @property
    def pitch(self) -> int:
        return max(self.widths)

    @property
    def is_even(self) -> bool:
        return len(set(self.widths)) == 1

    def channels(self, places: Sequence[int]) -> list[int]:
        """Channels of some lanes, one lane after the other."""
        return [place * self.pitch + channel for place in places for channel in range(self.widths[place])]


class _Joiner:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._groups: list[_Group] = []
        self._lanes: dict[str, _Lane] = {}
        self._gathered: dict[tuple[int, tuple[int, ...]], str] = {}

    def run(self) -> None:
        nodes, self._graph.nodes = self._graph.nodes, []
        width_of = _widths(self._graph, nodes)
        known: dict[Any, int] = {}
        outside = []
        for node in nodes:
            if node.kind == "Split" and len(node.inputs) == 1 and node.attributes["axis"] == 1:
                self._begin(node, width_of[node.outputs[0]])
                continue
            key = self._key(node)
            if key is None:
                outside.append(node)
                continue
            if key not in known:
                known[key] = len(self._groups)
                self._groups.append(_Group())
            group = self._groups[known[key]]
            self._lanes[node.outputs[0]] = _Lane(known[key], len(group.nodes))
            group.nodes.append(node)
            group.widths.append(width_of[node.outputs[0]])
        for group in self._groups:
            if group.nodes:
                self._join(group)
        for node in outside:
            self._read(node)
        self._graph.nodes = _in_order(self._graph)

    def _begin(self, node: Node, width: int) -> None:
        group = _Group()
        group.tensor = node.inputs[0]
        group.widths = [width] * len(node.outputs)
        for place, name in enumerate(node.outputs):
            self._lanes[name] = _Lane(len(self._groups), place)
        self._groups.append(group)

    def _key(self, node: Node) -> Any:
        """What nodes must have in common to be joined; None for one that cannot be."""
        data = [name for name in node.inputs if name not in self._graph.constants]
        if node.kind not in _JOINED or not all(name in self._lanes for name in data):
            return None
        groups = tuple(self._lanes[name].group for name in data)
        if not all(self._groups[group].is_even for group in groups):
            return None
        shapes = tuple(self._graph.constants[name].shape[1:] for name in node.inputs if name not in data)
        return node.kind, repr(sorted(node.attributes.items())), shapes, groups

    def _join(self, group: _Group) -> None:
        graph, first = self._graph, group.nodes[0]
        constants = [name in graph.constants for name in first.inputs]
        data = [
            self._lined_up([node.inputs[index] for node in group.nodes])
            for index, is_constant in enumerate(constants)
            if not is_constant
        ]
        if first.kind == "Pad":
            after, before = group.pitch, self._source_width(first)
            weights = np.tile(np.eye(after, before, dtype=np.float32), (len(group.nodes), 1))
            weights = weights.reshape(-1, before, 1, 1)
            group.tensor = graph.op("Conv", *data, graph.constant(weights), kernel_shape=[1, 1], group=len(group.nodes))
            return
        together = [
            graph.constant(self._stacked(group, [graph.constants[node.inputs[index]] for node in group.nodes]))
            for index, is_constant in enumerate(constants)
            if is_constant
        ]
        attributes = dict(first.attributes)
        if first.kind == "Conv":
            attributes["group"] = attributes.get("group", 1) * len(group.nodes)
        group.tensor = graph.op(first.kind, *data, *together, **attributes)

    def _stacked(self, group: _Group, values: list[Any]) -> Any:
        padded = [
            np.pad(one, [(0, group.pitch - len(one))] + [(0, 0)] * (one.ndim - 1)) if len(one) < group.pitch else one
            for one in values
        ]
        return np.concatenate(padded)

    def _source_width(self, node: Node) -> int:
        return self._groups[self._lanes[node.inputs[0]].group].pitch

    def _lined_up(self, names: Sequence[str]) -> str:
        """Lanes of one group, in this order, as one tensor."""
        lanes = [self._lanes[name] for name in names]
        group = self._groups[lanes[0].group]
        places = tuple(lane.place for lane in lanes)
        if group.is_even and places == tuple(range(len(group.widths))):
            return group.tensor
        key = (lanes[0].group, places)
        if key not in self._gathered:
            index = self._graph.ints(*group.channels(places))
            self._gathered[key] = self._graph.op("Gather", group.tensor, index, axis=1)
        return self._gathered[key]

    def _read(self, node: Node) -> None:
        """A node that was not joined, reading lanes from where they are now."""
        groups = {self._lanes[name].group if name in self._lanes else -1 for name in node.inputs}
        if node.kind == "Concat" and node.attributes["axis"] == 1 and len(groups - {-1}) == len(groups) == 1:
            whole = self._lined_up(node.inputs)
            self._graph.nodes.append(Node("Identity", [whole], node.outputs, {}))
            return
        node.inputs = [self._lined_up([name]) if name in self._lanes else name for name in node.inputs]
        self._graph.nodes.append(node)


def join(graph: Graph) -> None:
    """Rewrite the graph in place: whatever follows a `Split` of the channels into equal parts is joined as far as the
    parts are treated alike. A graph without one stays as it is.
    """
    graph.drop_unused()
    _Joiner(graph).run()


def _widths(graph: Graph, nodes: Sequence[Node]) -> dict[str, int]:
    """Channels of activations behind convolutions and splits."""
    found: dict[str, int] = {}
    for node in nodes:
        if node.kind == "Conv":
            found[node.outputs[0]] = graph.constants[node.inputs[1]].shape[0]
        elif node.kind in _JOINED and node.inputs[0] in found:
            added = int(graph.constants[node.inputs[1]][5]) if node.kind == "Pad" and _is_flat(graph, node) else 0
            found[node.outputs[0]] = found[node.inputs[0]] + added
        elif node.kind == "Split" and len(node.inputs) == 1:
            readers = [one for one in nodes if node.outputs[0] in one.inputs and one.kind == "Conv"]
            weights = graph.constants[readers[0].inputs[1]]
            found.update(dict.fromkeys(node.outputs, weights.shape[1] * readers[0].attributes.get("group", 1)))
    return found


def _is_flat(graph: Graph, node: Node) -> bool:
    return graph.constants[node.inputs[1]].size == 8


def _in_order(graph: Graph) -> list[Node]:
    """Nodes so that each comes after those it reads, otherwise in the order they have."""
    maker = {name: node for node in graph.nodes for name in node.outputs}
    ordered: list[Node] = []
    done: set[int] = set()

    def visit(node: Node) -> None:
        if id(node) in done:
            return
        done.add(id(node))
        for name in node.inputs:
            if name in maker:
                visit(maker[name])
        ordered.append(node)

    for node in graph.nodes:
        visit(node)
    return ordered

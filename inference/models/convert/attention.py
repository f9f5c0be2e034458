"""The face mesh's second look: lips and eyes are cut out of an early feature map, upright, and read once more.

MediaPipe does this with operators of its own, one for each of the three regions. Here the regions are one more axis, so
that the graph has a third of the nodes. Shapes in the comments: N faces, R regions, P points, S = 16 * 16 samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from flatbuffers import flexbuffers  # type: ignore[import-untyped]

from inference.models.convert.graph import Array, Graph
from inference.models.convert.operators import Handler, Translator
from inference.models.convert.tflite import Operator

_TINY = 1e-12
"""Keeps the direction of two points that coincide finite."""

EYE_CONTOURS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398),
)
"""Mesh points around each eye, whose mean depth is the depth MediaPipe gives the iris."""

IRIS_POINTS = 5


class _Region(NamedTuple):
    left: int
    right: int
    points: tuple[int, ...]
    scale: tuple[float, float]
    size: tuple[int, int]
    """Width and height of what is cut out."""


class Attention:
    """Stands in for MediaPipe's operators while one model is translated."""

    def __init__(self) -> None:
        self._regions: list[_Region] = []
        self._matrices: dict[int, int] = {}
        self._mesh = -1
        self._shrink: Array = np.ones(1, np.float32)
        self._grow: dict[int, Array] = {}
        self._refined: list[tuple[int, int]] = []
        self._matrix = ""
        self._crops: list[str] = []

    def handlers(self) -> dict[str, Handler]:
        """What translates MediaPipe's operators, by their kinds."""
        return {
            "Landmarks2TransformMatrix": self._find_region,
            "TransformTensorBilinear": self._cut_out,
            "TransformLandmarks": self._move_back,
            "MUL": self._scale,
        }

    def _scale(self, translator: Translator, operator: Operator) -> None:
        """Mesh points in pixels of the feature map, and matrices in pixels of the picture."""
        source, factor = operator.inputs
        if source in self._matrices:
            self._matrices[operator.outputs[0]] = self._matrices[source]
            self._grow[self._matrices[source]] = translator.values(factor).reshape(4, 4)[:2, [0, 1, 3]]
        else:
            self._shrink = translator.values(factor).astype(np.float32)
            self._mesh = next(one.inputs[0] for one in translator.model.operators if one.outputs[0] == source)

    def _find_region(self, _translator: Translator, operator: Operator) -> None:
        options = flexbuffers.Loads(operator.custom)
        if options["target_rotation_radians"] != 0.0:
            raise NotImplementedError("regions that are not upright")
        self._matrices[operator.outputs[0]] = len(self._regions)
        self._regions.append(
            _Region(
                options["left_rotation_idx"],
                options["right_rotation_idx"],
                tuple(options["subset_idxs"]),
                (options["scale_x"], options["scale_y"]),
                (options["output_width"], options["output_height"]),
            )
        )

    def _cut_out(self, translator: Translator, operator: Operator) -> None:
        if not self._crops:
            self._matrix = self._matrices_of(translator)
            self._crops = _sample(
                translator.graph,
                translator.tensor(operator.inputs[0]),
                translator.model.shapes[operator.inputs[0]],
                self._matrix,
                self._regions,
            )
        translator.put(operator.outputs[0], self._crops[self._matrices[operator.inputs[1]]])

    def _move_back(self, translator: Translator, operator: Operator) -> None:
        points, matrix = operator.inputs
        raw = next(one.inputs[0] for one in translator.model.operators if one.outputs[0] == points)
        self._refined.append((raw, self._matrices[matrix]))
        # What follows only shapes outputs that `landmarks` replaces.
        translator.put(operator.outputs[0], translator.tensor(raw))

    def _matrices_of(self, translator: Translator) -> str:
        """(N, R, 2, 3): from samples of each region to pixels of the feature map.

        A region is turned so that the line between its two corners lies level, then takes the points' bounding box,
        widened by the scale.
        """
        graph, regions = translator.graph, self._regions
        count, most = len(regions), max(len(region.points) for region in regions)
        # A point twice in a box changes nothing: all regions get the same number of them.
        points = [index for region in regions for index in np.resize(region.points, most)]
        corners = [index for region in regions for index in (region.left, region.right)]
        mesh = graph.op("Reshape", translator.tensor(self._mesh), graph.ints(0, -1, 3))
        xyz = graph.op("Gather", mesh, graph.ints(*corners, *points), axis=1)
        xy = graph.op("Slice", xyz, graph.ints(0), graph.ints(2), graph.ints(2))
        xy = graph.op("Mul", xy, graph.constant(self._shrink))
        corner_xy, point_xy = graph.ops("Split", [xy, graph.ints(2 * count, most * count)], 2, axis=1)
        pairs = graph.op("Reshape", corner_xy, graph.ints(0, count, 4))
        line = graph.op("MatMul", pairs, graph.constant([[-1.0, 0.0], [0.0, -1.0], [1.0, 0.0], [0.0, 1.0]]))
        square = graph.op("ReduceSum", graph.op("Mul", line, line), graph.ints(2), keepdims=1)
        length = graph.op("Sqrt", graph.op("Add", square, graph.constant(_TINY)))
        direction = graph.op("Div", line, length)
        # (cos, sin) to ((cos, -sin), (sin, cos)).
        turn = graph.op("MatMul", direction, graph.constant([[1.0, 0.0, 0.0, 1.0], [0.0, -1.0, 1.0, 0.0]]))
        turn = graph.op("Reshape", turn, graph.ints(0, count, 2, 2))
        level = graph.op("MatMul", graph.op("Reshape", point_xy, graph.ints(0, count, most, 2)), turn)
        high = graph.op("ReduceMax", level, axes=[2], keepdims=1)
        low = graph.op("ReduceMin", level, axes=[2], keepdims=1)
        factor = np.array([np.divide(region.scale, region.size) for region in regions], np.float32)
        pixel = graph.op("Mul", graph.op("Sub", high, low), graph.constant(factor.reshape(1, count, 1, 2)))
        centre = graph.op("Mul", graph.op("Add", high, low), graph.constant(0.5))
        half = np.array([region.size for region in regions], np.float32).reshape(1, count, 1, 2) / 2
        origin = graph.op("Sub", centre, graph.op("Mul", pixel, graph.constant(half)))
        moved = graph.op("MatMul", turn, graph.op("Reshape", origin, graph.ints(0, count, 2, 1)))
        return graph.op("Concat", graph.op("Mul", turn, pixel), moved, axis=3)

    def landmarks(self, translator: Translator) -> str:
        """(N, 478, 3) pixels of the crop: the mesh, with what the second look says better, and the irises."""
        graph = translator.graph
        mesh = graph.op("Reshape", translator.tensor(self._mesh), graph.ints(0, -1, 3))
        rows = [translator.model.shapes[raw][3] // 2 for raw, _ in self._refined]
        raw = graph.op("Concat", *(translator.tensor(raw) for raw, _ in self._refined), axis=1)
        grown = np.stack([self._grow[region] for region in range(len(self._regions))])
        matrix = graph.op("Mul", self._matrix, graph.constant(grown[None]))
        region_of = np.repeat([region for _, region in self._refined], rows)
        each = graph.op("Gather", matrix, graph.ints(*region_of), axis=1)  # (N, P, 2, 3)
        points = graph.op("Reshape", raw, graph.ints(0, sum(rows), 1, 2))
        points = graph.op("Pad", points, graph.ints(0, 0, 0, 0, 0, 0, 0, 1), graph.constant(1.0))
        refined = graph.op("ReduceSum", graph.op("Mul", each, points), graph.ints(3), keepdims=0)
        flat, depth = graph.ops("Split", [mesh, graph.ints(2, 1)], 2, axis=2)
        count = translator.model.shapes[self._mesh][3] // 3
        xy = graph.op("Concat", flat, refined, axis=1)
        xy = graph.op("Gather", xy, graph.ints(*self._sources(rows, count)), axis=1)
        mean = np.zeros((len(EYE_CONTOURS) * IRIS_POINTS, count), np.float32)
        for eye, contour in enumerate(EYE_CONTOURS):
            mean[eye * IRIS_POINTS : (eye + 1) * IRIS_POINTS, contour] = 1 / len(contour)
        iris_depth = graph.op("MatMul", graph.constant(mean), depth)
        return graph.op("Concat", xy, graph.op("Concat", depth, iris_depth, axis=1), axis=2)

    def _sources(self, rows: list[int], count: int) -> list[int]:
        """For each of the final points, its row among the mesh's and then the refined ones."""
        sources = list(range(count))
        irises: list[int] = []
        start = count
        seen: set[int] = set()
        for size, (_, region) in zip(rows, self._refined, strict=True):
            if region in seen or size == IRIS_POINTS:
                irises.extend(range(start, start + size))
            else:
                for offset, point in enumerate(self._regions[region].points):
                    sources[point] = start + offset
            seen.add(region)
            start += size
        return sources + irises


def _sample(graph: Graph, features: str, shape: tuple[int, ...], matrix: str, regions: list[_Region]) -> list[str]:
    """Each region's crop (N, C, 16, 16), bilinear between the centres of pixels; outside the map it is zero.

    Gathering whole pixels, channels last, is several times faster on a CPU than ONNX's GridSample.
    """
    _, height, width, channels = shape
    if height != width:
        raise NotImplementedError("a feature map that is not square")
    side, (wide, tall) = width, regions[0].size
    count, samples = len(regions), wide * tall
    rows, columns = np.mgrid[:tall, :wide] + 0.5
    base = np.stack([columns.ravel(), rows.ravel(), np.ones(samples)])
    place = graph.op("MatMul", matrix, graph.constant(base))  # (N, R, 2, S)
    place = graph.op("Sub", graph.op("Transpose", place, perm=[0, 1, 3, 2]), graph.constant(0.5))
    place = graph.op("Reshape", place, graph.ints(0, count * samples, 2))
    inside = graph.op("Clip", place, graph.constant(0.0), graph.constant(side - 1.0))
    # The pixel above and to the left; on the far edge the one before it, so that all four are in the map.
    corner = graph.op("Clip", graph.op("Floor", inside), graph.constant(0.0), graph.constant(side - 2.0))
    after = graph.op("Sub", inside, corner)
    weights = graph.op("Concat", graph.op("Sub", graph.constant(1.0), after), after, axis=2)  # 1-x, 1-y, x, y
    # Multiplying by ones and zeros picks columns, faster than Gather does.
    across = graph.op("MatMul", weights, graph.constant(np.eye(4)[:, [0, 2, 0, 2]]))
    along = graph.op("MatMul", weights, graph.constant(np.eye(4)[:, [1, 1, 3, 3]]))
    same = graph.op("Cast", graph.op("Equal", inside, place), to=1)
    weights = graph.op("Mul", across, along)
    weights = graph.op("Mul", weights, graph.op("ReduceMin", same, axes=[2], keepdims=1))  # (N, R*S, 4)
    first = graph.op("MatMul", corner, graph.constant([[1.0], [float(side)]]))
    index = graph.op("Add", first, graph.constant([0.0, 1.0, float(side), side + 1.0]))
    # The four corners outermost, so that one product with ones sums whole blocks of memory.
    index = graph.op("Transpose", index, perm=[0, 2, 1])
    index = graph.op("Reshape", graph.op("Cast", index, to=7), graph.ints(0, 4 * count * samples, 1))
    pixels = graph.op("Transpose", features, perm=[0, 2, 3, 1])
    pixels = graph.op("Reshape", pixels, graph.ints(0, side * side, channels))
    four = graph.op("GatherND", pixels, index, batch_dims=1)
    four = graph.op("Reshape", four, graph.ints(0, 4, count * samples, channels))
    weights = graph.op("Transpose", weights, perm=[0, 2, 1])
    weights = graph.op("Reshape", weights, graph.ints(0, 4, count * samples, 1))
    parts = graph.op("Reshape", graph.op("Mul", four, weights), graph.ints(0, 4, count * samples * channels))
    mixed = graph.op("MatMul", graph.constant(np.ones((1, 4))), parts)
    mixed = graph.op("Reshape", mixed, graph.ints(0, count, samples, channels))
    crops = graph.op("Transpose", mixed, perm=[0, 1, 3, 2])
    crops = graph.op("Reshape", crops, graph.ints(0, count * channels, tall, wide))
    return graph.ops("Split", [crops], count, axis=1)

"""TFLite's operators in ONNX's words: channels last become channels first, half-precision weights become single."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.models.convert.graph import Graph
from inference.models.convert.tflite import Operator, TfliteModel

Array = npt.NDArray[Any]

NCHW = (0, 3, 1, 2)
NHWC = (0, 2, 3, 1)
_NO_ACTIVATION, _RELU, _RELU6 = 0, 1, 3
_SAME = 0


class Translator:
    """Walks a TFLite graph and writes an ONNX one. `custom` adds operators, by kind, to those that are known here."""

    def __init__(self, model: TfliteModel, custom: dict[str, Handler]) -> None:
        self.model = model
        self.graph = Graph()
        self._custom = custom
        self._tensors: dict[int, str] = {}
        self._folded = dict(model.constants)

    def run(self) -> Graph:
        """Translate every operator; outputs are left to the caller.

        Raises:
            NotImplementedError: the file uses an operator that is not known.
        """
        (number,) = self.model.inputs
        height, width, channels = self.model.shapes[number][1:]
        self.graph.inputs["input"] = (channels, height, width)
        self._tensors[number] = "input"
        for operator in self.model.operators:
            if operator.kind in self._custom:
                self._custom[operator.kind](self, operator)
            elif operator.kind in _OPERATORS:
                self.put(operator.outputs[0], _OPERATORS[operator.kind](self, operator))
            else:
                raise NotImplementedError(f"TFLite operator {operator.kind}")
        return self.graph

    def put(self, number: int, tensor: str) -> None:
        """Say by which ONNX tensor a TFLite tensor goes."""
        self._tensors[number] = tensor

    def tensor(self, number: int) -> str:
        """ONNX tensor of an activation."""
        return self._tensors[number]

    def fold(self, number: int, values: Array) -> None:
        """Say that a tensor is a constant."""
        self._folded[number] = values

    def values(self, number: int) -> Array:
        """A constant as float32 or as the whole numbers it is."""
        values = self._folded[number]
        return values.astype(np.float32) if values.dtype == np.float16 else values

    def is_constant(self, number: int) -> bool:
        """Whether a tensor's values are known here."""
        return number in self._folded

    def rank(self, number: int) -> int:
        """Axes of a tensor."""
        return len(self.model.shapes[number])

    def size(self, number: int) -> tuple[int, int]:
        """Height and width of an activation."""
        _, height, width, _ = self.model.shapes[number]
        return height, width

    def activated(self, tensor: str, activation: int) -> str:
        """A tensor after TFLite's fused activation."""
        if activation == _NO_ACTIVATION:
            return tensor
        if activation == _RELU:
            return self.graph.op("Relu", tensor)
        if activation == _RELU6:
            return self.graph.op("Clip", tensor, self.graph.constant(0.0), self.graph.constant(6.0))
        raise NotImplementedError(f"TFLite activation {activation}")


def _nothing_lost(translator: Translator, operator: Operator) -> str:
    """Weights are kept in half precision and widened by an operator: done here, once."""
    translator.fold(operator.outputs[0], translator.values(operator.inputs[0]).astype(np.float32))
    return ""


def _convolution(translator: Translator, operator: Operator, *, depthwise: bool) -> str:
    data, weights, *bias = operator.inputs
    options, graph = operator.options, translator.graph
    # TFLite: (out, height, width, in), and for a depthwise one (1, height, width, out).
    kernel = translator.values(weights).transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    strides = (options.StrideH(), options.StrideW())
    dilations = (options.DilationHFactor(), options.DilationWFactor())
    biases = [graph.constant(translator.values(bias[0]))] if bias and bias[0] >= 0 else []
    out = graph.op(
        "Conv",
        translator.tensor(data),
        graph.constant(kernel),
        *biases,
        kernel_shape=list(kernel.shape[2:]),
        strides=list(strides),
        dilations=list(dilations),
        pads=_pads(translator, operator, kernel.shape[2:], strides, dilations),
        group=translator.model.shapes[data][3] if depthwise else 1,
    )
    return translator.activated(out, options.FusedActivationFunction())


def _pads(
    translator: Translator,
    operator: Operator,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] = (1, 1),
) -> list[int]:
    """Top, left, bottom, right. "Same" adds what the last window lacks, an odd one at the end."""
    if operator.options.Padding() != _SAME:
        return [0, 0, 0, 0]
    inside, outside = translator.size(operator.inputs[0]), translator.size(operator.outputs[0])
    lacking = [
        max(0, (out - 1) * stride + (side - 1) * dilation + 1 - have)
        for have, out, side, stride, dilation in zip(inside, outside, kernel, strides, dilations, strict=True)
    ]
    return [lack // 2 for lack in lacking] + [lack - lack // 2 for lack in lacking]


def _pool(translator: Translator, operator: Operator, *, kind: str) -> str:
    options = operator.options
    kernel = (options.FilterHeight(), options.FilterWidth())
    strides = (options.StrideH(), options.StrideW())
    tensor = translator.tensor(operator.inputs[0])
    if kind == "AveragePool" and kernel == translator.size(operator.inputs[0]):
        return translator.activated(translator.graph.op("GlobalAveragePool", tensor), options.FusedActivationFunction())
    out = translator.graph.op(
        kind,
        tensor,
        kernel_shape=list(kernel),
        strides=list(strides),
        pads=_pads(translator, operator, kernel, strides),
    )
    return translator.activated(out, options.FusedActivationFunction())


def _elementwise(translator: Translator, operator: Operator, *, kind: str) -> str:
    rank = translator.rank(operator.outputs[0])
    names = []
    for number in operator.inputs:
        if translator.is_constant(number):
            values = translator.values(number)
            if rank == 4 and values.ndim:
                values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(NCHW)
            names.append(translator.graph.constant(values))
        else:
            names.append(translator.tensor(number))
    return translator.activated(translator.graph.op(kind, *names), operator.options.FusedActivationFunction())


def _unary(translator: Translator, operator: Operator, *, kind: str) -> str:
    return translator.graph.op(kind, translator.tensor(operator.inputs[0]))


def _prelu(translator: Translator, operator: Operator) -> str:
    slopes = translator.values(operator.inputs[1]).reshape(-1, 1, 1)
    return translator.graph.op("PRelu", translator.tensor(operator.inputs[0]), translator.graph.constant(slopes))


def _pad(translator: Translator, operator: Operator) -> str:
    pads = translator.values(operator.inputs[1])[list(NCHW)]
    return translator.graph.op(
        "Pad", translator.tensor(operator.inputs[0]), translator.graph.ints(*pads[:, 0], *pads[:, 1])
    )


def _reshape(translator: Translator, operator: Operator) -> str:
    graph = translator.graph
    before, after = (translator.model.shapes[number] for number in (operator.inputs[0], operator.outputs[0]))
    tensor = translator.tensor(operator.inputs[0])
    if len(before) == 4 and before[1:3] != (1, 1):
        tensor = graph.op("Transpose", tensor, perm=list(NHWC))
    tensor = graph.op("Reshape", tensor, graph.ints(0, *after[1:]))
    return graph.op("Transpose", tensor, perm=list(NCHW)) if len(after) == 4 else tensor


def _concatenation(translator: Translator, operator: Operator) -> str:
    rank = translator.rank(operator.outputs[0])
    axis = _axis(operator.options.Axis(), rank)
    tensor = translator.graph.op("Concat", *(translator.tensor(number) for number in operator.inputs), axis=axis)
    return translator.activated(tensor, operator.options.FusedActivationFunction())


def _axis(axis: int, rank: int) -> int:
    axis %= rank
    return NCHW.index(axis) if rank == 4 else axis


def _mean(translator: Translator, operator: Operator) -> str:
    rank = translator.rank(operator.inputs[0])
    axes = [_axis(int(axis), rank) for axis in np.atleast_1d(translator.values(operator.inputs[1]))]
    keep = int(operator.options.KeepDims())
    return translator.graph.op("ReduceMean", translator.tensor(operator.inputs[0]), axes=axes, keepdims=keep)


def _fully_connected(translator: Translator, operator: Operator) -> str:
    data, weights, *bias = operator.inputs
    graph = translator.graph
    rows = graph.op("Reshape", translator.tensor(data), graph.ints(0, math.prod(translator.model.shapes[data][1:])))
    biases = [graph.constant(translator.values(bias[0]))] if bias and bias[0] >= 0 else []
    out = graph.op("Gemm", rows, graph.constant(translator.values(weights)), *biases, transB=1)
    return translator.activated(out, operator.options.FusedActivationFunction())


def _resize(translator: Translator, operator: Operator) -> str:
    options, graph = operator.options, translator.graph
    (height, width), (tall, wide) = translator.size(operator.inputs[0]), translator.size(operator.outputs[0])
    how = "half_pixel" if options.HalfPixelCenters() else "align_corners" if options.AlignCorners() else "asymmetric"
    scales = graph.constant([1.0, 1.0, tall / height, wide / width])
    tensor = translator.tensor(operator.inputs[0])
    return graph.op("Resize", tensor, "", scales, mode="linear", coordinate_transformation_mode=how)


def _strided_slice(translator: Translator, operator: Operator) -> str:
    """Only the slice that takes everything occurs in these models."""
    if translator.model.shapes[operator.inputs[0]] != translator.model.shapes[operator.outputs[0]]:
        raise NotImplementedError("TFLite STRIDED_SLICE that takes a part")
    return translator.tensor(operator.inputs[0])


def _transposed_convolution(translator: Translator, operator: Operator) -> str:
    """MediaPipe's Convolution2DTransposeBias with a stride as wide as its kernel: no two windows meet."""
    data, weights, bias = operator.inputs
    graph = translator.graph
    kernel = translator.values(weights).transpose(3, 0, 1, 2)  # (out, height, width, in) becomes (in, out, ...)
    side = list(kernel.shape[2:])
    if translator.size(operator.outputs[0]) != tuple(
        have * step for have, step in zip(translator.size(data), side, strict=True)
    ):
        raise NotImplementedError("Convolution2DTransposeBias with overlapping windows")
    biases = graph.constant(translator.values(bias))
    return graph.op(
        "ConvTranspose", translator.tensor(data), graph.constant(kernel), biases, kernel_shape=side, strides=side
    )


Handler = Callable[[Translator, Operator], None]

_OPERATORS: dict[str, Callable[[Translator, Operator], str]] = {
    "DEQUANTIZE": _nothing_lost,
    "CONV_2D": partial(_convolution, depthwise=False),
    "DEPTHWISE_CONV_2D": partial(_convolution, depthwise=True),
    "MAX_POOL_2D": partial(_pool, kind="MaxPool"),
    "AVERAGE_POOL_2D": partial(_pool, kind="AveragePool"),
    "ADD": partial(_elementwise, kind="Add"),
    "MUL": partial(_elementwise, kind="Mul"),
    "RELU": partial(_unary, kind="Relu"),
    "LOGISTIC": partial(_unary, kind="Sigmoid"),
    "HARD_SWISH": partial(_unary, kind="HardSwish"),
    "PRELU": _prelu,
    "PAD": _pad,
    "RESHAPE": _reshape,
    "CONCATENATION": _concatenation,
    "MEAN": _mean,
    "FULLY_CONNECTED": _fully_connected,
    "RESIZE_BILINEAR": _resize,
    "STRIDED_SLICE": _strided_slice,
    "Convolution2DTransposeBias": _transposed_convolution,
}

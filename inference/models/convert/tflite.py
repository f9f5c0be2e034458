"""Reading a TFLite file: operators in order, shapes, constants.

The flatbuffer schema comes with mediapipe, in one module of its wheel that needs nothing but `flatbuffers`. It is
loaded by its path, because importing mediapipe itself takes seconds and a quarter of a gigabyte.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from proto.errors import Unavailable

Array = npt.NDArray[Any]

_PACKAGE = "mediapipe"
_SCHEMA = "mediapipe/tasks/metadata/schema_py_generated.py"
_CUSTOM = 32
_TYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.float16, 2: np.int32, 4: np.int64}


class Operator(NamedTuple):
    """One step. `kind` is TFLite's name of it, or a custom operator's; `options` answers by the schema's method names;
    `custom` are a custom operator's own option bytes.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any
    custom: bytes


class TfliteModel(NamedTuple):
    """A graph. Tensors go by number; activations have the batch first and channels last."""

    operators: tuple[Operator, ...]
    shapes: dict[int, tuple[int, ...]]
    constants: dict[int, Array]
    names: dict[int, str]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def output(self, name: str) -> int:
        """Number of the output tensor of a name."""
        return next(number for number in self.outputs if self.names[number] == name)


def package_version() -> str:
    """Version of the package that carries the models.

    Raises:
        Unavailable: it is not installed.
    """
    return str(_distribution().version)


def package_file(path: str) -> Path:
    """A file of that package.

    Raises:
        Unavailable: the package or the file is not there.
    """
    found = Path(str(_distribution().locate_file(path)))
    if not found.is_file():
        raise Unavailable(f"{_PACKAGE} {package_version()} carries no {path}")
    return found


def read(path: Path) -> TfliteModel:
    """The first graph of a file; half-precision constants come as they are."""
    schema = _schema()
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(number) for number in range(graph.TensorsLength())]
    shapes = {
        number: tuple(int(size) for size in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
        for number, tensor in enumerate(tensors)
    }
    constants: dict[int, Array] = {}
    for number, tensor in enumerate(tensors):
        buffer = model.Buffers(tensor.Buffer())
        if buffer.DataLength():
            values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _TYPES[tensor.Type()])
            constants[number] = values.reshape(shapes[number])
    return TfliteModel(
        operators=tuple(_operators(schema, model, graph)),
        shapes=shapes,
        constants=constants,
        names={number: tensor.Name().decode() for number, tensor in enumerate(tensors)},
        inputs=tuple(int(number) for number in graph.InputsAsNumpy()),
        outputs=tuple(int(number) for number in graph.OutputsAsNumpy()),
    )


def _operators(schema: ModuleType, model: Any, graph: Any) -> Iterator[Operator]:
    builtin = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    options_of = {code: name for name, code in vars(schema.BuiltinOptions).items() if isinstance(code, int)}
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        entry = model.OperatorCodes(operator.OpcodeIndex())
        code = max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())
        table = operator.BuiltinOptions()
        options = None
        if table is not None and operator.BuiltinOptionsType():
            options = getattr(schema, options_of[operator.BuiltinOptionsType()])()
            options.Init(table.Bytes, table.Pos)
        yield Operator(
            kind=entry.CustomCode().decode() if code == _CUSTOM else builtin[code],
            inputs=tuple(int(tensor) for tensor in operator.InputsAsNumpy()),
            outputs=tuple(int(tensor) for tensor in operator.OutputsAsNumpy()),
            options=options,
            custom=operator.CustomOptionsAsNumpy().tobytes() if operator.CustomOptionsLength() else b"",
        )


def _distribution() -> Any:
    try:
        return distribution(_PACKAGE)
    except PackageNotFoundError as error:
        raise Unavailable(f"{_PACKAGE}, which carries the models, is not installed") from error


@cache
def _schema() -> ModuleType:
    spec = importlib.util.spec_from_file_location("candor_tflite_schema", package_file(_SCHEMA))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""The voice encoder's weights, from the file that the Resemblyzer package carries to ONNX.

That file is what PyTorch wrote before its version 1.6: pickles one after another, then the numbers. A pickle can make a
reader run anything; the one here knows tensors and names, and refuses the rest.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inference.signals.mel import BANDS, FRAMES
from proto.errors import BadInput

WEIGHTS = "resemblyzer/pretrained.pt"
LAYERS, WIDTH = 3, 256
MAX_BYTES = 64 << 20
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_OPSET, _IR_VERSION = 17, 8
_TYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

_BROKEN = (pickle.UnpicklingError, EOFError, struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError)

Floats = npt.NDArray[np.float32]


class _Storage(NamedTuple):
    """Numbers that stand at the file's end, under `key`."""

    key: str
    dtype: np.dtype[Any]
    numbers: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


class _Reader(pickle.Unpickler):
    """Reads pickles that hold tensors, dictionaries, numbers and names, and nothing that could be run."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not read")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, name, key, _device, numbers, view = pid
        if kind != "storage" or view is not None or name not in _TYPES:
            raise pickle.UnpicklingError("not a plain storage")
        return self.storages.setdefault(str(key), _Storage(str(key), _TYPES[name], int(numbers)))


def to_onnx(wheel: Path, made: Path) -> None:
    """Write the encoder of a Resemblyzer wheel as ONNX: `mels` (n, 160, 40) in, `embedding` (n, 256) of length 1 out.
    The same wheel gives the same bytes.

    Raises:
        BadInput: it is no such wheel.
        OSError: the disk refused.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(WEIGHTS).file_size > MAX_BYTES:
                raise BadInput(f"{WEIGHTS} is larger than {MAX_BYTES >> 20} MiB")
            content = archive.read(WEIGHTS)
    except (zipfile.BadZipFile, KeyError) as error:
        raise BadInput(f"{wheel.name} does not hold the voice encoder: {error}") from error
    made.write_bytes(graph(read(content)))


def read(content: bytes) -> dict[str, Floats]:
    """The tensors of the `model_state` of a file that PyTorch wrote.

    Raises:
        BadInput: it is no such file.
    """
    file = io.BytesIO(content)
    try:
        if (_Reader(file).load(), _Reader(file).load()) != (_MAGIC, _PROTOCOL):
            raise BadInput("not a file of PyTorch before 1.6")
        # Sizes of numbers on the machine that wrote it: those of all machines by now.
        _Reader(file).load()
        reader = _Reader(file)
        state = reader.load()["model_state"]
        numbers: dict[str, npt.NDArray[Any]] = {}
        # What else the file holds, the optimiser's, stands among them.
        for key in _Reader(file).load():
            storage = reader.storages[str(key)]
            if struct.unpack("<q", file.read(8)) != (storage.numbers,):
                raise BadInput(f"storage {key} is not as long as it says")
            data = file.read(storage.numbers * storage.dtype.itemsize)
            numbers[storage.key] = np.frombuffer(data, storage.dtype, storage.numbers)
        return {name: _array(tensor, numbers[tensor.storage.key]) for name, tensor in state.items()}
    except _BROKEN as error:
        raise BadInput(f"not weights of the voice encoder: {error}") from error


def _array(tensor: _Tensor, numbers: npt.NDArray[Any]) -> Floats:
    count = int(np.prod(tensor.shape))
    if tensor.strides != tuple(int(np.prod(tensor.shape[axis + 1 :])) for axis in range(len(tensor.shape))):
        raise ValueError("a tensor that does not stand row after row")
    return np.asarray(numbers[tensor.offset : tensor.offset + count], np.float32).reshape(tensor.shape)


def graph(weights: dict[str, Floats]) -> bytes:
    """The network as ONNX: three LSTMs, the last one's last state through a layer and ReLU, brought to length 1. After
    `VoiceEncoder.forward` of Resemblyzer 0.1.4.

    Raises:
        BadInput: the weights are not those of this network.
    """
    # The onnx package takes a moment to import, and only this needs it.
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    tensors: dict[str, npt.NDArray[Any]] = {"first": np.array([0], np.int64), "second": np.array([1], np.int64)}
    # Speech that the encoder gives nothing at all for stays a zero, rather than no number.
    tensors["least"] = np.array(1e-12, np.float32)
    nodes = [helper.make_node("Transpose", ["mels"], ["sound0"], perm=[1, 0, 2])]
    for layer in range(LAYERS):
        tensors |= _lstm(weights, layer)
        nodes += [
            helper.make_node(
                "LSTM",
                [f"sound{layer}", *(f"{part}{layer}" for part in "wrb")],
                [f"all{layer}", f"last{layer}"],
                hidden_size=WIDTH,
            ),
            helper.make_node("Squeeze", [f"all{layer}", "second"], [f"sound{layer + 1}"]),
        ]
    # What comes after the last LSTM needs its last state only.
    nodes[-1] = helper.make_node("Squeeze", [f"last{LAYERS - 1}", "first"], ["state"])
    tensors["linear"] = _of(weights, "linear.weight", (WIDTH, WIDTH))
    tensors["bias"] = _of(weights, "linear.bias", (WIDTH,))
    nodes += [
        helper.make_node("Gemm", ["state", "linear", "bias"], ["raw"], transB=1),
        helper.make_node("Relu", ["raw"], ["positive"]),
        helper.make_node("ReduceL2", ["positive"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Max", ["length", "least"], ["divisor"]),
        helper.make_node("Div", ["positive", "divisor"], ["embedding"]),
    ]
    network = helper.make_graph(
        nodes,
        "voice encoder",
        [helper.make_tensor_value_info("mels", TensorProto.FLOAT, ["N", FRAMES, BANDS])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", WIDTH])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in tensors.items()],
    )
    model = helper.make_model(
        network, producer_name="candor", ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)]
    )
    return bytes(model.SerializeToString(deterministic=True))


def _lstm(weights: dict[str, Floats], layer: int) -> dict[str, Floats]:
    """One layer as ONNX has it: (1, 4 width, ...), the gates input, output, forget, cell."""
    rows = 4 * WIDTH
    inputs = _of(weights, f"lstm.weight_ih_l{layer}", (rows, BANDS if layer == 0 else WIDTH))
    states = _of(weights, f"lstm.weight_hh_l{layer}", (rows, WIDTH))
    biases = [_of(weights, f"lstm.bias_{part}_l{layer}", (rows,)) for part in ("ih", "hh")]
    return {
        f"w{layer}": _gates(inputs)[None],
        f"r{layer}": _gates(states)[None],
        f"b{layer}": np.concatenate([_gates(bias) for bias in biases])[None],
    }


def _gates(rows: Floats) -> Floats:
    """PyTorch has the gates input, forget, cell, output."""
    into, forget, cell, out = np.split(rows, 4)
    return np.concatenate([into, out, forget, cell])


def _of(weights: dict[str, Floats], name: str, shape: tuple[int, ...]) -> Floats:
    if name not in weights or weights[name].shape != shape:
        raise BadInput(f"{name} is missing or of another shape: not the voice encoder")
    return weights[name]

"""A model file that takes one picture at a time, made to take many: the same weights and sums, an open first axis.

Many exports fix the batch at 1 though nothing in the network needs it; a GPU then sees picture after picture. What is
made is kept only if it was seen to do the same: batches give what the file as it came gives picture by picture.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.models import building, integrity
from inference.models.manifest import Layout
from proto.errors import Unavailable
from runtime.log import get_logger

MAX_BYTES = 1 << 29
"""A larger file is left as it is: it would be held in memory several times."""

RELATIVE, OF_LARGEST = 1e-4, 1e-5
"""How far a number may be off: by this part of itself and of its output's largest, whose last bits it may hold."""

CONTRASTS = (255, 120, 30)
"""The check's pictures differ in how much is in them, too: what takes its range from the whole batch, as weights that
are quantised at run time do, gives other numbers then."""

BATCHES = ((0, 1, 2), (2, 0))
"""Batches of the check, by picture: two sizes, two orders."""

Floats = npt.NDArray[np.float32]
log = get_logger("models")

_left: set[Path] = set()
"""What this process could not make: neither tried again nor told twice."""


class Refusal(Exception):
    """The model stays as it is; says why."""


class TakesAny(Refusal):
    """It takes any batch already."""


def file_name(name: str, source: Path) -> str:
    """Name of what is made of `source`. It changes with the file's content and with this code.

    Raises:
        OSError: the file cannot be read.
    """
    return f"{name}-batch-{integrity.checksum(source)[:16]}-{_version()}.onnx"


def prepare(name: str, source: Path, layout: Layout, folder: Path) -> Path:
    """The file to run for a model that lies in `source`: one in `folder` that takes any batch, made now (seconds) if it
    is not there yet; or `source` itself, where it takes any batch already or cannot be made to. Why not is logged once.
    Safe for several threads and processes at once.
    """
    final = folder / "unreadable"
    try:
        final = folder / file_name(name, source)
        if building.is_made(final):
            return final
        if final not in _left:
            building.make(name, final, lambda made: _write(source, layout, made), old=_old(name))
            return final
    except TakesAny:
        _left.add(final)
    except (Refusal, OSError, Unavailable) as error:
        _left.add(final)
        log.warning("models.one_by_one", model=name, reason=str(error))
    return source


def made_of(name: str, source: Path, folder: Path) -> Path | None:
    """What `prepare` made of a file; None where it is not there."""
    try:
        final = folder / file_name(name, source)
        return final if building.is_made(final) else None
    except OSError:
        return None


def rewrite(content: bytes) -> bytes:
    """An ONNX file whose one input has a first axis of 1, as the same with that axis open. A shape that the network
    gives to what comes of its input, and that begins with 1, begins with what it had before instead. Whether the axis
    is the batch all the way, `check` finds out.

    Raises:
        TakesAny: the axis is open already.
        Refusal: it is no such file.
    """
    # The onnx package takes a moment to import, and only this needs it.
    import onnx  # noqa: PLC0415

    model = onnx.load_from_string(content)
    graph = model.graph
    weights = {one.name for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in weights]
    if len(inputs) != 1:
        raise Refusal(f"it has {len(inputs)} inputs, not one")
    for value in (*inputs, *graph.output):
        axes = value.type.tensor_type.shape.dim
        if not axes or axes[0].dim_value != 1:
            if value is inputs[0] and axes and not axes[0].dim_value:
                raise TakesAny("its batch is open")
            raise Refusal(f"the first axis of {value.name} is not 1")
        axes[0].dim_param = "N"
    # Shapes between the nodes, with the 1 in them.
    del graph.value_info[:]
    _open_shapes(graph, inputs[0].name)
    return bytes(model.SerializeToString(deterministic=True))


def check(source: Path, made: Path, layout: Layout) -> None:
    """See that `made` gives for batches what `source` gives picture by picture, on pictures as the layout feeds them.

    Raises:
        Refusal: it does not, or pictures that differ give the same, which proves nothing.
    """
    one, many = _runner(source), _runner(made)
    pictures = _pictures(layout)
    alone = [one(pictures[place : place + 1]) for place in range(len(pictures))]
    for output, values in enumerate(zip(*alone, strict=True)):
        if any(value.shape[:1] != (1,) or not np.isfinite(value).all() for value in values):
            raise Refusal(f"output {output} is not one row of numbers a picture")
        if any(np.array_equal(values[place], values[place - 1]) for place in range(len(values))):
            raise Refusal(f"output {output} is the same for other pictures")
    for places in BATCHES:
        together = many(pictures[list(places)])
        for output, got in enumerate(together):
            wanted = np.concatenate([alone[place][output] for place in places])
            if not _alike(got, wanted):
                raise Refusal(f"output {output} of a batch of {len(places)} is not that of its pictures one by one")


def _write(source: Path, layout: Layout, made: Path) -> None:
    if source.stat().st_size > MAX_BYTES:
        raise Refusal(f"it is larger than {MAX_BYTES >> 20} MiB")
    try:
        made.write_bytes(rewrite(source.read_bytes()))
        check(source, made, layout)
    except (Refusal, OSError):
        raise
    except Exception as error:
        # A file of any origin, given to a parser and a runtime that raise errors of their own.
        raise Refusal(next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]) from error


def _open_shapes(graph: Any, given: str) -> None:
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    constants = {one.name: one for one in graph.initializer}
    for node in graph.node:
        for one in node.attribute:
            if node.op_type == "Constant" and one.name == "value":
                constants[node.output[0]] = one.t
    comes_of_input, new = {given}, []
    for node in graph.node:
        if comes_of_input.isdisjoint(node.input):
            continue
        comes_of_input |= set(node.output)
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        shape = numpy_helper.to_array(constants[node.input[1]]).copy()
        if not shape.size or shape[0] != 1 or any(one.name == "allowzero" and one.i for one in node.attribute):
            continue
        # In a shape, 0 stands for the size that the axis has. Others may use the same constant for something else.
        shape[0] = 0
        name = f"{node.output[0]}/shape of any batch"
        value = helper.make_tensor(f"{name}/value", TensorProto.INT64, shape.shape, shape)
        new.append(helper.make_node("Constant", [], [name], value=value))
        node.input[1] = name
    nodes = [*new, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _runner(path: Path) -> Callable[[Floats], list[Floats]]:
    import onnxruntime  # noqa: PLC0415 - half a second, only where something is made

    from inference.backends.onnx import session_options  # noqa: PLC0415

    session = onnxruntime.InferenceSession(str(path), session_options(1), providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    return lambda feed: [np.asarray(out) for out in session.run(None, {taken.name: feed})]


def _pictures(layout: Layout) -> Floats:
    """(3, 3, height, width): patches and noise, the same each time, scaled as the layout says."""
    random = np.random.default_rng(7)
    shape = (3, layout.height_px, layout.width_px)
    pixels = np.stack([np.mean([_patches(random, shape), random.random(shape)], axis=0) * top for top in CONTRASTS])
    mean, std = (np.array(values).reshape(1, 3, 1, 1) for values in (layout.mean, layout.std))
    return np.asarray((np.rint(pixels) * layout.scale - mean) / std, dtype=np.float32)


def _patches(random: np.random.Generator, shape: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    channels, rows, columns = shape
    coarse = random.random((channels, rows // 16 + 1, columns // 16 + 1))
    return coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :rows, :columns]


def _alike(got: Floats, wanted: Floats) -> bool:
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return False
    largest = float(np.abs(wanted).max(initial=0.0))
    return bool((np.abs(got - wanted) <= RELATIVE * np.abs(wanted) + OF_LARGEST * largest).all())


def _old(name: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(name)}-batch-[0-9a-f]{{16}}-[0-9a-f]{{12}}\.onnx")


@cache
def _version() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]

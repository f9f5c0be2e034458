"""TFLite into ONNX: both forms say the same, batches are free, files are whole and named after what made them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from inference.models import convert
from inference.models.convert import cpu, lanes, prelu, tflite
from inference.models.convert.graph import Graph, Node
from proto.errors import NotFound, Unavailable

Array = npt.NDArray[Any]

SIDES = {"face-detector": 128, "face-mesh": 192, "person": 256, "hands-palm": 192, "hands-landmarks": 224}


def session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def outcome(graph: Graph, path: Path, feed: Array) -> list[Array]:
    graph.save(path, "test")
    return list(session(path).run(None, {"input": feed}))


def noise(*shape: int) -> Array:
    return np.random.default_rng(7).random(shape, dtype=np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("built")


def close(one: Array, other: Array) -> bool:
    return bool(np.abs(one - other).max() <= 1e-4 * (1.0 + np.abs(other).max()))


@pytest.mark.parametrize("name", convert.NAMES)
def test_both_forms_of_a_model_say_the_same_of_any_batch(folder: Path, name: str) -> None:
    side = SIDES[name]
    feed = np.kron(noise(3, 3, 4, 4), np.ones((side // 4, side // 4), np.float32))
    for_cpu, for_gpu = (session(convert.build(name, folder, for_gpu=gpu)) for gpu in (False, True))
    assert [one.name for one in for_cpu.get_inputs()] == ["input"]
    assert [one.name for one in for_cpu.get_outputs()] == [one.name for one in for_gpu.get_outputs()]
    for port in (*for_cpu.get_inputs(), *for_cpu.get_outputs()):
        assert isinstance(port.shape[0], str)
        assert all(isinstance(size, int) for size in port.shape[1:])
    together, plain = for_cpu.run(None, {"input": feed}), for_gpu.run(None, {"input": feed})
    alone = [for_cpu.run(None, {"input": feed[index : index + 1]}) for index in range(3)]
    for index, out in enumerate(together):
        assert np.ptp(out) > 0.0
        assert close(out, plain[index])
        assert close(out, np.concatenate([one[index] for one in alone]))


def test_the_name_says_of_what_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    name = convert.file_name("face-mesh")
    assert tflite.package_version() in name
    assert name != convert.file_name("face-mesh", for_gpu=True)
    convert._digest.cache_clear()
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"another converter")
    assert convert.file_name("face-mesh") != name
    convert._digest.cache_clear()
    with pytest.raises(NotFound, match="face-mesh"):
        convert.build("crystal-ball", Path("nowhere"))


def test_a_build_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_graph: Graph, path: Path, _producer: str) -> None:
        path.write_bytes(b"half a model")
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Graph, "save", fail)
        with pytest.raises(OSError, match="no space"):
            convert.build("face-detector", tmp_path)
    assert list(tmp_path.iterdir()) == []
    built = convert.build("face-detector", tmp_path)
    assert list(tmp_path.iterdir()) == [built]
    before = built.stat().st_mtime_ns
    assert convert.build("face-detector", tmp_path).stat().st_mtime_ns == before


def test_a_package_without_the_file_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"carries no modules/nothing\.tflite"):
        tflite.package_file("modules/nothing.tflite")
    monkeypatch.setattr(tflite, "_PACKAGE", "no-such-package")
    with pytest.raises(Unavailable, match="no-such-package"):
        tflite.package_version()


def test_building_imports_no_mediapipe(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from inference.models import convert; "
        f"convert.build('face-detector', Path({str(tmp_path)!r})); print('mediapipe' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout.strip() == "False"


def blocks(slopes: list[Array], *, pooled: bool) -> Graph:
    """Residual blocks with PReLU, as BlazeFace is made of; `pooled` lets something else read one PReLU as well."""
    rng = np.random.default_rng(3)
    graph = Graph()
    graph.inputs["input"] = (4, 8, 8)
    channels = len(slopes[0])
    first = graph.constant(rng.normal(size=(channels, 4, 1, 1)))
    tensor = graph.op("Conv", "input", first, graph.constant(rng.normal(size=channels)), kernel_shape=[1, 1])
    tensor = graph.op("PRelu", tensor, graph.constant(slopes[0].reshape(-1, 1, 1)))
    for slope in slopes[1:]:
        deep = graph.constant(rng.normal(size=(channels, 1, 3, 3)))
        wide = graph.constant(rng.normal(size=(channels, channels, 1, 1)) / channels)
        inner = graph.op("Conv", tensor, deep, kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=channels)
        inner = graph.op("Conv", inner, wide, graph.constant(rng.normal(size=channels)), kernel_shape=[1, 1])
        tensor = graph.op("PRelu", graph.op("Add", tensor, inner), graph.constant(slope.reshape(-1, 1, 1)))
    if pooled:
        tensor = graph.op("MaxPool", tensor, kernel_shape=[2, 2], strides=[2, 2])
    else:
        last = graph.constant(rng.normal(size=(channels, channels, 1, 1)))
        tensor = graph.op("Conv", tensor, last, kernel_shape=[1, 1])
    graph.output("out", tensor, (channels, 4, 4) if pooled else (channels, 8, 8))
    return graph


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("channels", [16, 12])
def test_prelu_with_any_slopes_is_rewritten_without_a_change(tmp_path: Path, channels: int, pooled: bool) -> None:
    slopes = [np.random.default_rng(seed).uniform(-0.5, 2.5, channels) for seed in range(4)]
    feed = noise(2, 4, 8, 8) - 0.5
    expected = outcome(blocks(slopes, pooled=pooled), tmp_path / "plain.onnx", feed)
    rewritten = blocks(slopes, pooled=pooled)
    cpu.suit(rewritten)
    assert not any(node.kind == "PRelu" for node in rewritten.nodes)
    found = outcome(rewritten, tmp_path / "cpu.onnx", feed)
    assert close(found[0], expected[0])


def test_signs_are_only_turned_where_convolutions_read() -> None:
    """A PReLU whose slope is above 1 costs an operator less where its channels may be kept negated."""
    kinds = []
    for pooled in (False, True):
        graph = blocks([np.full(16, 2.0)], pooled=pooled)
        prelu.rewrite(graph)
        bend = next(node for node in graph.nodes if node.kind == "Relu")
        maker = next(node for node in graph.nodes if bend.inputs[0] in node.outputs)
        kinds.append(maker.attributes.get("group", 1))
    assert kinds == [16, 1]


def branches() -> Graph:
    """Two branches from one split, one of which parts in two, with outputs of different widths."""
    rng = np.random.default_rng(5)
    graph = Graph()
    graph.inputs["input"] = (8, 4, 4)
    left, right = graph.ops("Split", ["input"], 2, axis=1)

    def branch(tensor: str, out: int) -> str:
        weights = graph.constant(rng.normal(size=(4, 1, 3, 3)))
        tensor = graph.op("Conv", tensor, weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=4)
        tensor = graph.op("PRelu", tensor, graph.constant(rng.uniform(0, 1, (4, 1, 1))))
        tensor = graph.op("Pad", tensor, graph.ints(0, 0, 0, 0, 0, 2, 0, 0))
        return graph.op("Conv", tensor, graph.constant(rng.normal(size=(out, 6, 4, 4))), kernel_shape=[4, 4])

    outs = [branch(left, 3), branch(right, 5), branch(right, 2)]
    graph.output("all", graph.op("Concat", *outs, axis=1), (10, 1, 1))
    graph.output("one", graph.op("Sigmoid", outs[1]), (5, 1, 1))
    return graph


def test_branches_are_joined_without_a_change(tmp_path: Path) -> None:
    feed = noise(2, 8, 4, 4) - 0.5
    expected = outcome(branches(), tmp_path / "apart.onnx", feed)
    joined = branches()
    lanes.join(joined)
    found = outcome(joined, tmp_path / "joined.onnx", feed)
    assert sum(node.kind == "Conv" for node in joined.nodes) == 3
    for one, other in zip(found, expected, strict=True):
        assert close(one, other)


def test_channels_are_filled_up_to_blocks(tmp_path: Path) -> None:
    """What leaves the graph keeps its channels; inside, padding of channels within a block is nothing."""

    def graph() -> Graph:
        rng = np.random.default_rng(9)
        made = Graph()
        made.inputs["input"] = (3, 6, 6)
        tensor = made.op("Conv", "input", made.constant(rng.normal(size=(20, 3, 1, 1))), kernel_shape=[1, 1])
        tensor = made.op("Pad", made.op("Relu", tensor), made.ints(0, 0, 0, 0, 0, 4, 0, 0))
        tensor = made.op("Conv", tensor, made.constant(rng.normal(size=(40, 24, 1, 1))), kernel_shape=[1, 1])
        made.output("out", made.op("Reshape", tensor, made.ints(0, -1)), (40 * 36,))
        return made

    feed = noise(1, 3, 6, 6) - 0.5
    expected = outcome(graph(), tmp_path / "plain.onnx", feed)
    filled = graph()
    cpu.suit(filled)
    found = outcome(filled, tmp_path / "filled.onnx", feed)
    shapes = [filled.constants[node.inputs[1]].shape[:2] for node in filled.nodes if node.kind == "Conv"]
    assert shapes == [(32, 3), (40, 32)]
    assert not any(node.kind == "Pad" for node in filled.nodes)
    assert close(found[0], expected[0])


def test_nodes_that_lead_nowhere_are_dropped() -> None:
    graph = Graph()
    graph.inputs["input"] = (1,)
    graph.op("Relu", graph.op("Add", "input", graph.constant([2.0])))
    graph.output("out", "input", (1,))
    graph.drop_unused()
    assert [node.kind for node in graph.nodes] == ["Identity"]
    assert graph.constants == {}
    assert isinstance(graph.nodes[0], Node)

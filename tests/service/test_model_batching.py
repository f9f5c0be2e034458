"""Files that take one picture at a time, made to take many: the same numbers, or the file as it came."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from structlog.testing import capture_logs

from inference.backends.onnx import OnnxModel
from inference.backends.providers import inputs_of, profile
from inference.backends.settings import OnnxSettings
from inference.backends.yolo import CPU_BATCH, YoloBackend
from inference.models import batching
from inference.models.manifest import Card, File, Layout, Manifest
from inference.models.settings import ModelsSettings
from inference.models.store import LocalModel, Store
from proto.errors import FeatureMissing
from tests.support.clips import picture, scaled

ROOT = Path(__file__).resolve().parents[2]
SIDE_PX = 16
LAYOUT = Layout(width_px=SIDE_PX, height_px=SIDE_PX, scale=1 / 255, decode="yolo_v8")
Floats = npt.NDArray[np.float32]
Nodes = list[onnx.NodeProto]
Constants = dict[str, npt.NDArray[Any]]


def opened(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(path: Path, pictures: Floats) -> list[Floats]:
    session = opened(path)
    return list(session.run(None, {session.get_inputs()[0].name: pictures}))


def one_by_one(path: Path, pictures: Floats) -> list[Floats]:
    return [np.concatenate(outs) for outs in zip(*(run(path, one[None]) for one in pictures), strict=True)]


def noise(count: int, side_px: int, top: float = 255.0) -> Floats:
    return (np.random.default_rng(3).random((count, 3, side_px, side_px)) * top).astype(np.float32)


def written(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    out: Sequence[int | str],
    constants: Constants,
    batch: int | str = 1,
    between: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> Path:
    """A network of `nodes` from "images" to "output"."""
    graph = helper.make_graph(
        list(nodes),
        "network",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, list(out))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
        # As exports have them: every shape between the nodes.
        value_info=[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in between.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def real(models_dir: Path, built: Path, **changes: Any) -> Store:
    return Store(ModelsSettings(dir=models_dir, built_dir=built), **changes)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_the_object_detector_takes_a_batch_and_gives_the_same(models_dir: Path, tmp_path: Path) -> None:
    kept = real(models_dir, tmp_path)
    assert kept.batched("yolox-nano") is None
    found = kept.find("yolox-nano", "objects")
    assert found.path == kept.batched("yolox-nano") == tmp_path / files_in(tmp_path)[0]
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o644
    pictures = noise(5, 416)
    (together,), (alone,) = run(found.path, pictures), one_by_one(kept.path("yolox-nano"), pictures)
    assert together.shape == (5, 3549, 85)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)
    # What an engine for a GPU is built for.
    assert profile(inputs_of(opened(found.path)), 32) == "images:32x3x416x416"


def test_it_is_made_once_and_the_same_each_time(models_dir: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        asked = [
            pool.submit(real(models_dir, tmp_path / "one", for_gpu=form).find, "yolox-nano", "objects")
            for form in (True, False, True)
        ]
        (path,) = {one.result(120).path for one in asked}
    before = path.stat()
    assert real(models_dir, tmp_path / "one").find("yolox-nano", "objects").path == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    # Engines belong to a file's content: those of another machine would be built anew.
    other = real(models_dir, tmp_path / "two").find("yolox-nano", "objects").path
    assert other.read_bytes() == path.read_bytes()


def test_a_worker_looks_at_several_pictures_at_once_and_finds_the_same(
    models_dir: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = real(models_dir, tmp_path)
    photo = picture(media / "photos" / "two_people.jpg")
    pictures = [photo, np.zeros_like(photo), scaled(photo, 320), np.ascontiguousarray(photo[:, ::-1]), photo]
    found = kept.find("yolox-nano", "objects")
    sizes: list[int] = []
    real_run = OnnxModel.run

    def noted(self: OnnxModel, feeds: dict[str, Any]) -> list[Any]:
        sizes.append(len(feeds["images"]))
        return real_run(self, feeds)

    monkeypatch.setattr(OnnxModel, "run", noted)
    results = []
    for path in (found.path, kept.path("yolox-nano")):
        backend = YoloBackend(LocalModel(found.name, found.card, path), OnnxSettings(provider="cpu"), certain=0.0)
        backend.load()
        sizes.clear()
        results.append((backend.run(pictures), list(sizes)))
        backend.close()
    (together, batched), (alone, single) = results
    assert (batched, single) == ([CPU_BATCH, 1], [1] * 5)
    assert [bool(len(objects)) for objects in together] == [True, False, True, True, True]
    for ours, truth in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-4, atol=1e-2)


def test_a_network_with_several_outputs(models_dir: Path, tmp_path: Path) -> None:
    source = models_dir / "face_detection_yunet_2023mar.onnx"
    path = batching.prepare("yunet", source, Layout(width_px=640, height_px=640, colours="bgr"), tmp_path)
    assert path.parent == tmp_path
    pictures = noise(2, 640)
    together, alone = run(path, pictures), one_by_one(source, pictures)
    assert len(together) == 12
    for ours, truth in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("as_node", [False, True])
def test_a_shape_that_weights_use_too_stays_theirs(tmp_path: Path, *, as_node: bool) -> None:
    shape = np.array([1, -1, 1, 1])
    constants: Constants = {"weights": np.array([1, 2, 3], dtype=np.float32), "flat": np.array([1, -1])}
    nodes = [
        node("Reshape", "weights shape", "column"),
        node("Mul", "images column", "weighted"),
        node("GlobalAveragePool", "weighted", "mean"),
        node("Reshape", "mean shape", "again"),
        node("Reshape", "again flat", "output"),
    ]
    if as_node:
        nodes.insert(0, node("Constant", "", "shape", value=numpy_helper.from_array(shape)))
    else:
        constants["shape"] = shape
    between = {"weighted": [1, 3, SIDE_PX, SIDE_PX], "mean": [1, 3, 1, 1], "again": [1, 3, 1, 1]}
    source = written(tmp_path / "own.onnx", nodes, [1, 3], constants, between=between)
    path = batching.prepare("own", source, LAYOUT, tmp_path / "built")
    assert path != source
    assert len(onnx.load(source).graph.value_info) == 3
    assert not onnx.load(path).graph.value_info
    pictures = noise(4, SIDE_PX)
    np.testing.assert_allclose(run(path, pictures)[0], one_by_one(source, pictures)[0], rtol=1e-5)


def over_the_batch(path: Path) -> Path:
    """Each number by its part of the sum over the batch: itself, for one picture."""
    nodes = [node("Softmax", "images", "parts", axis=0), node("Mul", "images parts", "output")]
    return written(path, nodes, [1, 3, SIDE_PX, SIDE_PX], {})


def between_neighbours(path: Path) -> Path:
    """A batch goes through, of the right shape, with the rows of its pictures mixed up."""
    nodes = [
        node("Transpose", "images", "turned", perm=[1, 0, 2, 3]),
        node("Reshape", "turned rows", "output"),
    ]
    return written(path, nodes, [1, 3 * SIDE_PX * SIDE_PX], {"rows": np.array([-1, 3 * SIDE_PX * SIDE_PX])})


def quantised(path: Path) -> Path:
    """Its range is that of the whole batch."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["images"], ["small", "scale", "zero"]),
        node("DequantizeLinear", "small scale zero", "output"),
    ]
    return written(path, nodes, [1, 3, SIDE_PX, SIDE_PX], {})


def quantised_after_a_limit(path: Path) -> Path:
    """The same, where pictures full of contrast all have the range of the limit."""
    nodes = [
        node("Clip", "images low high", "limited"),
        helper.make_node("DynamicQuantizeLinear", ["limited"], ["small", "scale", "zero"]),
        node("DequantizeLinear", "small scale zero", "output"),
    ]
    limits: Constants = {"low": np.array(0, dtype=np.float32), "high": np.array(0.5, dtype=np.float32)}
    return written(path, nodes, [1, 3, SIDE_PX, SIDE_PX], limits)


def of_one_mind(path: Path) -> Path:
    """Says the same of each picture: nothing shows that a batch is kept in order."""
    nodes = [node("Sub", "images images", "nothing"), node("Add", "nothing one", "output")]
    return written(path, nodes, [1, 3, SIDE_PX, SIDE_PX], {"one": np.ones(1, dtype=np.float32)})


def folded_away(path: Path) -> Path:
    """A shape without the batch on its first axis, which 0 would copy."""
    nodes = [node("Transpose", "images", "turned", perm=[1, 0, 2, 3]), node("Reshape", "turned flat", "output")]
    return written(path, nodes, [1, 3 * SIDE_PX * SIDE_PX], {"flat": np.array([1, -1])})


def two_at_a_time(path: Path) -> Path:
    return written(path, [node("Relu", "images", "output")], [2, 3, SIDE_PX, SIDE_PX], {}, batch=2)


def not_a_number(path: Path) -> Path:
    nodes = [node("Sub", "images two", "less"), node("Log", "less", "output")]
    return written(path, nodes, [1, 3, SIDE_PX, SIDE_PX], {"two": np.full(1, 2, dtype=np.float32)})


def broken(path: Path) -> Path:
    path.write_bytes(b"no model at all")
    return path


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (over_the_batch, "output 0 of a batch of 3 is not that of its pictures"),
        (between_neighbours, "output 0 of a batch of 3 is not that of its pictures"),
        (quantised, "output 0 of a batch of 3 is not that of its pictures"),
        (quantised_after_a_limit, "output 0 of a batch of 3 is not that of its pictures"),
        (folded_away, "output 0 of a batch of 3 is not that of its pictures"),
        (of_one_mind, "output 0 is the same for other pictures"),
        (not_a_number, "output 0 is not one row of numbers"),
        (two_at_a_time, "the first axis of images is not 1"),
        (broken, ""),
    ],
)
def test_what_would_not_be_the_same_stays_as_it_is_and_is_told_once(
    tmp_path: Path, network: Callable[[Path], Path], why: str
) -> None:
    source, built = network(tmp_path / "own.onnx"), tmp_path / "built"
    with capture_logs() as told:
        assert batching.prepare("own", source, LAYOUT, built) == source
        assert batching.prepare("own", source, LAYOUT, built) == source
    (line,) = told
    assert (line["event"], line["log_level"], line["model"]) == ("models.one_by_one", "warning", "own")
    assert line["reason"].startswith(why)
    assert line["reason"]
    assert files_in(built) == []


def test_weights_quantised_at_run_time_are_found_out_in_a_real_model(models_dir: Path, tmp_path: Path) -> None:
    model = onnx.load(models_dir / "mobilefacenet_512d_int8.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, tmp_path / "own.onnx")
    layout = Layout(width_px=112, height_px=112, mean=(127.5,) * 3, std=(127.5,) * 3)
    with capture_logs() as told:
        assert batching.prepare("own", tmp_path / "own.onnx", layout, tmp_path / "built") == tmp_path / "own.onnx"
    assert "is not that of its pictures" in told[0]["reason"]


def test_what_takes_any_batch_already_is_used_without_a_word(tmp_path: Path) -> None:
    source = written(
        tmp_path / "own.onnx", [node("Relu", "images", "output")], ["n", 3, SIDE_PX, SIDE_PX], {}, batch="n"
    )
    with capture_logs() as told:
        assert batching.prepare("own", source, LAYOUT, tmp_path / "built") == source
    assert told == []
    assert files_in(tmp_path / "built") == []


def test_a_file_too_large_and_a_folder_in_the_way_leave_it_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "own.onnx", [node("Relu", "images", "output")], [1, 3, SIDE_PX, SIDE_PX], {})
    (tmp_path / "file").write_text("in the way")
    with capture_logs() as told:
        assert batching.prepare("own", source, LAYOUT, tmp_path / "file") == source
        monkeypatch.setattr(batching, "MAX_BYTES", 0)
        assert batching.prepare("own", source, LAYOUT, tmp_path / "built") == source
    assert [line["event"] for line in told] == ["models.one_by_one"] * 2
    assert "File exists" in told[0]["reason"] or "Not a directory" in told[0]["reason"]
    assert "larger than" in told[1]["reason"]
    monkeypatch.undo()
    assert batching.prepare("own", source, LAYOUT, tmp_path / "other") != source


def own_store(folder: Path, *, open_batch: bool = True) -> Store:
    card = Card(
        task="objects",
        feature="objects",
        licence="ours",
        labels=("book",),
        files=(File(path=str(folder / "own.onnx")),),
        layout=LAYOUT,
        open_batch=open_batch,
    )
    return Store(ModelsSettings(dir=folder, built_dir=folder / "built"), manifest=Manifest(models={"own": card}))


def test_an_operators_own_model_follows_its_file(tmp_path: Path) -> None:
    source = written(tmp_path / "own.onnx", [node("Relu", "images", "output")], [1, 3, SIDE_PX, SIDE_PX], {})
    assert own_store(tmp_path, open_batch=False).find("own", "objects").path == source
    assert not (tmp_path / "built").exists()
    first = own_store(tmp_path).find("own", "objects").path
    older = first.with_name(f"{first.stem[:-12]}0123456789ab.onnx")
    others = [first.with_name(name) for name in ("own-batch-ours.onnx", older.name.replace("own-", "own-2-"))]
    for path in (older, *others):
        path.write_bytes(b"weights")
    written(source, [node("Sigmoid", "images", "output")], [1, 3, SIDE_PX, SIDE_PX], {})
    with older.open("rb") as running:
        second = own_store(tmp_path).find("own", "objects").path
        assert running.read() == b"weights"
    pictures = noise(2, SIDE_PX, 1.0)
    np.testing.assert_allclose(run(second, pictures)[0], 1 / (1 + np.exp(-pictures)), rtol=1e-5)
    assert files_in(tmp_path / "built") == sorted([second.name, *(path.name for path in others)])


def test_a_source_that_is_not_the_pinned_one_is_not_run_though_its_batched_form_is_here(
    models_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "yolox_nano.onnx").write_bytes((models_dir / "yolox_nano.onnx").read_bytes())
    kept = real(tmp_path, tmp_path / "built")
    assert kept.find("yolox-nano", "objects").path.parent == tmp_path / "built"
    with (tmp_path / "yolox_nano.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(FeatureMissing, match="another checksum"):
        kept.find("yolox-nano", "objects")


def test_the_commands_build_it_ahead_and_say_where_it_is(models_dir: Path, tmp_path: Path) -> None:
    def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "inference.models", *arguments],
            cwd=ROOT,
            env=os.environ
            | {"CANDOR_MODELS_DIR": str(models_dir), "CANDOR_MODELS_BUILT_DIR": str(tmp_path)}
            | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def listed() -> dict[str, Any]:
        return next(row for row in json.loads(command("list", "--json").stdout) if row["name"] == "yolox-nano")

    source = str(models_dir / "yolox_nano.onnx")
    assert (listed()["path"], listed()["batched"]) == (source, "")
    built = command("build")
    assert built.returncode == 0, built.stderr
    lines = [line for line in built.stdout.splitlines() if line.startswith("yolox-nano: ")]
    made = str(tmp_path / batching.file_name("yolox-nano", Path(source)))
    assert lines == [f"yolox-nano: {made}"]
    # The same for a GPU and for the CPU, where both may be used.
    assert command("build", "yolox-nano", CANDOR_ONNX_PROVIDER="cuda").stdout.split() == lines[0].split()
    row = listed()
    assert (row["state"], row["path"], row["batched"]) == ("present", source, made)
    absent = command("build", "yolox-s")
    assert absent.returncode == 1
    assert "candor models pull yolox-s" in absent.stderr

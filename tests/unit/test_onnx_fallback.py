"""Providers that do not start, on a scripted ONNX Runtime that runs everything on the CPU in truth."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from prometheus_client import REGISTRY

from inference.backends import engines, gpu, running
from inference.backends.onnx import OnnxModel
from inference.backends.providers import CPU, CUDA, TENSORRT
from inference.backends.settings import OnnxSettings
from inference.models.manifest import Card
from inference.models.store import LocalModel
from proto.errors import FeatureMissing, Unavailable
from runtime.health import Health

MODEL = "doubler"


def doubler(path: Path, batch: int | None = None) -> Path:
    """A model that doubles rows of three numbers; `batch` fixes how many."""
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "doubler",
        [helper.make_tensor_value_info("x", kind, [batch or "n", 3])],
        [helper.make_tensor_value_info("y", kind, [batch or "n", 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


class Session:
    """A session that says it runs on `claims`; each graph node is there too, or where `nodes` says."""

    def __init__(self, claims: tuple[str, ...], real: Any, nodes: dict[str, int] | None = None) -> None:
        self._claims, self._real, self._nodes = claims, real, nodes or {claims[0]: 1}
        self.batches: list[int] = []

    def get_providers(self) -> list[str]:
        return list(self._claims)

    def get_inputs(self) -> Any:
        return self._real.get_inputs()

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return [
            SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [None] * count)
            for name, count in self._nodes.items()
        ]

    def run(self, names: Any, feeds: dict[str, Any]) -> Any:
        self.batches.append(len(next(iter(feeds.values()))))
        return self._real.run(names, feeds)


class Machine:
    """Stands in for the module `onnxruntime` in its GPU build. `raises` and `silent` name providers that do not start:
    with an exception, as TensorRT does, or by leaving the CPU alone, as CUDA does.
    """

    def __init__(self) -> None:
        self.available: tuple[str, ...] = (TENSORRT, CUDA, CPU)
        self.raises: set[str] = set()
        self.silent: set[str] = set()
        self.nodes: dict[str, int] | None = None
        self.asked: list[list[str]] = []
        self.options: list[dict[str, str]] = []
        self.sessions: list[Session] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(onnxruntime, name)

    def get_available_providers(self) -> list[str]:
        return list(self.available)

    def preload_dlls(self, directory: str) -> None:
        print("Failed to load libcublas")

    def InferenceSession(self, path: str, options: Any, providers: list[str], **more: Any) -> Session:
        real = onnxruntime.InferenceSession(path, options, providers=[CPU])
        if providers == [CPU] and "provider_options" not in more:
            return Session((CPU,), real)
        self.asked.append(providers)
        assert more["enable_fallback"] == 0
        if providers[0] in self.raises:
            raise RuntimeError("Please install the libraries\nand more")
        claims = tuple(one for one in providers if one not in self.silent)
        self.options = more["provider_options"]
        self.sessions.append(Session(claims, real, self.nodes))
        return self.sessions[-1]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setitem(sys.modules, "onnxruntime", made)
    monkeypatch.setattr(running, "_running", {})  # other tests may have left models open
    monkeypatch.setattr(gpu, "both_builds", lambda: False)
    monkeypatch.setattr(gpu, "device_present", lambda: True)
    monkeypatch.setattr(gpu, "why_not", lambda provider: gpu.Why("libfoo.so cannot be opened", gpu.SYNC_GPU))
    return made


Make = Callable[..., OnnxModel]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[OnnxModel] = []

    def make(batch: int | None = None, **settings: Any) -> OnnxModel:
        path = doubler(tmp_path / "doubler.onnx", batch)
        own = OnnxSettings(**{"engine_dir": tmp_path / "engines", "max_batch": 8, "optimal_batch": 4} | settings)
        made.append(OnnxModel(path, own, name=MODEL, feature="doubling", fp16=True))
        made[-1].load()
        return made[-1]

    yield make
    for model in made:
        model.close()


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"model": MODEL} | labels)


def told() -> Health:
    health = Health()
    health.runs_on(running.models)
    return health


def test_tensorrt_where_it_works(machine: Machine, make: Make) -> None:
    model = make()
    assert model.provider == TENSORRT
    assert machine.asked == [[TENSORRT, CUDA, CPU]]
    assert machine.options[0]["trt_profile_opt_shapes"] == "x:4x3"
    assert machine.options[0]["trt_fp16_enable"] == "1"
    assert machine.options[2] == {}
    # Every batch size the engine is made for was run before the first picture comes.
    assert machine.sessions[0].batches == [1, 4, 8]
    assert metric("candor_onnx_provider", provider=TENSORRT) == 1
    assert metric("candor_onnx_fallback", wanted=TENSORRT, got=TENSORRT) == 0
    assert told().providers() == {MODEL: TENSORRT}
    assert told().parts() == []


def test_tensorrt_that_raises_leads_to_cuda_and_is_told(machine: Machine, make: Make) -> None:
    machine.raises = {TENSORRT}
    model = make()
    assert model.provider == CUDA
    assert machine.asked == [[TENSORRT, CUDA, CPU], [CUDA, CPU]]
    assert metric("candor_onnx_provider", provider=CUDA) == 1
    assert metric("candor_onnx_fallback", wanted=TENSORRT, got=CUDA) == 1
    (part,) = told().parts()
    assert (part.name, part.ok, part.critical, part.command) == (f"provider:{MODEL}", False, False, gpu.SYNC_GPU)
    assert "wants TensorrtExecutionProvider, runs on CUDAExecutionProvider: " in part.detail
    assert "libfoo.so cannot be opened" in part.detail


def test_cuda_that_silently_leaves_the_cpu_alone_is_told(machine: Machine, make: Make, capfd: Any) -> None:
    machine.raises, machine.silent = {TENSORRT}, {CUDA}
    model = make()
    assert model.provider == CPU
    assert metric("candor_onnx_fallback", wanted=TENSORRT, got=CPU) == 1
    assert machine.sessions[-1].batches == [1]
    assert told().ready
    assert "cannot be opened" in told().parts()[0].detail
    # ONNX Runtime's helper prints; stdout belongs to whoever started the process.
    assert not [line for line in capfd.readouterr().out.splitlines() if line.startswith("Failed")]


def test_a_provider_that_starts_silently_without_itself_is_asked_why(machine: Machine, make: Make) -> None:
    machine.silent = {CUDA}
    assert make(provider="cuda").provider == CPU
    assert told().parts()[0].detail.endswith(f"{CUDA}: libfoo.so cannot be opened")
    assert told().parts()[0].command == gpu.SYNC_GPU


def test_a_fault_that_is_none_of_the_machines_is_told_as_it_is(machine: Machine, make: Make, monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu, "why_not", lambda provider: gpu.Why(""))
    machine.raises = {TENSORRT}
    make()
    assert told().parts()[0].detail.endswith(f"{TENSORRT}: Please install the libraries")
    assert told().parts()[0].command == ""


def test_a_gpu_that_gets_only_a_few_nodes_does_not_count_as_used(machine: Machine, make: Make) -> None:
    machine.nodes = {TENSORRT: 2, CPU: 60}
    assert make().provider == CPU
    assert metric("candor_onnx_fallback", wanted=TENSORRT, got=CPU) == 1
    assert metric("candor_onnx_nodes", provider=CPU) == 60
    assert "only a few of the graph's nodes" in told().parts()[0].detail


def test_an_idle_gpu_beside_the_cpu_build_is_told_with_the_command(machine: Machine, make: Make) -> None:
    machine.available = (CPU,)
    assert make().provider == CPU
    assert metric("candor_onnx_fallback", wanted=CUDA, got=CPU) == 1
    assert told().parts()[0].command == gpu.SYNC_GPU


def test_the_cpu_where_it_was_asked_for_is_no_fall_back(machine: Machine, make: Make) -> None:
    assert make(provider="cpu").provider == CPU
    assert machine.asked == [[CPU]]
    assert metric("candor_onnx_fallback", wanted=CPU, got=CPU) == 0
    assert told().parts() == []


def test_what_a_model_ran_on_is_forgotten_when_it_is_closed(machine: Machine, make: Make) -> None:
    machine.raises = {TENSORRT}
    health = told()
    model = make()
    machine.raises = set()
    model.load()
    assert health.providers() == {MODEL: TENSORRT}
    assert metric("candor_onnx_fallback", wanted=TENSORRT, got=CUDA) is None
    model.close()
    model.close()
    assert health.providers() == {}
    assert metric("candor_onnx_provider", provider=TENSORRT) is None
    assert metric("candor_onnx_nodes", provider=TENSORRT) is None


@pytest.mark.parametrize(
    ("batch", "size", "runs"),
    [(None, 5, [5]), (None, 8, [8]), (None, 19, [8, 8, 3]), (1, 3, [1, 1, 1]), (4, 6, [4, 4])],
)
def test_batches_are_cut_to_what_the_model_takes(
    machine: Machine, make: Make, batch: int | None, size: int, runs: list[int]
) -> None:
    model = make(batch)
    assert model.fixed_batch == batch
    session = machine.sessions[-1]
    session.batches.clear()
    rows = np.arange(size * 3, dtype=np.float32).reshape(size, 3)
    (doubled,) = model.run({"x": rows})
    np.testing.assert_array_equal(doubled, rows * 2)
    assert session.batches == runs


def test_both_builds_at_once_are_refused_with_the_command(machine: Machine, make: Make, monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu, "both_builds", lambda: True)
    with pytest.raises(FeatureMissing, match="both installed") as error:
        make()
    assert error.value.command == gpu.mend(gpu=True)


def test_a_broken_file_blames_no_provider(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(FeatureMissing, match=r"broken\.onnx does not load"):
        OnnxModel(path, OnnxSettings(), name=MODEL, feature="doubling").load()
    assert machine.asked == []
    with pytest.raises(FeatureMissing, match="does not load"):
        OnnxModel(tmp_path / "none.onnx", OnnxSettings(), name=MODEL, feature="doubling").load()


def test_a_model_that_is_not_loaded_says_so(tmp_path: Path) -> None:
    with pytest.raises(FeatureMissing, match="not loaded"):
        OnnxModel(tmp_path / "x.onnx", OnnxSettings(), name=MODEL, feature="doubling").run({"x": np.zeros((1, 3))})


def local(tmp_path: Path, name: str = MODEL, **card: Any) -> LocalModel:
    own = Card(task="objects", feature="objects", licence="MIT", half_precision=True, **card)
    return LocalModel(name, own, doubler(tmp_path / f"{name}.onnx"))


def test_engines_are_built_by_opening_each_model_on_tensorrt(machine: Machine, tmp_path: Path) -> None:
    said: list[str] = []
    settings = OnnxSettings(provider="cpu", engine_dir=tmp_path / "engines")
    whisper = LocalModel("whisper-tiny", Card(task="speech to text", feature="transcript", licence="MIT"), tmp_path)
    packaged = local(tmp_path, "rapidocr", package="rapidocr")
    built = engines.build([local(tmp_path), whisper, packaged], settings, said.append)
    assert built == (MODEL,)
    assert machine.asked == [[TENSORRT, CUDA, CPU]]
    assert machine.options[0]["trt_engine_cache_path"].startswith(str(tmp_path / "engines" / MODEL))
    assert said[-1].startswith(f"{MODEL}: 0 engines in ")
    assert running.models() == ()


def test_a_model_tensorrt_refuses_is_named_after_the_others_are_built(machine: Machine, tmp_path: Path) -> None:
    machine.raises = {TENSORRT}
    with pytest.raises(Unavailable, match=f"does not run {MODEL}: .*libfoo.so"):
        engines.build([local(tmp_path)], OnnxSettings(engine_dir=tmp_path), lambda _: None)


def test_engines_need_tensorrt_and_a_gpu(machine: Machine, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu, "device_present", lambda: False)
    with pytest.raises(FeatureMissing, match="no NVIDIA GPU is visible"):
        engines.build([local(tmp_path)], OnnxSettings(engine_dir=tmp_path))
    machine.available = (CPU,)
    with pytest.raises(FeatureMissing, match="without TensorRT") as error:
        engines.build([local(tmp_path)], OnnxSettings(engine_dir=tmp_path))
    assert error.value.command == gpu.SYNC_GPU

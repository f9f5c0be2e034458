"""Which providers a model is tried on, with which options: pure functions on made-up machines."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from inference.backends import gpu, providers
from inference.backends.engine_cache import engine_folder, label
from inference.backends.providers import CPU, CUDA, TENSORRT, Input
from inference.backends.settings import OnnxSettings

GPU_BUILD = (TENSORRT, CUDA, CPU)
CPU_BUILD = ("AzureExecutionProvider", CPU)
IMAGES = Input("images", (None, 3, 112, 96), "tensor(float)")
SIZES = Input("sizes", (None, 2), "tensor(int64)")
FIXED = Input("images", (1, 3, 416, 416), "tensor(float)")
OPEN = Input("x", (None, 3, None, None), "tensor(float)")


@pytest.mark.parametrize(
    ("choice", "available", "shaped", "tried"),
    [
        ("auto", GPU_BUILD, True, (TENSORRT, CUDA, CPU)),
        ("tensorrt", GPU_BUILD, True, (TENSORRT, CUDA, CPU)),
        ("cuda", GPU_BUILD, True, (CUDA, CPU)),
        ("cpu", GPU_BUILD, True, (CPU,)),
        ("auto", CPU_BUILD, True, (CPU,)),
        ("tensorrt", CPU_BUILD, True, (CPU,)),
        ("auto", (CUDA, CPU), True, (CUDA, CPU)),
        ("auto", GPU_BUILD, False, (CUDA, CPU)),
        ("tensorrt", GPU_BUILD, False, (CUDA, CPU)),
    ],
)
def test_the_chain_goes_from_the_best_to_the_cpu(choice, available, shaped, tried):
    assert providers.chain(choice, available, shaped=shaped) == tried


@pytest.mark.parametrize(
    ("choice", "available", "gpu_here", "shaped", "best"),
    [
        ("auto", GPU_BUILD, True, True, TENSORRT),
        ("auto", GPU_BUILD, False, True, TENSORRT),
        ("auto", GPU_BUILD, True, False, CUDA),
        ("auto", CPU_BUILD, False, True, CPU),
        # A GPU that stands idle because the CPU build is installed.
        ("auto", CPU_BUILD, True, True, CUDA),
        ("cuda", CPU_BUILD, False, True, CUDA),
        ("tensorrt", CPU_BUILD, False, True, TENSORRT),
        ("tensorrt", GPU_BUILD, True, False, CUDA),
        # Asked for: no fall-back, whatever is there.
        ("cpu", GPU_BUILD, True, True, CPU),
    ],
)
def test_what_ought_to_run_a_model(choice, available, gpu_here, shaped, best):
    assert providers.wanted(choice, available, gpu=gpu_here, shaped=shaped) == best


def test_tensorrt_is_told_every_batch_it_will_see():
    settings = OnnxSettings(max_batch=24, optimal_batch=6, device_id=1, memory_limit_mib=512)
    options = providers.tensorrt_options(
        settings, (IMAGES, SIZES), name="face-mesh", fp16=True, cache=Path("/engines/m")
    )
    assert options == {
        "device_id": "1",
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "/engines/m",
        "trt_engine_cache_prefix": "face-mesh",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": "/engines/m",
        "trt_max_workspace_size": str(512 * 1024 * 1024),
        "trt_profile_min_shapes": "images:1x3x112x96,sizes:1x2",
        "trt_profile_opt_shapes": "images:6x3x112x96,sizes:6x2",
        "trt_profile_max_shapes": "images:24x3x112x96,sizes:24x2",
    }


def test_a_graph_without_open_axes_needs_no_profile_and_no_limit_is_none():
    options = providers.tensorrt_options(OnnxSettings(), (FIXED,), name="m", fp16=False, cache=Path("/e"))
    assert not [name for name in options if "profile" in name or "workspace" in name]
    assert options["trt_fp16_enable"] == "0"


@pytest.mark.parametrize(("card", "setting", "used"), [(True, True, "1"), (True, False, "0"), (False, True, "0")])
def test_precision_is_lost_only_where_the_card_and_the_setting_allow_it(card, setting, used):
    settings = OnnxSettings(fp16=setting)
    options = providers.tensorrt_options(settings, (IMAGES,), name="m", fp16=card, cache=Path("/e"))
    assert options["trt_fp16_enable"] == used
    assert providers.cuda_options(settings, fp16=card)["use_tf32"] == used


def test_cuda_keeps_to_its_memory_and_searches_no_algorithm_while_live():
    assert "gpu_mem_limit" not in providers.cuda_options(OnnxSettings(), fp16=True)
    options = providers.cuda_options(OnnxSettings(memory_limit_mib=256, device_id=3), fp16=True)
    assert options["gpu_mem_limit"] == str(256 << 20)
    assert options["arena_extend_strategy"] == "kSameAsRequested"
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    assert options["device_id"] == "3"


@pytest.mark.parametrize(
    ("settings", "inputs", "sizes"),
    [
        (OnnxSettings(max_batch=32, optimal_batch=8), (IMAGES,), (1, 8, 32)),
        (OnnxSettings(max_batch=4, optimal_batch=8), (IMAGES,), (1, 4, 4)),
        (OnnxSettings(), (FIXED,), (1, 1, 1)),
    ],
)
def test_batches_that_are_prepared_for(settings, inputs, sizes):
    assert providers.batches(settings, inputs) == sizes


def test_warm_up_feeds_have_the_graphs_shapes_and_types():
    feeds = providers.zeros((IMAGES, SIZES), 3)
    assert feeds is not None
    assert {name: (feed.shape, feed.dtype) for name, feed in feeds.items()} == {
        "images": ((3, 3, 112, 96), np.dtype(np.float32)),
        "sizes": ((3, 2), np.dtype(np.int64)),
    }
    assert providers.zeros((FIXED,), 8)["images"].shape == (1, 3, 416, 416)
    assert providers.zeros((OPEN,), 1) is None
    assert providers.zeros((Input("words", (None,), "tensor(string)"),), 1) is None


@pytest.mark.parametrize(
    ("registered", "nodes", "runs"),
    [
        ((TENSORRT, CUDA, CPU), {TENSORRT: 60, CPU: 3}, TENSORRT),
        # Registered, yet most of the graph went elsewhere.
        ((TENSORRT, CUDA, CPU), {TENSORRT: 2, CUDA: 50, CPU: 9}, CUDA),
        ((CUDA, CPU), {CPU: 65}, CPU),
        ((CUDA, CPU), {}, CUDA),
    ],
)
def test_the_provider_is_the_one_that_has_most_of_the_graph(registered, nodes, runs):
    assert providers.main_provider(registered, nodes) == runs


def needs(*installed):
    def version(name):
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return "1.31.1"

    return version


def test_both_builds_together_are_found_and_the_command_mends_them():
    assert gpu.both_builds(needs("onnxruntime", "onnxruntime-gpu"))
    assert not gpu.both_builds(needs("onnxruntime"))
    assert not gpu.both_builds(needs("onnxruntime-gpu"))
    assert gpu.mend(gpu=True) == ("uv sync --locked --no-group cpu --extra gpu --reinstall-package onnxruntime-gpu")
    assert gpu.mend(gpu=False) == "uv sync --locked --reinstall-package onnxruntime"


def test_a_gpu_is_a_device_file(tmp_path):
    assert not gpu.device_present(tmp_path)
    (tmp_path / "nvidiactl").touch()
    assert not gpu.device_present(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert gpu.device_present(tmp_path)


@pytest.mark.parametrize(
    ("provider", "lacking", "driver", "said", "command"),
    [
        (CUDA, {gpu.DRIVER, "libcudnn.so.9"}, 0, "no NVIDIA driver", ""),
        (CUDA, {"libcudnn.so.9"}, 13000, r"libcudnn\.so\.9 cannot be opened", gpu.SYNC_GPU),
        (TENSORRT, {"libnvinfer.so.10"}, 13000, r"libnvinfer\.so\.10 cannot be opened", gpu.SYNC_GPU),
        (CUDA, {"libnvinfer.so.10"}, 12080, r"CUDA up to 12\.8, this ONNX Runtime needs 13\.0", ""),
        (CUDA, set(), 13010, "^$", ""),
    ],
)
def test_a_provider_that_does_not_start_is_explained(provider, lacking, driver, said, command):
    why = gpu.why_not(provider, opens=lambda name: name not in lacking, driver=lambda: driver)
    assert why.command == command
    assert re.search(said, why.reason), why.reason


def test_engines_lie_apart_by_weights_and_versions(tmp_path):
    model = tmp_path / "m.onnx"
    model.write_bytes(b"one")
    first = engine_folder(tmp_path / "engines", model, "ort1-trt10")
    assert first.is_dir()
    assert first.parent == tmp_path / "engines" / "m"
    assert engine_folder(tmp_path / "engines", model, "ort1-trt10") == first
    assert engine_folder(tmp_path / "engines", model, "ort2-trt10") != first
    model.write_bytes(b"two")
    assert engine_folder(tmp_path / "engines", model, "ort1-trt10") != first
    assert label(Path("/a/of its own.v2.onnx")) == "of_its_own.v2"

"""How ONNX models run: one set of settings for every process that runs one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from runtime.settings import ServiceSettings


class OnnxSettings(ServiceSettings, section="onnx"):
    """ONNX Runtime."""

    provider: Literal["auto", "tensorrt", "cuda", "cpu"] = Field(
        "auto", description="Best provider tried: auto takes TensorRT, then CUDA, then the CPU, whichever is there."
    )
    device_id: int = Field(0, ge=0, le=63, description="Which GPU.")
    threads: int = Field(1, ge=1, le=64, description="CPU threads of one model; more workers serve better.")
    fp16: bool = Field(True, description="Half precision on a GPU, for the models whose results stay the same.")
    memory_limit_mib: int = Field(0, ge=0, description="Most GPU memory a model may take; 0 sets no limit.")
    max_batch: int = Field(32, ge=1, le=256, description="Largest batch a model is given; TensorRT is built for it.")
    optimal_batch: int = Field(8, ge=1, le=256, description="Batch size TensorRT is tuned for, at most max_batch.")
    engine_dir: Path = Field(
        default_factory=lambda: Path.home() / ".cache" / "candor" / "engines",
        description="Folder of TensorRT engines, made once for each GPU model.",
    )

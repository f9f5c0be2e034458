"""One ONNX model in ONNX Runtime, on the best provider that works: TensorRT, then CUDA, then the CPU."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.backends import gpu, providers, running
from inference.backends.engine_cache import engine_folder, label, one_at_a_time
from inference.backends.providers import CPU, CUDA, TENSORRT
from inference.backends.settings import OnnxSettings
from proto.errors import FeatureMissing
from runtime.health import RunsOn
from runtime.log import get_logger

Array = npt.NDArray[Any]

log = get_logger("onnx")


def session_options(threads: int) -> Any:
    """Options that every ONNX session here has: `threads` CPU threads that sleep between runs instead of spinning."""
    import onnxruntime  # noqa: PLC0415 - half a second, only where a model runs

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Without it nothing says which part of a graph a GPU left to the CPU.
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


class OnnxModel:
    """A model file whose inputs and outputs have the batch on their first axis. Not safe for threads.

    `name` labels metrics and `/health`; `feature` is what a session lacks without it; `fp16` says that half precision
    was seen to give the same results. Once `load` has been called, `provider` names the one that really runs it,
    `inputs` the graph's inputs, and `fixed_batch` the size of the first axis where the file fixes it (None elsewhere).
    """

    def __init__(self, path: Path, settings: OnnxSettings, *, name: str, feature: str, fp16: bool = False) -> None:
        self._path = path
        self._settings = settings
        self._fp16 = fp16
        self._session: Any = None
        self.name = name
        self.feature = feature
        self.provider = ""
        self.inputs: tuple[str, ...] = ()
        self.fixed_batch: int | None = None

    def load(self) -> None:
        """Open the file on the best provider that works, and run it once at the batch sizes it will see.

        A provider that does not start is passed over, and told: in the log, by candor_onnx_fallback, in `/health`.

        Raises:
            FeatureMissing: the file, or ONNX Runtime, is absent or broken; says what to run where a command helps.
        """
        self.close()
        onnxruntime = self._onnxruntime()
        available = onnxruntime.get_available_providers()
        inputs = self._inputs(onnxruntime)
        shaped = all(one.at(1) is not None for one in inputs)
        wanted = providers.wanted(self._settings.provider, available, gpu=gpu.device_present(), shaped=shaped)
        chain = providers.chain(self._settings.provider, available, shaped=shaped)
        gpu.preload(onnxruntime, chain)
        self._session, failed = self._open_best(onnxruntime, chain, inputs)
        if wanted not in chain:
            failed[wanted] = gpu.Why("this ONNX Runtime is built without it", gpu.SYNC_GPU)
        self.inputs = tuple(one.name for one in inputs)
        self.fixed_batch = providers.fixed_batch(inputs)
        nodes = _nodes(self._session)
        self.provider = providers.main_provider(self._session.get_providers(), nodes)
        running.started(_told(self.name, wanted, self.provider, failed), nodes)

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """Outputs in the graph's order. The first axis of every feed and output is the batch; a batch larger than
        `max_batch` of the settings, or than the file fixes, is run in parts.

        Raises:
            FeatureMissing: the model is not loaded.
        """
        if self._session is None:
            raise FeatureMissing(self.feature, "the model is not loaded")
        size = len(next(iter(feeds.values())))
        most = self.fixed_batch or self._settings.max_batch
        if size == most or (size < most and not self.fixed_batch):
            return [np.asarray(out) for out in self._session.run(None, feeds)]
        parts = [
            self._part({name: feed[start : start + most] for name, feed in feeds.items()})
            for start in range(0, size, most)
        ]
        return [np.concatenate(outs) for outs in zip(*parts, strict=True)]

    def close(self) -> None:
        """Free the model; closing twice does nothing."""
        if self._session is not None:
            self._session = None
            running.stopped(self.name)

    def _part(self, feeds: dict[str, Array]) -> list[Array]:
        size = len(next(iter(feeds.values())))
        lacking = self.fixed_batch - size if self.fixed_batch else 0
        if lacking:
            feeds = {
                name: np.concatenate([feed, np.repeat(feed[-1:], lacking, axis=0)]) for name, feed in feeds.items()
            }
        return [np.asarray(out)[:size] for out in self._session.run(None, feeds)]

    def _onnxruntime(self) -> Any:
        if gpu.both_builds():
            here = gpu.device_present()
            raise FeatureMissing(
                self.feature, "onnxruntime and onnxruntime-gpu are both installed and overwrite each other",
                gpu.mend(gpu=here),
            )  # fmt: skip
        try:
            import onnxruntime  # noqa: PLC0415 - half a second, only where a model runs
        except ImportError as error:
            raise FeatureMissing(self.feature, f"ONNX Runtime does not load: {error}", gpu.SYNC_CPU) from error
        return onnxruntime

    def _inputs(self, onnxruntime: Any) -> tuple[providers.Input, ...]:
        """What the graph takes, read without preparing it: TensorRT's options need it before there is a session."""
        options = session_options(1)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return providers.inputs_of(onnxruntime.InferenceSession(str(self._path), options, providers=[CPU]))
        except Exception as error:
            raise FeatureMissing(self.feature, f"{self._path} does not load: {error}") from error

    def _open_best(
        self, onnxruntime: Any, chain: Sequence[str], inputs: Sequence[providers.Input]
    ) -> tuple[Any, dict[str, gpu.Why]]:
        """A warm session on the first provider of the chain that works, and why those before it did not."""
        failed: dict[str, gpu.Why] = {}
        for place, first in enumerate(chain):
            try:
                session = self._open(onnxruntime, chain[place:], inputs)
            except Exception as error:
                if first == CPU:
                    raise FeatureMissing(self.feature, f"{self._path} does not run: {error}") from error
                log.warning("onnx.provider_failed", model=self.name, provider=first, error=_first_line(error))
                why = gpu.why_not(first)
                failed[first] = why if why.reason else gpu.Why(_first_line(error))
                continue
            if session.get_providers()[0] != first:
                # CUDA that does not start raises nothing: the session is there, and runs on the CPU.
                why = gpu.why_not(first)
                failed[first] = why if why.reason else gpu.Why("ONNX Runtime's own lines in the log say why")
            return session, failed
        raise AssertionError("the CPU ends every chain")

    def _open(self, onnxruntime: Any, chain: Sequence[str], inputs: Sequence[providers.Input]) -> Any:
        with contextlib.ExitStack() as stack:
            options: list[dict[str, str]] = []
            for one in chain:
                if one == TENSORRT:
                    cache = self._engines(onnxruntime)
                    # Workers that start together would otherwise all build the same engine, for minutes.
                    stack.enter_context(one_at_a_time(cache))
                    options.append(
                        providers.tensorrt_options(
                            self._settings, inputs, name=label(self._path), fp16=self._fp16, cache=cache
                        )
                    )
                else:
                    options.append(providers.cuda_options(self._settings, fp16=self._fp16) if one == CUDA else {})
            session = onnxruntime.InferenceSession(
                str(self._path),
                session_options(self._settings.threads),
                providers=list(chain),
                provider_options=options,
                # Its own way back prints to stdout and tells nobody.
                enable_fallback=0,
            )
            for batch in self._warm_up_sizes(session, inputs):
                feeds = providers.zeros(inputs, batch)
                if feeds is not None:
                    session.run(None, feeds)
            return session

    def _engines(self, onnxruntime: Any) -> Path:
        versions = f"ort{onnxruntime.__version__}-trt{gpu.tensorrt_version()}"
        return engine_folder(self._settings.engine_dir, self._path, versions)

    def _warm_up_sizes(self, session: Any, inputs: Sequence[providers.Input]) -> Iterator[int]:
        """A GPU prepares itself for each batch size; a CPU only makes room, which the smallest shows as well."""
        sizes = sorted(set(providers.batches(self._settings, inputs)))
        yield from sizes if session.get_providers()[0] != CPU else sizes[:1]


def _nodes(session: Any) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    return dict(counts)


def _told(model: str, wanted: str, got: str, failed: dict[str, gpu.Why]) -> RunsOn:
    if wanted == got:
        return RunsOn(model=model, provider=got, wanted=wanted)
    reason = "; ".join(f"{provider}: {why.reason}" for provider, why in failed.items())
    command = next((why.command for why in failed.values() if why.command), "")
    return RunsOn(
        model=model,
        provider=got,
        wanted=wanted,
        reason=reason or f"{wanted} can run only a few of the graph's nodes",
        command=command,
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]

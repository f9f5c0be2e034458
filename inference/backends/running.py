"""The ONNX models of this process and what really runs them: for `/health`, the metrics and the log."""

from __future__ import annotations

from collections.abc import Mapping

from runtime import metrics
from runtime.health import RunsOn
from runtime.log import get_logger

log = get_logger("onnx")

_running: dict[str, RunsOn] = {}


def started(model: RunsOn, nodes: Mapping[str, int]) -> None:
    """A model is loaded. `nodes` counts its graph's nodes by the provider that has them."""
    stopped(model.model)
    _running[model.model] = model
    metrics.ONNX_PROVIDER.labels(model.model, model.provider).set(1)
    metrics.ONNX_FALLBACK.labels(model.model, model.wanted, model.provider).set(not model.ok)
    for provider, count in nodes.items():
        metrics.ONNX_NODES.labels(model.model, provider).set(count)
    if model.ok:
        log.info("onnx.loaded", model=model.model, provider=model.provider, nodes=dict(nodes))
    else:
        log.warning(
            "onnx.fell_back",
            model=model.model,
            wanted=model.wanted,
            provider=model.provider,
            reason=model.reason,
            command=model.command,
            nodes=dict(nodes),
        )


def stopped(name: str) -> None:
    """A model is closed: nothing runs it any more."""
    model = _running.pop(name, None)
    if model is None:
        return
    metrics.ONNX_PROVIDER.remove(name, model.provider)
    metrics.ONNX_FALLBACK.remove(name, model.wanted, model.provider)
    metrics.ONNX_NODES.remove_by_labels({"model": name})


def models() -> tuple[RunsOn, ...]:
    """Those loaded now, for `Health.runs_on`; may be asked from any thread."""
    return tuple(_running.values())

"""What a process says of itself when it is asked over the bus."""

from __future__ import annotations

import msgspec


class AskHealth(msgspec.Struct, frozen=True):
    """Broadcast on `subjects.HEALTH_ASK`; every process answers with a `ProcessHealth`."""


class HealthPart(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a process depends on or offers. `command` is what makes it available, where a command does."""

    name: str
    ok: bool
    detail: str = ""
    critical: bool = True
    command: str = ""


class ProcessHealth(msgspec.Struct, frozen=True, kw_only=True):
    """`node` names the process among those of its service; `providers` maps model to the ONNX Runtime provider that
    really runs it, e.g. TensorrtExecutionProvider.
    """

    service: str
    node: str
    ready: bool
    parts: tuple[HealthPart, ...]
    providers: dict[str, str] = {}

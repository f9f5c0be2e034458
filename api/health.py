"""What all processes say of themselves, gathered over the bus: what sessions lack, and what runs the models."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from proto import subjects
from proto.errors import BusUnavailable
from proto.health import AskHealth, HealthPart, ProcessHealth
from runtime.bus import Bus
from runtime.health import FEATURE, RUNS_ON

ASK_S = 0.4
"""A process that is well answers within milliseconds; one that takes longer is as good as away."""
ASK_AT_MOST_S = 3.0
"""All of it, with a connection that is about to break."""
MAX_PROCESSES = 512
KEEP_S = 1.0
"""Who asks more often is told the same again: however many ask, the bus sees one question a second from each api."""


class MissingFeature(msgspec.Struct, frozen=True, kw_only=True):
    """What sessions lack, in `processes` of the `of` processes of a service that tell of it. `command` fetches it."""

    feature: str
    service: str
    processes: int
    of: int
    reason: str
    command: str = ""


class FellBack(msgspec.Struct, frozen=True, kw_only=True):
    """A model that runs on something else than it should, in one process."""

    model: str
    service: str
    node: str
    provider: str
    reason: str
    command: str = ""


class SystemHealth(msgspec.Struct, frozen=True, kw_only=True):
    """All processes that answered, the features that are missing, and the models that fell back from a GPU. `ok` is
    false where a process is not ready, or none can be asked; `detail` then says why.
    """

    ok: bool
    detail: str = ""
    missing: tuple[MissingFeature, ...] = ()
    fell_back: tuple[FellBack, ...] = ()
    processes: tuple[ProcessHealth, ...] = ()


EXAMPLE = SystemHealth(
    ok=True,
    missing=(
        MissingFeature(
            feature="objects",
            service="vision",
            processes=1,
            of=1,
            reason="model yolox-nano is not here",
            command="candor models pull yolox-nano",
        ),
    ),
    processes=(
        ProcessHealth(
            service="vision",
            node="host-4711",
            ready=True,
            parts=(
                HealthPart(name="nats", ok=True),
                HealthPart(
                    name="feature:objects",
                    ok=False,
                    critical=False,
                    detail="model yolox-nano is not here",
                    command="candor models pull yolox-nano",
                ),
            ),
            providers={"face-mesh": "TensorrtExecutionProvider"},
        ),
    ),
)


class Overview:
    """Asks all processes how they are, at most once in `KEEP_S`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._asking = asyncio.Lock()
        self._found = SystemHealth(ok=False)
        self._until_s = 0.0

    async def read(self) -> SystemHealth:
        """The state of everything, at most `KEEP_S` old. Raises nothing: that nobody can be asked is an answer, too."""
        async with self._asking:
            if asyncio.get_running_loop().time() >= self._until_s:
                self._found = await self._ask()
                self._until_s = asyncio.get_running_loop().time() + KEEP_S
            return self._found

    async def _ask(self) -> SystemHealth:
        if not self._bus.connected:
            return SystemHealth(ok=False, detail="NATS is not connected: no process can be asked")
        try:
            async with asyncio.timeout(ASK_AT_MOST_S):
                found = await self._bus.gather(
                    subjects.HEALTH_ASK, AskHealth(), ProcessHealth, timeout_s=ASK_S, limit=MAX_PROCESSES
                )
        except (BusUnavailable, TimeoutError) as error:
            return SystemHealth(ok=False, detail=f"NATS does not answer: {error or 'no time'}")
        return overview(found)


def overview(found: Sequence[ProcessHealth]) -> SystemHealth:
    """What the processes' answers come to."""
    processes = tuple(sorted(found, key=lambda one: (one.service, one.node)))
    idle = [f"{one.service} {one.node}" for one in processes if not one.ready]
    detail = f"not ready: {', '.join(idle)}" if idle else "" if processes else "no process answered"
    return SystemHealth(
        ok=bool(processes) and not idle,
        detail=detail,
        missing=_missing(processes),
        fell_back=tuple(_fell_back(one, part) for one in processes for part in one.parts if _is(part, RUNS_ON)),
        processes=processes,
    )


def _is(part: HealthPart, kind: str) -> bool:
    return part.name.startswith(kind) and not part.ok


def _missing(processes: Sequence[ProcessHealth]) -> tuple[MissingFeature, ...]:
    lacking: dict[tuple[str, str], list[HealthPart]] = {}
    told: dict[tuple[str, str], int] = {}
    for one in processes:
        for part in one.parts:
            if part.name.startswith(FEATURE):
                key = (part.name.removeprefix(FEATURE), one.service)
                told[key] = told.get(key, 0) + 1
                if not part.ok:
                    lacking.setdefault(key, []).append(part)
    return tuple(
        MissingFeature(
            feature=feature,
            service=service,
            processes=len(parts),
            of=told[feature, service],
            reason=_reason(feature, parts[0]),
            command=parts[0].command,
        )
        for (feature, service), parts in sorted(lacking.items())
    )


def _reason(feature: str, part: HealthPart) -> str:
    """A part's detail without what is said beside it, the feature's name and the command."""
    return part.detail.removeprefix(f"{feature}: ").removesuffix(f" (run: {part.command})")


def _fell_back(process: ProcessHealth, part: HealthPart) -> FellBack:
    model = part.name.removeprefix(RUNS_ON)
    return FellBack(
        model=model,
        service=process.service,
        node=process.node,
        provider=process.providers.get(model, ""),
        reason=part.detail,
        command=part.command,
    )

"""How everything is: each process's own `GET /health`, what it answers over the bus, and the api's view of all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from api.health import MAX_PROCESSES, Overview, overview
from proto import subjects
from proto.health import AskHealth, HealthPart, ProcessHealth
from runtime.bus import Bus
from runtime.health import NODE, Health, RunsOn, serving
from runtime.lifecycle import answering_health
from tests.conftest import Connect
from tests.support.api import running_api
from tests.support.wait import eventually

GPU = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
PULL = "candor models pull yolox-nano"


def a_vision_worker(health: Health) -> None:
    """Parts as a vision worker has them: one model lacks, one fell back, one is as it should be."""
    health.set("models", ok=True)
    health.set(
        "feature:objects",
        ok=False,
        detail=f"objects: model yolox-nano is not here (run: {PULL})",
        critical=False,
        command=PULL,
    )
    health.set("feature:face", ok=True, critical=False)
    health.runs_on(
        lambda: [
            RunsOn(model="face-mesh", provider=GPU, wanted=GPU),
            RunsOn(model="sface", provider=CPU, wanted=GPU, reason="no driver", command="uv sync"),
        ]
    )
    health.provider("whisper-tiny", "cpu")


@pytest.fixture
async def worker(connect: Connect) -> AsyncIterator[Bus]:
    """A process that answers, as the lifecycle of every service makes it."""
    bus = await connect()
    a_vision_worker(bus.health)
    async with answering_health("vision", bus):
        yield bus


async def answering(bus: Bus, count: int) -> list[ProcessHealth]:
    """Answers over the bus, once `count` of them come."""
    found: list[ProcessHealth] = []

    async def enough() -> bool:
        found[:] = await bus.gather(subjects.HEALTH_ASK, AskHealth(), ProcessHealth, timeout_s=0.2, limit=count)
        return len(found) == count

    await eventually(enough, 10)
    return found


async def test_a_process_tells_all_of_itself_over_http() -> None:
    health = Health()
    a_vision_worker(health)
    async with serving("vision", health, "127.0.0.1", 0) as port, httpx.AsyncClient() as http:
        answer = await http.get(f"http://127.0.0.1:{port}/health")
        assert answer.status_code == 200
        told = answer.json()
        assert (told["service"], told["node"], told["ok"]) == ("vision", NODE, True)
        assert told["providers"] == {"face-mesh": GPU, "sface": CPU, "whisper-tiny": "cpu"}
        parts = {part["name"]: part for part in told["parts"]}
        assert parts["feature:objects"]["command"] == PULL
        assert "feature:face" in parts
        assert parts["provider:sface"] == {
            "name": "provider:sface",
            "ok": False,
            "detail": f"wants {GPU}, runs on {CPU}: no driver",
            "critical": False,
            "command": "uv sync",
        }
        assert "provider:face-mesh" not in parts
        health.set("models", ok=False)
        # Not ready is the business of /readyz alone.
        assert (await http.get(f"http://127.0.0.1:{port}/health")).json()["ok"] is False
        assert (await http.get(f"http://127.0.0.1:{port}/health")).status_code == 200
        assert (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 503


async def test_a_process_answers_over_the_bus_with_what_is_true_then(bus: Bus, worker: Bus) -> None:
    (told,) = await answering(bus, 1)
    assert (told.service, told.node, told.ready) == ("vision", NODE, True)
    assert told.providers["sface"] == CPU
    worker.health.set("models", ok=False, detail="a batch does not end")
    (told,) = await answering(bus, 1)
    assert not told.ready
    assert HealthPart(name="models", ok=False, detail="a batch does not end") in told.parts


async def test_answers_are_bounded_and_nonsense_is_left_out(bus: Bus, connect: Connect, worker: Bus) -> None:
    await answering(bus, 1)
    odd = await connect()
    async with odd.subscribe(subjects.HEALTH_ASK) as questions, asyncio.TaskGroup() as tasks:

        async def answer() -> None:
            async for question in questions:
                await question.respond(AskHealth())
                for number in range(9):
                    await question.respond(ProcessHealth(service="odd", node=str(number), ready=True, parts=()))

        task = tasks.create_task(answer())
        assert len(await answering(bus, 10)) == 10
        assert len(await bus.gather(subjects.HEALTH_ASK, AskHealth(), ProcessHealth, timeout_s=5.0, limit=4)) == 4
        task.cancel()


async def test_the_api_shows_everything_without_a_key(bus: Bus, worker: Bus) -> None:
    await answering(bus, 1)
    async with running_api(bus) as url, httpx.AsyncClient(base_url=url) as http:
        answer = await http.get("/health")
        assert answer.status_code == 200
        told = answer.json()
    assert told["ok"] is True
    assert told["missing"] == [
        {
            "feature": "objects",
            "service": "vision",
            "processes": 1,
            "of": 1,
            "reason": "model yolox-nano is not here",
            "command": PULL,
        }
    ]
    (fell_back,) = told["fell_back"]
    assert (fell_back["model"], fell_back["provider"], fell_back["command"]) == ("sface", CPU, "uv sync")
    (process,) = told["processes"]
    assert process["providers"]["face-mesh"] == GPU


async def test_it_is_200_when_nobody_can_be_asked(bus: Bus, nats_server) -> None:
    async with running_api(bus) as url, httpx.AsyncClient(base_url=url) as http:
        told = (await http.get("/health")).json()
        assert (told["ok"], told["detail"], told["processes"]) == (False, "no process answered", [])
        nats_server.stop()
        await eventually(lambda: not bus.connected, 10)

        async def away() -> bool:
            answer = await http.get("/health")
            assert answer.status_code == 200
            return "not connected" in answer.json()["detail"]

        await eventually(away, 10)
        nats_server.start()
        await eventually(lambda: bus.connected, 10)


async def test_many_who_ask_are_one_question_on_the_bus(bus: Bus, connect: Connect) -> None:
    listener = await connect()
    async with listener.subscribe(subjects.HEALTH_ASK) as questions, AsyncExitStack() as stack:
        url = await stack.enter_async_context(running_api(bus))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
        answers = await asyncio.gather(*(http.get("/health") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert await questions.next(5.0) is not None
        assert await questions.next(0.0) is None


async def test_what_was_found_is_asked_anew_when_it_is_old(
    bus: Bus, worker: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await answering(bus, 1)
    view = Overview(bus)
    assert (await view.read()).missing
    worker.health.set("feature:objects", ok=True, critical=False)
    assert (await view.read()).missing

    async def renewed() -> bool:
        return not (await view.read()).missing

    await eventually(renewed, 10)


def process(node: str, *parts: HealthPart, ready: bool = True) -> ProcessHealth:
    return ProcessHealth(service="vision", node=node, ready=ready, parts=parts)


def test_a_feature_that_only_some_processes_lack_says_so() -> None:
    has = HealthPart(name="feature:objects", ok=True)
    lacks = HealthPart(name="feature:objects", ok=False, detail="gone", critical=False)
    found = overview([process("b", lacks), process("a", has), process("c")])
    (missing,) = found.missing
    assert (missing.processes, missing.of, missing.reason, missing.command) == (1, 2, "gone", "")
    assert [one.node for one in found.processes] == ["a", "b", "c"]
    assert found.ok


def test_a_process_that_is_not_ready_is_named() -> None:
    found = overview([process("a"), process("b", ready=False)])
    assert not found.ok
    assert found.detail == "not ready: vision b"
    assert not overview([]).ok


def test_a_large_system_fits() -> None:
    assert MAX_PROCESSES >= 256

"""`candor up` as people run it: a process of its own with the real services on free ports."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.processes import alive
from tests.support.wait import eventually

pytestmark = pytest.mark.timeout(240)

START_S = 120.0
STOP_S = 60.0


@dataclass
class Running:
    """A `candor up` that is ready."""

    process: asyncio.subprocess.Process
    state: dict
    output: Path

    @property
    def pids(self) -> dict[str, int]:
        return {child["name"]: child["pid"] for child in self.state["children"]}

    def text(self) -> str:
        return self.output.read_text()

    async def ends(self) -> int:
        async with asyncio.timeout(STOP_S):
            return await self.process.wait()


@asynccontextmanager
async def candor_up(folder: Path) -> AsyncIterator[Running]:
    """Started on free ports; killed with all its children if the test leaves it running."""
    data, output = folder / "data", folder / "output"
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli", "up", "--data", str(data), "--port", "0",
            stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file, env=dict(os.environ),
        )  # fmt: skip
    try:
        state_file = data / "state.json"
        await eventually(
            lambda: "Ctrl-C drains" in output.read_text() or process.returncode is not None, START_S, output.read_text()
        )
        assert process.returncode is None, output.read_text()
        yield Running(process, json.loads(state_file.read_text()), output)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_S):
                await process.wait()


async def test_everything_comes_up_serves_and_drains_on_ctrl_c(tmp_path):
    async with candor_up(tmp_path) as running:
        assert list(running.pids) == ["nats", "aggregator", "vision", "speech", "ingest", "api"]
        async with httpx.AsyncClient(timeout=10) as http:
            for child in running.state["children"]:
                assert (await http.get(child["health_url"])).status_code == 200
            assert "<html" in (await http.get(running.state["url"])).text
            created = await http.post(f"{running.state['url']}/v1/sessions", json={"label": "laptop"})
            assert created.status_code == 201
            shown = await http.get(f"{running.state['url']}/v1/sessions/{created.json()['id']}")
            assert shown.json()["label"] == "laptop"
        running.process.send_signal(signal.SIGINT)
        assert await running.ends() == 0
    text = running.text()
    draining = [line.split(" | ")[0].strip() for line in text.splitlines() if "lifecycle.draining" in line]
    assert draining == ["ingest", "vision", "speech", "aggregator", "api"]
    assert not any(alive(pid) for pid in running.pids.values())
    assert not (tmp_path / "data" / "state.json").exists()


async def test_a_service_that_is_killed_brings_the_rest_down_with_its_last_words(tmp_path):
    async with candor_up(tmp_path) as running:
        os.kill(running.pids["vision"], signal.SIGKILL)
        assert await running.ends() == 1
    assert "candor: vision was killed by signal 9; its last words:" in running.text()
    assert not any(alive(pid) for pid in running.pids.values())


async def test_what_was_stored_is_there_after_a_restart(tmp_path):
    async with candor_up(tmp_path) as first, httpx.AsyncClient(timeout=10) as http:
        created = await http.post(f"{first.state['url']}/v1/sessions", json={"label": "kept"})
        session = created.json()["id"]
    assert first.process.returncode == 0
    async with candor_up(tmp_path) as second, httpx.AsyncClient(timeout=10) as http:
        shown = await http.get(f"{second.state['url']}/v1/sessions/{session}")
        assert shown.json()["label"] == "kept"


async def test_a_second_signal_leaves_at_once_and_leaves_nothing_behind(tmp_path):
    async with candor_up(tmp_path) as running:
        os.kill(running.pids["ingest"], signal.SIGSTOP)
        running.process.send_signal(signal.SIGTERM)
        await eventually(lambda: "once more to leave at once" in running.text(), 10)
        running.process.send_signal(signal.SIGTERM)
        assert await running.ends() == 130
    await eventually(lambda: not any(alive(pid) for pid in running.pids.values()), 10)

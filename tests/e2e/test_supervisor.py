"""The supervisor with a real nats-server and small stand-ins for the services: order, failing as one, no orphans."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import broker, laptop
from deploy.laptop import Laptop, Options, only_one
from deploy.supervise import supervise
from proto.errors import Conflict, Unavailable
from tests.support.processes import alive
from tests.support.wait import eventually

STANDIN = Path(__file__).resolve().parent.parent / "support" / "standin.py"
ROOMS = {"ingest", "vision", "speech", "aggregator", "api"}

MakeOptions = Callable[..., Options]


def pids_of(state: dict[str, object]) -> dict[str, int]:
    return {child["name"]: child["pid"] for child in state["children"]}


@pytest.fixture
def options(tmp_path: Path) -> MakeOptions:
    def make(**env: str) -> Options:
        (tmp_path / "data").mkdir(exist_ok=True)
        return Options(
            data=tmp_path / "data",
            port=0,
            candor=(sys.executable, str(STANDIN)),
            env={**os.environ, "STANDIN_LOG": str(tmp_path / "drained"), **env},
        )

    return make


class Lines(list[tuple[str, str]]):
    def __call__(self, name: str, line: str) -> None:
        self.append((name, line))

    def of(self, name: str) -> str:
        return "\n".join(line for who, line in self if who == name)


async def test_everything_starts_and_drains_along_the_way_of_the_data(options, tmp_path):
    lines = Lines()
    running = Laptop(options(), lines)
    await running.start()
    state = json.loads((tmp_path / "data" / "state.json").read_text())
    pids = pids_of(state)
    assert set(pids) == ROOMS | {"nats"}
    assert all(alive(pid) for pid in pids.values())
    assert running.nats_url in lines.of("vision")
    assert state["url"] == running.url
    await running.stop()
    assert (tmp_path / "drained").read_text().split() == ["ingest", "vision", "speech", "aggregator", "api"]
    assert not any(alive(pid) for pid in pids.values())
    assert not (tmp_path / "data" / "state.json").exists()


async def test_several_vision_workers_run_under_names_of_their_own(options):
    wanted = options()
    running = Laptop(Options(wanted.data, port=0, vision_workers=2, candor=wanted.candor, env=wanted.env), Lines())
    await running.start()
    try:
        assert [name for name, _, _ in running.processes if name.startswith("vision")] == ["vision-1", "vision-2"]
    finally:
        await running.stop()


async def test_a_child_that_dies_takes_the_rest_down_in_order(options, tmp_path):
    async def kill_speech(running: Laptop, stop: asyncio.Event) -> int:
        pids = {name: pid for name, pid, _ in running.processes}
        seen.update(pids)
        os.kill(pids["speech"], signal.SIGKILL)
        await stop.wait()
        return 0

    seen: dict[str, int] = {}
    with pytest.raises(Unavailable, match="speech was killed by signal 9"):
        await supervise(options(), Lines(), kill_speech)
    assert (tmp_path / "drained").read_text().split() == ["ingest", "vision", "aggregator", "api"]
    assert not any(alive(pid) for pid in seen.values())


async def test_a_child_that_cannot_start_is_quoted(options):
    with pytest.raises(Unavailable, match=r"vision ended with exit code 3(?s:.*)the model is broken"):
        await supervise(options(STANDIN_FAIL="vision"), Lines(), never)


async def test_what_never_gets_ready_is_named(options, monkeypatch):
    monkeypatch.setattr(laptop, "READY_S", 2.0)
    with pytest.raises(Unavailable, match=r"not ready within 2 s: speech$"):
        await supervise(options(STANDIN_SILENT="speech"), Lines(), never)


async def test_a_child_that_will_not_drain_is_killed(options, monkeypatch):
    monkeypatch.setattr(laptop, "PATIENCE_S", 0.3)
    lines = Lines()
    running = Laptop(options(STANDIN_DEAF="vision"), lines)
    await running.start()
    pids = [pid for _, pid, _ in running.processes]
    await running.stop()
    assert "killed" in lines.of("vision")
    assert not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_drains_and_the_body_is_told(options, number):
    async def body(_running: Laptop, stop: asyncio.Event) -> int:
        os.kill(os.getpid(), number)
        await stop.wait()
        return 0

    lines = Lines()
    assert await supervise(options(), lines, body) == 0
    assert f"{number.name}: draining" in lines.of("candor")


async def test_a_signal_during_the_start_stops_what_was_started(options, tmp_path):
    state_file = tmp_path / "data" / "state.json"
    supervising = asyncio.create_task(supervise(options(STANDIN_SILENT="speech"), Lines(), never))
    await eventually(state_file.exists, timeout_s=30)
    pids = pids_of(json.loads(state_file.read_text()))
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(30):
        assert await supervising == 0
    assert not any(alive(pid) for pid in pids.values())


async def test_one_data_directory_serves_one_supervisor(options, tmp_path):
    with only_one(tmp_path / "data"), pytest.raises(Conflict, match="another `candor up`"):
        await supervise(options(), Lines(), never)


async def test_a_wanted_port_that_is_taken_is_refused(options):
    async with await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        wanted = options()
        with pytest.raises(Unavailable, match=rf"port {port} .* is taken"):
            await supervise(Options(wanted.data, port=port, candor=wanted.candor, env=wanted.env), Lines(), never)


async def test_the_default_port_moves_on_when_it_is_taken(options, monkeypatch):
    async with await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0) as server:
        taken = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(laptop, "DEFAULT_PORT", taken)
        lines = Lines()
        wanted = options()
        running = Laptop(Options(wanted.data, candor=wanted.candor, env=wanted.env), lines)
        await running.start()
        try:
            assert running.api_port != taken
            assert f"port {taken} is taken, using {running.api_port}" in lines.of("candor")
        finally:
            await running.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_no_child_outlives_a_supervisor_that_is_killed(options, tmp_path):
    wanted = options()
    code = (
        "import asyncio, pathlib, sys\n"
        "from deploy.laptop import Laptop, Options\n"
        "async def main():\n"
        "    data, *candor = sys.argv[1:]\n"
        "    await Laptop(Options(pathlib.Path(data), port=0, candor=tuple(candor)), print).start()\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        str(wanted.data),
        *wanted.candor,
        env=dict(wanted.env),
        stdout=asyncio.subprocess.DEVNULL,
    )
    state_file = wanted.data / "state.json"
    await eventually(state_file.exists, timeout_s=30)
    pids = pids_of(json.loads(state_file.read_text()))
    assert all(alive(pid) for pid in pids.values())
    supervisor.kill()
    await supervisor.wait()
    await eventually(lambda: not any(alive(pid) for pid in pids.values()), timeout_s=10)


async def test_the_health_probe_says_when_nobody_is_there():
    status, reason = await broker.answers(broker.free_port(), "/readyz")
    assert status == 0
    assert reason


async def never(_running: Laptop, stop: asyncio.Event) -> int:
    await stop.wait()
    return 0

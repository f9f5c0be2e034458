"""A service process: probes, drain on SIGTERM, clear failure."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys

import httpx

from tests.support.wait import eventually

SERVICE = """
import asyncio, sys
from pydantic import Field
from runtime.lifecycle import run
from runtime.settings import ServiceSettings

class Settings(ServiceSettings, section="example"):
    drain: float = Field(0.0, description="how long draining takes")
    fails: bool = Field(False, description="fail at once")
    loads: bool = Field(False, description="take no work before a byte comes on standard input")

async def serve(settings, bus, stop):
    if settings.fails:
        from proto.errors import FeatureMissing
        raise FeatureMissing("model", "is not here", "candor models pull x")
    bus.health.set("feature:demo", ok=False, detail="no weights", critical=False)
    if settings.loads:
        await asyncio.to_thread(sys.stdin.read, 1)
    bus.health.started()
    await stop.wait()
    await asyncio.sleep(settings.drain)
    print("drained", flush=True)

sys.exit(run("example", Settings, serve))
"""


async def start(nats_url: str, **env: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE,
        env=os.environ | {"CANDOR_NATS_URL": nats_url, "CANDOR_LOG_FORMAT": "json"} | env,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def health_url(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(20):
        while line := await process.stderr.readline():
            if found := re.search(rb"http://127\.0\.0\.1:\d+", line):
                return found[0].decode()
    raise AssertionError("the service never said where its health is")


async def test_it_is_not_ready_before_the_service_takes_work(nats_url):
    process = await start(nats_url, CANDOR_EXAMPLE_LOADS="1")
    url = await health_url(process)
    async with httpx.AsyncClient() as http:

        async def answer(path, status):
            return (await http.get(f"{url}{path}")).status_code == status

        loading = await http.get(f"{url}/readyz")
        assert loading.status_code == 503
        (part,) = (part for part in loading.json()["parts"] if not part["ok"] and part["critical"])
        assert (part["name"], part["detail"]) == ("service", "starting")
        assert await answer("/healthz", 200)
        process.stdin.write(b"x")
        await eventually(lambda: answer("/readyz", 200), 20)
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0


async def test_probes_then_drain_on_sigterm(nats_url, nats_server):
    process = await start(nats_url)
    url = await health_url(process)
    async with httpx.AsyncClient() as http:

        async def ready_():
            return (await http.get(f"{url}/readyz")).status_code == 200

        await eventually(ready_, 20)
        ready = await http.get(f"{url}/readyz")
        parts = {part["name"]: part for part in ready.json()["parts"]}
        assert parts["nats"]["ok"]
        demo = {"name": "feature:demo", "ok": False, "detail": "no weights", "critical": False, "command": ""}
        assert parts["feature:demo"] == demo
        assert 'candor_feature_available{feature="demo"} 0.0' in (await http.get(f"{url}/metrics")).text
        nats_server.stop()

        async def not_ready():
            return (await http.get(f"{url}/readyz")).status_code == 503

        await eventually(not_ready, 20)
        assert (await http.get(f"{url}/healthz")).status_code == 200
    nats_server.start()
    process.send_signal(signal.SIGTERM)
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out) == (0, b"drained\n")


async def test_a_drain_that_does_not_end_is_cut(nats_url):
    process = await start(nats_url, CANDOR_EXAMPLE_DRAIN="60", CANDOR_DRAIN_S="0.2")
    await health_url(process)
    process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert out == b""
    assert json.loads(err.splitlines()[-1])["event"] == "lifecycle.drain_timed_out"


async def test_a_failure_is_one_clear_line(nats_url):
    process = await start(nats_url, CANDOR_EXAMPLE_FAILS="1")
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    last = json.loads(err.splitlines()[-1])
    assert last["event"] == "lifecycle.failed"
    assert "candor models pull x" in last["reason"]
    assert b"Traceback" not in err


async def test_a_second_signal_forces(nats_url):
    process = await start(nats_url, CANDOR_EXAMPLE_DRAIN="60")
    await health_url(process)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        while b"lifecycle.draining" not in await process.stderr.readline():
            pass
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 128 + signal.SIGTERM

"""Processes die in mid-session: nothing that was logged is lost or counted twice, and the feed goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from aggregator.replay import replay
from bench.live import peers
from bench.policies import with_bench
from bench.recording import COMING_AND_GOING, encode
from bench.stack import Stack
from proto import codec, subjects
from proto.observations import AnyObservation, FrameSeen, SessionEnded, SpeechHeard
from proto.views import Snapshot
from runtime.bus import Bus
from runtime.settings import RuntimeSettings
from tests.support.wait import eventually

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(COMING_AND_GOING, tmp_path_factory.mktemp("recording") / "moving.webm")


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[tuple[Stack, Bus]]:
    env = {"CANDOR_API_POLICY_DIR": str(with_bench(tmp_path / "policies"))}
    async with (
        Stack(tmp_path / "stack", env) as stack,
        await Bus.connect(RuntimeSettings(nats_url=stack.nats_url), "test") as bus,
    ):
        yield stack, bus


async def snapshot(bus: Bus, session: str) -> Snapshot | None:
    entry = await (await bus.bucket(subjects.KV_SESSIONS)).get(session)
    return entry and codec.decode(entry.value, Snapshot)


async def logged(bus: Bus, session: str) -> list[tuple[int, AnyObservation]]:
    history = bus.read(subjects.LOG, subjects.log_session(session))
    return [(delivery.seq, codec.decode(delivery.data, AnyObservation)) async for delivery in history]


async def count(bus: Bus, session: str, kind: str) -> int:
    return sum((await bus.info(subjects.LOG, subjects.log(session, kind))).subjects.values())


async def more(bus: Bus, session: str, kind: str, timeout_s: float = 30.0) -> None:
    """Wait until more observations of this kind are in the log than now."""
    before = await count(bus, session, kind)

    async def grown() -> bool:
        return await count(bus, session, kind) > before + 1

    await eventually(grown, timeout_s, f"more {kind}")


class Feed:
    """What one watcher sees, over however many connections it takes."""

    def __init__(self, url: str, session: str) -> None:
        self._url = f"{url}/v1/sessions/{session}/feed"
        self.ids: list[int] = []
        self.ledger: list[int] = []

    async def watch(self) -> None:
        headers: dict[str, str] = {}
        while True:
            try:
                async with (
                    httpx.AsyncClient(timeout=httpx.Timeout(5, read=None)) as http,
                    http.stream("GET", self._url, headers=headers) as response,
                ):
                    async for line in response.aiter_lines():
                        key, _, value = line.partition(":")
                        if key == "id":
                            self.ids.append(int(value))
                            headers = {"Last-Event-ID": value.strip()}
                        elif key == "data":
                            view = json.loads(value).get("view") or json.loads(value)
                            self.ledger += [x["seq"] for x in view.get("ledger", ()) if x["seq"] not in self.ledger]
            except httpx.TransportError:
                await asyncio.sleep(0.1)


async def settled(bus: Bus, session: str) -> Snapshot:
    """The snapshot once it holds everything that is in the log."""

    async def complete() -> Snapshot | None:
        held, history = await snapshot(bus, session), await logged(bus, session)
        return held if held is not None and held.seq == history[-1][0] else None

    return await eventually(complete, 30, "a snapshot of the whole log")


async def test_killed_workers_lose_and_double_nothing(tmp_path, recording):
    async with running(tmp_path) as (stack, bus):
        async with peers(stack, 1, recording, "bench") as (session,):
            feed = Feed(stack.url, session)
            watching = asyncio.create_task(feed.watch())
            await more(bus, session, "frame.seen")
            for name, evidence in (("vision", "frame.seen"), ("speech", "speech.heard"), ("aggregator", "frame.seen")):
                stack.kill(name)
                if name == "aggregator":
                    await more(bus, session, "frame.seen")  # the log goes on while nobody folds it
                stack.spawn(name)
                await stack.ready(name)
                await more(bus, session, evidence)
                ids = len(feed.ids)
                await eventually(lambda ids=ids: len(feed.ids) > ids, 30, f"the feed goes on after {name} died")
            async with httpx.AsyncClient() as http:
                (await http.post(f"{stack.url}/v1/sessions/{session}/end")).raise_for_status()

        held = await settled(bus, session)
        again = await replay(bus, session)
        assert again.then.state_hash == held.state_hash
        history = await logged(bus, session)
        frames = [(o.source, o.seq) for _, o in history if isinstance(o, FrameSeen)]
        assert len(set(frames)) == len(frames)
        # What was on its way when the session ended is in the log, and counts no more.
        (ended,) = (seq for seq, o in history if isinstance(o, SessionEnded))
        in_time = sum(isinstance(o, FrameSeen) and seq < ended for seq, o in history)
        assert in_time == held.view.measures.frames_seen > 20
        seconds = [o.seq for _, o in history if isinstance(o, SpeechHeard)]
        assert len(set(seconds)) == len(seconds)
        assert max(seconds) - min(seconds) + 1 == len(seconds), "a second of sound is missing"
        assert held.view.status == "ended"
        assert [line.seq for line in held.view.ledger] == sorted({line.seq for line in held.view.ledger})
        await eventually(lambda: set(feed.ledger) >= {line.seq for line in held.view.ledger}, 10, "the feed told all")
        assert feed.ids == sorted(feed.ids)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_nats_stops_and_comes_back(tmp_path, recording):
    async with running(tmp_path) as (stack, bus):
        async with peers(stack, 1, recording, "bench") as (session,):
            feed = Feed(stack.url, session)
            watching = asyncio.create_task(feed.watch())
            await more(bus, session, "frame.seen")
            stack.kill("nats")
            async with httpx.AsyncClient() as http:

                async def not_ready() -> bool:
                    return (await http.get(f"{stack.url}/readyz")).status_code == 503

                await eventually(not_ready, 20, "the api says that it is not ready")
            await stack.start_nats()
            for name in stack.services:
                await stack.ready(name)
            for kind in ("frame.seen", "speech.heard"):
                await more(bus, session, kind)
            ids = len(feed.ids)
            await eventually(lambda: len(feed.ids) > ids + 1, 30, "the feed goes on")
            async with httpx.AsyncClient() as http:
                (await http.post(f"{stack.url}/v1/sessions/{session}/end")).raise_for_status()
        held = await settled(bus, session)
        assert (await replay(bus, session)).then.state_hash == held.state_hash
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_poison_is_put_aside_and_the_pipe_goes_on(tmp_path, recording):
    async with running(tmp_path) as (stack, bus):
        async with peers(stack, 1, recording, "bench") as (session,):
            await more(bus, session, "frame.seen")
            poison = b"\xc1 this is not MessagePack"
            for subject in (
                subjects.frames("poisoned"),
                subjects.audio(session),
                subjects.log(session, "frame.seen"),
                subjects.log(session, "nonsense"),
            ):
                await bus._client.publish(subject, poison)

            async def put_aside() -> bool:
                dead = (await bus.info(subjects.DEAD, subjects.dead("*"))).subjects
                return dead == {
                    subjects.dead("vision", "poisoned"): 1,
                    subjects.dead("speech", session): 1,
                    subjects.dead("aggregator", session): 2,
                }

            await eventually(put_aside, 20, "all four in the dead-letter stream")
            kept = await bus.last(subjects.DEAD, subjects.dead("vision"))
            assert kept is not None
            assert kept.data == poison
            for kind in ("frame.seen", "speech.heard"):
                await more(bus, session, kind)
            async with httpx.AsyncClient() as http:
                (await http.post(f"{stack.url}/v1/sessions/{session}/end")).raise_for_status()
        held = await eventually(lambda: snapshot(bus, session), 10)
        assert held.view.status == "ended"

"""The api beside a real aggregator: states that move, an end that is seen, an erasure that nothing brings back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from aggregator import service as aggregator
from aggregator.settings import AggregatorSettings
from api.settings import ApiSettings
from proto import subjects
from proto.observations import FeatureStatus, SourceUp, SpeechHeard, Word, WordsCommitted
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support.api import running_api
from tests.support.feeds import sse
from tests.support.wait import eventually


@pytest.fixture
async def http(bus: Bus, connect: Connect) -> AsyncIterator[httpx.AsyncClient]:
    stop = asyncio.Event()
    settings = AggregatorSettings(node="one", balance_s=0.2)
    folding = asyncio.create_task(aggregator.serve(settings, await connect(), stop))
    try:
        async with (
            running_api(bus, ApiSettings(settle_timeout_s=10)) as base_url,
            httpx.AsyncClient(base_url=base_url, timeout=20) as client,
        ):
            yield client
    finally:
        stop.set()
        await asyncio.wait_for(folding, 20)


def heard(session: str, seq: int) -> SpeechHeard:
    return SpeechHeard(
        session=session, source="speech", seq=seq, t_s=float(seq), duration_s=1, speech_s=1, level_dbfs=-20, pause_s=0
    )


async def test_a_session_from_its_beginning_to_its_report(http: httpx.AsyncClient, bus: Bus) -> None:
    session = (await http.post("/v1/sessions", json={"label": "L"})).json()["id"]
    async with sse(http, f"/v1/sessions/{session}/feed") as feed:
        first = await feed.next()
        assert first is not None
        assert first.event == "snapshot"
        await bus.observe(SourceUp(session=session, source="p", seq=0, t_s=0, node="n", video=False, audio=True))
        told = await feed.until("changed", 15)
        while told.data["view"]["status"] != "live":
            told = await feed.until("changed", 15)
        for seq in range(10):
            await bus.observe(heard(session, seq))
        word = Word(text=" Hello", start_s=1.0, end_s=1.5, probability=0.9)
        await bus.observe(
            WordsCommitted(
                session=session, source="speech", seq=0, t_s=1.5, utterance=0, words=(word,), language="en",
                model="tiny", final=True, heard_until_s=1.5,
            )
        )  # fmt: skip
        last = await bus.observe(
            FeatureStatus(
                session=session, source="vision", seq=0, t_s=2.0, feature="objects", available=False, reason="no model",
                command="candor models pull objects",
            )
        )  # fmt: skip
        while int(told.id) < last:
            told = await feed.until("changed", 15)

    async def listed() -> str:
        rows = (await http.get("/v1/sessions")).json()["sessions"]
        return rows[0]["status"] if rows and rows[0]["seq"] >= last else ""

    assert await eventually(listed) == "live"
    ended = await http.post(f"/v1/sessions/{session}/end")
    assert (ended.status_code, ended.json()["status"]) == (200, "ended")
    report = (await http.get(f"/v1/sessions/{session}/report")).json()
    assert report["transcript_text"] == "Hello"
    assert report["summary"].startswith("The session is over")
    measures = {measure["name"]: measure for measure in report["measures"]}
    assert measures["speech_s"]["value"] == 10.0
    assert measures["face_share"]["text"].endswith("not measured.")
    assert any("candor models pull objects" in missing["text"] for missing in report["unavailable"])
    assert {rule["state"] for rule in report["rules"]} <= {"watched", "off", "not_measured"}
    assert report["rules"]


async def test_an_erasure_beside_an_aggregator_at_work_leaves_nothing(
    http: httpx.AsyncClient, bus: Bus, connect: Connect
) -> None:
    session = (await http.post("/v1/sessions")).json()["id"]
    worker = await connect()
    stop = asyncio.Event()

    async def go_on() -> None:
        seq = 0
        while not stop.is_set():
            await worker.observe(heard(session, seq))
            seq += 1

    working = asyncio.create_task(go_on())

    async def live() -> bool:
        return int((await http.get(f"/v1/sessions/{session}")).json()["seq"]) > 20

    await eventually(live, 15)
    erasing = asyncio.create_task(http.delete(f"/v1/sessions/{session}"))
    await asyncio.sleep(0.6)
    stop.set()
    await working
    answer = await erasing
    assert answer.status_code == 200, answer.text
    bucket = await bus.bucket(subjects.KV_SESSIONS)

    async def gone() -> bool:
        log = (await bus.info(subjects.LOG, subjects.log_session(session))).subjects
        return not log and await bucket.get(session) is None

    await eventually(gone, 10)
    # The aggregator has folded what came after: it must not have made a new state of it.
    marker = (await http.post("/v1/sessions")).json()["id"]
    await bus.observe(heard(marker, 0))

    async def folded() -> bool:
        return (await http.get(f"/v1/sessions/{marker}")).json()["seq"] > 0 and await bucket.get(marker) is not None

    await eventually(folded, 15)
    assert await gone()
    assert (await http.get(f"/v1/sessions/{session}")).status_code == 404

"""Erasing a session leaves nothing of it, anywhere, and nothing of anybody else is touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from proto import codec, subjects
from proto.errors import NotFound
from proto.media import AudioChunk, Frame
from proto.observations import EvidenceStored, SpeechHeard
from proto.signalling import Close
from proto.views import Alert, Deleted
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support.api import running_api
from tests.support.feeds import sse
from tests.support.views import a_view, store
from tests.support.wait import eventually

STREAMS = (subjects.LOG, subjects.AUDIO, subjects.FRAMES, subjects.RECORDED, subjects.ALERTS, subjects.DEAD)


@pytest.fixture
async def http(bus: Bus) -> AsyncIterator[httpx.AsyncClient]:
    async with running_api(bus) as base_url, httpx.AsyncClient(base_url=base_url, timeout=20) as client:
        yield client


async def fill(bus: Bus, session: str) -> None:
    """Something of the session in every place there is."""
    for seq in range(5):
        heard = SpeechHeard(
            session=session, source="speech", seq=seq, t_s=seq, duration_s=1, speech_s=0, level_dbfs=-60, pause_s=1
        )
        await bus.observe(heard)
        chunk = AudioChunk(session=session, source="p", seq=seq, t_s=seq, pcm=b"\0" * 6400)
        await bus.append(subjects.audio(session), chunk, f"{session}:{seq}")
    for subject in (subjects.frames(session), subjects.recorded(session)):
        frame = Frame(session=session, source="p", seq=0, t_s=0, width_px=1, height_px=1, jpeg=b"x")
        await bus.append(subject, frame, subject)
    alert = Alert(id="a1", session=session, rule="NO_FACE", severity="high", t_s=1, seq=1, message="Please look.")
    await bus.append(subjects.alerts(session), alert, f"{session}:a1")
    objects = await bus.objects(subjects.OBJECTS_EVIDENCE)
    for name in ("a1.jpg", "a1.mp4"):
        await objects.put(subjects.evidence(session, name), b"picture" * 100)
        stored = EvidenceStored(
            session=session,
            source=name,
            seq=0,
            t_s=1,
            alert_id="a1",
            name=name,
            media_type="",
            sha256="",
            size_bytes=700,
        )
        await bus.observe(stored)
    await bus._js.publish(
        subjects.dead("speech", session),
        b"\xc1",
        headers={"Candor-Subject": subjects.audio(session), "Candor-Error": "x"},
    )
    await store(bus, a_view(session, 9))


async def traces(bus: Bus, session: str) -> list[str]:
    """Where something of the session still is."""
    found = []
    for stream in STREAMS:
        held = (await bus.info(stream, ">")).subjects
        found += [f"{stream} {subject}" for subject in held if session in subject.split(".")]
    async for letter in bus.read(subjects.DEAD, subjects.dead("*")):
        if session in letter.headers["Candor-Subject"]:
            found.append(f"DEAD {letter.seq}")
    bucket = await bus.bucket(subjects.KV_SESSIONS)
    if await bucket.get(session) is not None:
        found.append("snapshot")
    objects = await bus.objects(subjects.OBJECTS_EVIDENCE)
    found += await objects.names(subjects.evidence(session, ""))
    return found


async def test_nothing_is_left_and_others_are_untouched(http: httpx.AsyncClient, bus: Bus) -> None:
    session, other = [(await http.post("/v1/sessions")).json()["id"] for _ in range(2)]
    await fill(bus, session)
    await fill(bus, other)
    assert len(await traces(bus, session)) >= 9
    before = await traces(bus, other)
    answer = await http.delete(f"/v1/sessions/{session}")
    assert answer.status_code == 200, answer.text
    receipt = answer.json()
    assert receipt["id"] == session
    # created + ended + 5 heard + 2 stored
    assert receipt["log_messages"] == 9
    assert (receipt["audio_messages"], receipt["evidence_objects"], receipt["alerts"]) == (5, 2, 1)
    assert (receipt["dead_letters"], receipt["snapshot"]) == (1, True)
    assert receipt["deleted_at"].endswith("+00:00")
    assert await traces(bus, session) == []
    assert await traces(bus, other) == before
    objects = await bus.objects(subjects.OBJECTS_EVIDENCE)
    for name in ("a1.jpg", "a1.mp4"):
        with pytest.raises(NotFound):
            await objects.get(subjects.evidence(session, name))
        assert await objects.get(subjects.evidence(other, name)) == b"picture" * 100


async def test_an_erased_session_is_gone_for_everybody(http: httpx.AsyncClient, bus: Bus, connect: Connect) -> None:
    session = (await http.post("/v1/sessions")).json()["id"]
    await fill(bus, session)
    async with (
        running_api(await connect()) as base_url,
        httpx.AsyncClient(base_url=base_url) as other,
        sse(other, f"/v1/sessions/{session}/feed") as feed,
    ):

        async def listed(client: httpx.AsyncClient) -> bool:
            rows = (await client.get("/v1/sessions")).json()["sessions"]
            return session in {row["session"] for row in rows}

        await eventually(lambda: listed(other))
        async with bus.subscribe(subjects.INGEST_CLOSE) as closes, bus.subscribe(subjects.live(session)) as live:
            assert (await http.delete(f"/v1/sessions/{session}")).status_code == 200
            close, deleted = await closes.next(5), await live.next(5)
            assert close is not None
            assert codec.decode(close.data, Close).session == session
            assert deleted is not None
            assert codec.decode(deleted.data, Deleted).session == session
        assert (await feed.until("deleted")).data["session"] == session
        assert await feed.next() is None
        for client in (http, other):
            for path in ("", "/report", "/feed", "/evidence/a1.jpg"):
                assert (await client.get(f"/v1/sessions/{session}{path}")).status_code == 404
            assert (await client.delete(f"/v1/sessions/{session}")).status_code == 404
            assert not await listed(client)
        # A worker that was late brings nothing back to the list.
        await store(bus, a_view(session, 30))
        marker = (await http.post("/v1/sessions")).json()["id"]
        await store(bus, a_view(marker, 31))

        async def marked() -> bool:
            rows = (await other.get("/v1/sessions")).json()["sessions"]
            return any(row["session"] == marker and row["seq"] == 31 for row in rows)

        await eventually(marked)
        assert not await listed(other)


async def test_what_comes_late_is_erased_too(http: httpx.AsyncClient, bus: Bus, connect: Connect) -> None:
    session = (await http.post("/v1/sessions")).json()["id"]
    await fill(bus, session)
    worker = await connect()

    async def late() -> None:
        """A worker that hands in what it still had, after the session was closed."""
        async with worker.subscribe(subjects.INGEST_CLOSE) as closes:
            ready.set()
            await closes.next(5)
            for seq in range(100, 105):
                heard = SpeechHeard(
                    session=session,
                    source="speech",
                    seq=seq,
                    t_s=seq,
                    duration_s=1,
                    speech_s=0,
                    level_dbfs=-60,
                    pause_s=1,
                )
                await worker.observe(heard)

    ready = asyncio.Event()
    working = asyncio.create_task(late())
    await ready.wait()
    receipt = (await http.delete(f"/v1/sessions/{session}")).json()
    await working
    assert receipt["log_messages"] == 9 + 5
    assert await traces(bus, session) == []


async def test_an_ended_session_and_one_without_a_snapshot_can_be_erased(http: httpx.AsyncClient, bus: Bus) -> None:
    for end in (True, False):
        session = (await http.post("/v1/sessions")).json()["id"]
        if end:
            await bus.observe(
                SpeechHeard(
                    session=session, source="s", seq=0, t_s=0, duration_s=1, speech_s=0, level_dbfs=0, pause_s=0
                )
            )
            await store(bus, a_view(session, 3, status="ended"))
        answer = await http.delete(f"/v1/sessions/{session}")
        assert (answer.status_code, answer.json()["snapshot"]) == (200, end)
        assert await traces(bus, session) == []


async def test_a_heap_of_large_dead_letters_of_others_is_not_read(http: httpx.AsyncClient, bus: Bus) -> None:
    # More than a NATS server lets wait for one connection (64 MiB): to fetch them would cost us ours.
    for _ in range(80):
        await bus._js.publish(subjects.dead("vision", "other"), bytes(900_000))
    sessions = [(await http.post("/v1/sessions")).json()["id"] for _ in range(8)]
    answers = await asyncio.gather(*(http.delete(f"/v1/sessions/{session}") for session in sessions))
    assert [(answer.status_code, answer.json().get("dead_letters")) for answer in answers] == [(200, 0)] * 8
    assert sum((await bus.info(subjects.DEAD, subjects.dead("*"))).subjects.values()) == 80

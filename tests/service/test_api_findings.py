"""What was found in a session, over real HTTP: transcript, evidence, report."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from api.settings import ApiSettings
from proto import subjects
from proto.observations import EvidenceStored, Word, WordsCommitted, WordsTranslated
from proto.views import Alert, Feature
from runtime.bus import Bus
from tests.support.api import assert_problem, create, running_api
from tests.support.views import a_line, a_view, store


@pytest.fixture
async def http(bus: Bus) -> AsyncIterator[httpx.AsyncClient]:
    settings = ApiSettings(settle_timeout_s=0.2)
    async with running_api(bus, settings) as base_url, httpx.AsyncClient(base_url=base_url, timeout=10) as client:
        yield client


async def test_transcript_in_pages(http: httpx.AsyncClient, bus: Bus) -> None:
    session = (await create(http))["id"]
    for number in range(5):
        words = tuple(
            Word(text=f" {text}", start_s=number + i / 10, end_s=number + i / 10 + 0.1, probability=0.9)
            for i, text in enumerate((f"word{number}", "there."))
        )
        observation = WordsCommitted(
            session=session,
            source="speech",
            seq=number,
            t_s=number,
            utterance=number,
            words=words,
            language="en",
            model="tiny",
            final=True,
            heard_until_s=number + 1.0,
        )
        await bus.observe(observation)
    path = f"/v1/sessions/{session}/transcript"
    whole = (await http.get(path)).json()
    assert whole["text"] == " ".join(f"word{number} there." for number in range(5))
    assert whole["next_after_seq"] is None
    assert whole["segments"][2]["words"][0] == {"text": " word2", "start_s": 2.0, "end_s": 2.1, "probability": 0.9}
    first = (await http.get(path, params={"limit": 2})).json()
    second = (await http.get(path, params={"limit": 2, "after_seq": first["next_after_seq"]})).json()
    third = (await http.get(path, params={"limit": 2, "after_seq": second["next_after_seq"]})).json()
    assert [len(page["segments"]) for page in (first, second, third)] == [2, 2, 1]
    assert third["next_after_seq"] is None
    late = (await http.get(path, params={"from_s": 3.15})).json()
    assert late["text"] == "word3 there. word4 there."


async def test_translations_stand_with_the_page_of_their_utterances(http: httpx.AsyncClient, bus: Bus) -> None:
    session = (await create(http, language="de", translate=True))["id"]
    for number in range(3):
        word = Word(text=f"wort{number}", start_s=number, end_s=number + 0.5, probability=0.9)
        committed = WordsCommitted(
            session=session, source="speech", seq=number, t_s=number, utterance=number, words=(word,), language="de",
            model="tiny", final=True, heard_until_s=number + 1.0,
        )  # fmt: skip
        await bus.observe(committed)
    for number in (0, 2):
        translated = WordsTranslated(
            session=session, source="speech", seq=number, t_s=number, utterance=number, text=f"word{number}",
            language="de", model="tiny", start_s=number, end_s=number + 0.5,
        )  # fmt: skip
        await bus.observe(translated)
    path = f"/v1/sessions/{session}/transcript"
    whole = (await http.get(path)).json()
    assert [(one["utterance"], one["text"]) for one in whole["translations"]] == [(0, "word0"), (2, "word2")]
    first = (await http.get(path, params={"limit": 2})).json()
    assert [one["text"] for one in first["translations"]] == ["word0"]
    last = (await http.get(path, params={"limit": 2, "after_seq": first["next_after_seq"]})).json()
    assert last["translations"][0] | {"seq": 0} == {
        "seq": 0, "utterance": 2, "start_s": 2.0, "end_s": 2.5, "text": "word2", "language": "de", "model": "tiny",
    }  # fmt: skip


async def test_a_transcript_that_cannot_be_says_why(http: httpx.AsyncClient, bus: Bus) -> None:
    session = (await create(http))["id"]
    missing = Feature(name="transcript", available=False, reason="no model", command="candor models pull whisper-tiny")
    await store(bus, a_view(session, 3, features=(missing,)))
    answer = (await http.get(f"/v1/sessions/{session}/transcript")).json()
    assert (answer["available"], answer["segments"]) == (False, [])
    assert "candor models pull whisper-tiny" in answer["reason"]


async def test_evidence_is_listed_and_served(http: httpx.AsyncClient, bus: Bus) -> None:
    session = (await create(http))["id"]
    objects = await bus.objects(subjects.OBJECTS_EVIDENCE)
    await objects.put(subjects.evidence(session, "a1.jpg"), b"\xff\xd8jpeg")
    await objects.put(subjects.evidence(session, "a1.html"), b"<script>")
    await bus.observe(
        EvidenceStored(
            session=session,
            source="node",
            seq=0,
            t_s=3.0,
            alert_id="a1",
            name="a1.jpg",
            media_type="image/jpeg",
            sha256="0" * 64,
            size_bytes=6,
        )
    )
    (item,) = (await http.get(f"/v1/sessions/{session}/evidence")).json()["evidence"]
    assert (item["name"], item["alert_id"], item["size_bytes"]) == ("a1.jpg", "a1", 6)
    still = await http.get(item["url"])
    assert still.content == b"\xff\xd8jpeg"
    assert still.headers["content-type"] == "image/jpeg"
    assert "no-store" in still.headers["cache-control"]
    # Whatever was stored, a browser must not run it.
    page = await http.get(f"/v1/sessions/{session}/evidence/a1.html")
    assert page.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in page.headers["content-security-policy"]
    assert_problem(await http.get(f"/v1/sessions/{session}/evidence/none.jpg"), 404)
    assert_problem(await http.get(f"/v1/sessions/{session}/evidence/a%20b.jpg"), 422)
    assert_problem(await http.get("/v1/sessions/nobody/evidence"), 404)


async def test_the_report_puts_it_together(http: httpx.AsyncClient, bus: Bus) -> None:
    session = (await create(http, label="L"))["id"]
    alert = Alert(id="a1", session=session, rule="NO_FACE", severity="high", t_s=3.0, seq=12, message="Please look.")
    await store(bus, a_view(session, 40, score=55.0, ledger=(a_line(12),), alerts=(alert,), review_recommended=True))
    report = (await http.get(f"/v1/sessions/{session}/report")).json()
    assert report["ledger"][0]["seq"] == 12
    assert report["alerts"][0]["seq"] == 12
    assert "human decides" in report["recommendation"]
    assert report["policy"] == "standard"

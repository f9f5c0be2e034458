"""Sessions over real HTTP: create, read at once, list, end, and every way to ask for it wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from api import auth
from api.models import CreateSession
from api.settings import ApiSettings
from proto import policy, subjects
from proto.codec import decode
from proto.languages import LANGUAGES
from proto.observations import MAX_HOTWORD, MAX_HOTWORDS, MAX_LANGUAGE, SessionCreated, SessionEnded
from proto.signalling import Close
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support.api import a_policy_dir, assert_problem, create, running_api, running_parts
from tests.support.views import a_line, a_view, an_episode, store
from tests.support.wait import eventually


@pytest.fixture
async def http(bus: Bus) -> AsyncIterator[httpx.AsyncClient]:
    settings = ApiSettings(settle_timeout_s=0.2)
    async with running_api(bus, settings) as base_url, httpx.AsyncClient(base_url=base_url, timeout=10) as client:
        yield client


async def test_a_session_begins_in_the_log(http: httpx.AsyncClient, bus: Bus) -> None:
    created = await create(http, label="Interview 4711", metadata={"job": "cook"})
    delivery = await bus.last(subjects.LOG, subjects.log(created["id"], "session.created"))
    assert delivery is not None
    record = decode(delivery.data, SessionCreated)
    assert (record.label, record.metadata, record.policy_name) == ("Interview 4711", {"job": "cook"}, "standard")
    assert policy.parse(record.policy_toml).name == "standard"
    assert auth.token_matches(created["token"], record.token_sha256)
    assert created["token"].encode() not in delivery.data


async def test_what_is_said_of_the_speech_lands_in_the_log(
    http: httpx.AsyncClient, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        " Kubernetes ",
        "Anneliese Kowalczyk",
        "\u0928\u092e\u0938\u094d\u0924\u0947",
        "Kubernetes",
        "x" * MAX_HOTWORD,
    ]
    created = await create(http, language="yue", hotwords=words, translate=True)
    delivery = await bus.last(subjects.LOG, subjects.log(created["id"], "session.created"))
    assert delivery is not None
    record = decode(delivery.data, SessionCreated)
    assert (record.language, record.translate) == ("yue", True)
    assert record.hotwords == ("Kubernetes", "Anneliese Kowalczyk", words[2], "x" * MAX_HOTWORD)
    plain = await bus.last(subjects.LOG, subjects.log((await create(http))["id"], "session.created"))
    assert plain is not None
    record = decode(plain.data, SessionCreated)
    assert (record.language, record.hotwords, record.translate) == ("", (), False)
    assert_problem(await http.post("/v1/sessions", json={"hotwords": ["Kowalczyk", "x" * 65]}), 422)
    told = capsys.readouterr()
    assert "api.session_created" in told.out + told.err
    assert "Kowalczyk" not in told.out + told.err


async def test_the_languages_are_those_of_whisper() -> None:
    tokenizer = pytest.importorskip("faster_whisper.tokenizer")
    assert set(tokenizer._LANGUAGE_CODES) == LANGUAGES
    assert max(map(len, LANGUAGES)) <= MAX_LANGUAGE


async def test_the_document_shows_what_can_be_said_of_the_speech(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    schema = document["components"]["schemas"]["CreateSession"]
    fields = schema["properties"]
    assert set(fields["language"]["enum"]) == {"", *LANGUAGES}
    assert fields["hotwords"]["maxItems"] == MAX_HOTWORDS
    assert (fields["hotwords"]["items"]["minLength"], fields["hotwords"]["items"]["maxLength"]) == (1, MAX_HOTWORD)
    assert fields["translate"]["type"] == "boolean"
    assert all(fields[name]["description"] for name in ("language", "hotwords", "translate"))
    (example,) = schema["examples"]
    assert CreateSession.model_validate(example).hotwords
    offer = document["paths"]["/v1/whip/{session}"]["post"]
    (role,) = (item for item in offer["parameters"] if item["name"] == "role")
    assert role["schema"]["enum"] == ["candidate", "interviewer"]
    assert "API key" in role["description"]


async def test_urls_lead_where_they_say(http: httpx.AsyncClient) -> None:
    created = await create(http)
    session, base = created["id"], str(http.base_url).rstrip("/")
    assert created["state_url"] == f"{base}/v1/sessions/{session}"
    assert created["feed_url"] == f"{base}/v1/sessions/{session}/feed"
    assert created["ws_url"] == f"{base.replace('http', 'ws')}/v1/sessions/{session}/feed/ws"
    assert created["whip_url"] == f"{base}/v1/whip/{session}"
    assert created["candidate_url"] == f"{base}/candidate?session={session}#token={created['token']}"


async def test_urls_follow_the_public_url(bus: Bus) -> None:
    settings = ApiSettings(public_url="https://candor.example/live/")
    async with running_api(bus, settings) as base_url, httpx.AsyncClient(base_url=base_url) as http:
        created = await create(http)
    assert created["whip_url"] == f"https://candor.example/live/v1/whip/{created['id']}"
    assert created["ws_url"].startswith("wss://candor.example/live/v1/sessions/")


async def test_a_session_is_there_at_once_everywhere(http: httpx.AsyncClient) -> None:
    for _ in range(10):
        session = (await create(http, label="new"))["id"]
        state = await http.get(f"/v1/sessions/{session}")
        assert (state.status_code, state.json()["status"]) == (200, "created")
        assert state.json()["label"] == "new"
        listed = await http.get("/v1/sessions", params={"sort": "newest", "limit": 1})
        assert [row["session"] for row in listed.json()["sessions"]] == [session]


async def test_another_replica_and_a_restarted_one_see_it(http: httpx.AsyncClient, connect: Connect) -> None:
    before = (await create(http))["id"]
    async with running_parts(await connect()) as (base_url, _), httpx.AsyncClient(base_url=base_url) as other:
        assert (await other.get(f"/v1/sessions/{before}")).status_code == 200
        after = (await create(http))["id"]

        async def both() -> bool:
            rows = (await other.get("/v1/sessions")).json()["sessions"]
            return {row["session"] for row in rows} == {before, after}

        await eventually(both)


async def test_the_snapshot_is_the_state(http: httpx.AsyncClient, bus: Bus) -> None:
    session = (await create(http))["id"]
    view = a_view(session, 40, score=55.5, ledger=(a_line(12), a_line(30)), timeline=(an_episode("NO_FACE", 1.0, 2.0),))
    await store(bus, view)
    state = (await http.get(f"/v1/sessions/{session}")).json()
    assert (state["seq"], state["score"], len(state["ledger"])) == (40, 55.5, 2)
    ledger = (await http.get(f"/v1/sessions/{session}/ledger")).json()
    assert [line["seq"] for line in ledger["ledger"]] == [12, 30]
    timeline = (await http.get(f"/v1/sessions/{session}/timeline")).json()
    assert timeline["timeline"][0]["end_s"] == 2.0


async def test_the_list_filters_sorts_and_pages(http: httpx.AsyncClient, bus: Bus) -> None:
    for number in range(7):
        status = "ended" if number == 6 else "live"
        await store(
            bus,
            a_view(
                f"s{number}",
                10,
                score=number * 10.0,
                label=f"Ab {number}",
                status=status,
                created_unix_s=1000.0 + number,
            ),
        )

    async def names(**params: object) -> list[str]:
        answer = await http.get("/v1/sessions", params=params)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return [row["session"] for row in answer.json()["sessions"]]

    async def all_there() -> bool:
        return len(await names()) == 7

    await eventually(all_there)
    assert await names() == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]
    assert await names(status="live", limit=2) == ["s5", "s4"]
    assert await names(status=["live", "ended"], min_score=50) == ["s6", "s5"]
    assert await names(q="ab 3") == ["s3"]
    assert await names(q="s2") == ["s2"]
    assert await names(q="zz") == []
    for sort in ("risk", "newest"):
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await http.get("/v1/sessions", params={"sort": sort, "limit": 3, "cursor": cursor})).json()
            seen += [row["session"] for row in page["sessions"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"], sort
    page = (await http.get("/v1/sessions", params={"sort": "risk", "limit": 3})).json()
    wrong = await http.get("/v1/sessions", params={"sort": "newest", "cursor": page["next_cursor"]})
    assert_problem(wrong, 422, "sorted by risk")
    assert_problem(await http.get("/v1/sessions", params={"cursor": "%%%"}), 422, "cursor")


async def test_the_list_stays_bounded(bus: Bus) -> None:
    async with running_parts(bus, ApiSettings(max_listed=5)) as (_, parts):
        for number in range(12):
            status = "ended" if number < 9 else "live"
            await store(bus, a_view(f"s{number}", 1, status=status, created_unix_s=1000.0 + number))
        await eventually(lambda: len(parts.listing) == 5 and "s11" in {r.session for r in parts.listing._rows.values()})
        rows = await parts.listing.newest(10)
        # The oldest ended ones went first.
        assert [row.session for row in rows] == ["s11", "s10", "s9", "s8", "s7"]


async def test_ending_logs_closes_and_waits_for_the_state(http: httpx.AsyncClient, bus: Bus) -> None:
    session = (await create(http))["id"]
    async with bus.subscribe(subjects.INGEST_CLOSE) as closes:
        ending = asyncio.create_task(http.post(f"/v1/sessions/{session}/end"))
        close = await closes.next(5)
        assert close is not None
        assert decode(close.data, Close).session == session
        delivery = await bus.last(subjects.LOG, subjects.log(session, "session.ended"))
        assert delivery is not None
        assert decode(delivery.data, SessionEnded).t_s >= 0
        await store(bus, a_view(session, delivery.seq, status="ended"))
        answer = await ending
    assert (answer.status_code, answer.json()["status"]) == (200, "ended")
    again = await http.post(f"/v1/sessions/{session}/end")
    assert (again.status_code, again.json()["status"]) == (200, "ended")
    assert sum((await bus.info(subjects.LOG, subjects.log(session, "session.ended"))).subjects.values()) == 1


async def test_ending_without_an_aggregator_is_accepted_not_finished(http: httpx.AsyncClient) -> None:
    session = (await create(http))["id"]
    answer = await http.post(f"/v1/sessions/{session}/end")
    assert (answer.status_code, answer.json()["status"]) == (202, "created")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("GET", "/ledger"), ("GET", "/timeline"), ("GET", "/transcript"), ("GET", "/report"),
        ("GET", "/evidence"), ("GET", "/feed"), ("POST", "/end"), ("DELETE", ""),
    ],
)  # fmt: skip
async def test_no_such_session(http: httpx.AsyncClient, method: str, path: str) -> None:
    assert_problem(await http.request(method, f"/v1/sessions/nobody{path}"), 404, "no session nobody")
    # What could not be an id must not become a subject with a wildcard.
    for odd in ("a.b", "%3E", "*", "x" * 65, "a%20b"):
        assert_problem(await http.request(method, f"/v1/sessions/{odd}{path}"), 404)


async def test_bad_input_is_named(http: httpx.AsyncClient) -> None:
    async def post(body: object) -> httpx.Response:
        return await http.post("/v1/sessions", json=body)

    assert_problem(await post({"policy": "lenient"}), 422, "standard", "eu-recruitment", "full")
    assert_problem(await post({"policy": "../../etc/passwd"}), 422, "not known")
    assert_problem(await post({"label": "x" * 201}), 422, "label", "200")
    assert_problem(await post({"label": "a\nb"}), 422, "label", "control")
    assert_problem(await post({"metadata": {str(n): "" for n in range(33)}}), 422, "metadata", "32")
    assert_problem(await post({"metadata": {"k": "v" * 513}}), 422, "metadata", "512")
    assert_problem(await post({"metadata": {"": "v"}}), 422, "metadata")
    assert_problem(await post({"metadata": {"k": 5}}), 422, "metadata.k")
    assert_problem(await post({"labl": "x"}), 422, "labl")
    for language in ("xx", "EN", "en-GB", "english"):
        assert_problem(await post({"language": language}), 422, "language", "100 codes")
    assert_problem(await post({"hotwords": ["x"] * (MAX_HOTWORDS + 1)}), 422, "hotwords", str(MAX_HOTWORDS))
    assert_problem(await post({"hotwords": ["good", "x" * (MAX_HOTWORD + 1)]}), 422, "hotwords.1", str(MAX_HOTWORD))
    for blank in ("", "   "):
        assert_problem(await post({"hotwords": [blank]}), 422, "hotwords.0", "at least 1")
    assert_problem(await post({"hotwords": ["a\u0000b"]}), 422, "hotwords", "printable")
    assert_problem(await post({"hotwords": "Kubernetes"}), 422, "hotwords")
    assert_problem(await post({"translate": "yes"}), 422, "translate")
    assert_problem(await post([]), 422, "body")
    assert_problem(await http.post("/v1/sessions", content=b"{", headers={"content-type": "application/json"}), 422)
    assert_problem(await http.get("/v1/sessions", params={"limit": 0}), 422, "limit")
    assert_problem(await http.get("/v1/sessions", params={"status": "happy"}), 422, "status")
    assert_problem(await http.get("/v1/nothing"), 404)
    wrong = await http.put("/v1/sessions")
    assert_problem(wrong, 405)
    assert wrong.headers["allow"] == "GET, POST"
    assert (await http.get("/v1/sessions")).json()["sessions"] == []


async def test_a_body_that_is_too_large_is_not_read(http: httpx.AsyncClient) -> None:
    assert_problem(await http.post("/v1/sessions", content=b"x" * 65_537), 413, "65536")
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(10_000):
            sent += 4096
            yield b"x" * 4096

    # Of unknown length: refused as soon as the limit is passed; a client that goes on sending may find the door shut.
    try:
        answer = await http.post("/v1/sessions", content=endless())
        assert answer.status_code == 413
    except (httpx.WriteError, httpx.ReadError):
        pass
    assert sent < 20_000_000


async def test_a_body_that_is_too_slow_is_given_up(bus: Bus) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b'{"label":'
        await asyncio.sleep(30)
        yield b'"x"}'

    settings = ApiSettings(body_timeout_s=0.2)
    async with running_api(bus, settings) as base_url, httpx.AsyncClient(base_url=base_url, timeout=5) as http:
        reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
        writer.write(
            b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 30\r\n\r\n{"label":'
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 408")
        writer.close()


async def test_many_at_once(http: httpx.AsyncClient) -> None:
    created = await asyncio.gather(*(create(http, label=str(number)) for number in range(50)))
    assert len({item["id"] for item in created}) == 50
    answers = await asyncio.gather(*(http.get(f"/v1/sessions/{item['id']}") for item in created))
    assert [answer.json()["label"] for answer in answers] == [str(number) for number in range(50)]


async def test_a_policy_is_taken_from_the_folder_as_it_is_now(bus: Bus, tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = a_policy_dir(tmp_path / "policies")
    settings = ApiSettings(policy_dir=folder)
    async with running_api(bus, settings) as base_url, httpx.AsyncClient(base_url=base_url) as http:
        assert_problem(await http.post("/v1/sessions", json={"policy": "mine"}), 422, "known are: standard")
        (folder / "mine.toml").write_text('name = "mine"\nreview_at = 10.0\n')
        assert (await create(http, policy="mine"))["id"]
        (folder / "mine.toml").write_text('name = "mine"\nreview_at = 1000.0\n')
        assert_problem(await http.post("/v1/sessions", json={"policy": "mine"}), 422, "review_at")

"""What surrounds every request: foreign pages, headers, ids, logs, documents, probes, limits."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import InvalidStatus

from api import metrics
from api.service import serve
from api.settings import ApiSettings
from proto import subjects
from proto.errors import BadSettings, Unavailable
from proto.observations import SessionCreated
from runtime.bus import Bus
from runtime.health import listen
from tests.support.api import running_api
from tests.support.views import a_view, store

ADMIN = "a" * 24


@pytest.fixture
async def http(bus: Bus) -> AsyncIterator[httpx.AsyncClient]:
    async with running_api(bus) as base_url, httpx.AsyncClient(base_url=base_url, timeout=10) as client:
        yield client


def port(http: httpx.AsyncClient) -> str:
    return str(http.base_url.port)


async def test_a_page_that_points_its_name_here_is_recognised(http: httpx.AsyncClient) -> None:
    for host in ("evil.example", f"evil.example:{port(http)}", "127.0.0.1.evil.example", "localhost.evil.example", ""):
        for path in ("/v1/sessions", "/", "/v1/whip/s1", "/docs"):
            answer = await http.get(path, headers={"Host": host})
            assert answer.status_code == 403, (host, path)
            assert answer.headers["content-type"] == "application/problem+json"
    for host in ("localhost", f"localhost:{port(http)}", "127.0.0.1:1", "[::1]:8080"):
        assert (await http.get("/v1/sessions", headers={"Host": host})).status_code == 200, host


async def test_a_page_of_another_site_may_not_call(http: httpx.AsyncClient) -> None:
    own = f"http://127.0.0.1:{port(http)}"
    foreign: list[dict[str, str]] = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ]
    for headers in foreign:
        for method, path in (("POST", "/v1/sessions"), ("GET", "/v1/sessions"), ("DELETE", "/v1/sessions/s1")):
            answer = await http.request(method, path, headers=headers)
            assert answer.status_code == 403, (headers, method)
            assert "access-control-allow-origin" not in answer.headers
    assert (await http.get("/v1/sessions")).json()["sessions"] == []
    for headers in ({"Origin": own}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert (await http.post("/v1/sessions", headers=headers)).status_code == 201


async def test_a_socket_of_another_site_is_refused(http: httpx.AsyncClient, bus: Bus) -> None:
    await store(bus, a_view("s1", 1))
    url = f"ws://127.0.0.1:{port(http)}/v1/sessions/s1/feed/ws"
    with pytest.raises(InvalidStatus) as caught:
        async with connect_socket(url, origin="https://evil.example"):  # type: ignore[arg-type]
            pass
    assert caught.value.response.status_code == 403
    async with connect_socket(url, origin=f"http://127.0.0.1:{port(http)}") as socket:  # type: ignore[arg-type]
        await socket.recv()


async def test_listed_origins_may_call_and_others_may_not(bus: Bus) -> None:
    settings = ApiSettings(allow_origins="https://platform.example", allowed_hosts="candor.test")
    async with running_api(bus, settings) as base_url, httpx.AsyncClient(base_url=base_url) as http:
        good = {"Origin": "https://platform.example", "Host": "candor.test"}
        answer = await http.post("/v1/sessions", headers=good)
        assert answer.status_code == 201
        assert answer.headers["access-control-allow-origin"] == "https://platform.example"
        asks = {"Access-Control-Request-Method": "DELETE"}
        preflight = await http.options("/v1/sessions/s1", headers=good | asks)
        assert preflight.status_code == 204
        assert "DELETE" in preflight.headers["access-control-allow-methods"]
        evil = await http.options("/v1/sessions/s1", headers={"Origin": "https://evil.example"} | asks)
        assert "access-control-allow-origin" not in evil.headers
        assert (await http.post("/v1/sessions", headers={"Origin": "https://evil.example"})).status_code == 403


async def test_answers_carry_protection_and_an_id(http: httpx.AsyncClient) -> None:
    for path in ("/v1/sessions", "/", "/docs", "/nothing", "/healthz", "/static/none.js"):
        answer = await http.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
        assert "server" not in answer.headers
    assert (await http.get("/v1/sessions")).headers["cache-control"] == "no-store"
    assert (await http.get("/healthz", headers={"X-Request-Id": "mine-1"})).headers["x-request-id"] == "mine-1"
    for odd in ("x" * 65, "a b", 'a"b'):
        assert (await http.get("/healthz", headers={"X-Request-Id": odd})).headers["x-request-id"] != odd


async def test_pages_run_only_their_own_scripts(http: httpx.AsyncClient) -> None:
    for path in ("/", "/candidate"):
        answer = await http.get(path)
        assert answer.status_code == 200
        policy = dict(item.strip().split(" ", 1) for item in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert "camera=(self)" in answer.headers["permissions-policy"]
        # What the policy would block must not be there.
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=", answer.text)
        etag = answer.headers["etag"]
        assert (await http.get(path)).headers["etag"] == etag


async def test_the_documents_need_nobody_else(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.text)
    assert "curl" in page.text
    assert "/v1/whip/$SESSION" in page.text
    assert (await http.get("/redoc")).headers["location"] == "/docs"


async def test_every_operation_is_documented_with_an_example(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    references = set(re.findall(r"#/components/schemas/([A-Za-z_]+)", json.dumps(document)))
    assert references <= set(schemas), references - set(schemas)
    count = 0
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            count += 1
            assert operation["summary"], (verb, path)
            assert operation["tags"]
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                if status.startswith("2") and "application/json" in content:
                    assert "example" in content["application/json"], (verb, path)
                if status.startswith(("4", "5")) and path.startswith("/v1"):
                    assert list(content) == ["application/problem+json"], (verb, path, status)
    assert count >= 18
    view = schemas["SessionView"]["properties"]
    assert {"score", "ledger", "timeline", "alerts", "rules"} <= set(view)
    example = document["paths"]["/v1/sessions/{session}"]["get"]["responses"]["200"]["content"]["application/json"]
    assert set(example["example"]) == set(view)


async def test_the_log_has_no_token_and_no_query(bus: Bus, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ApiSettings(keys=SecretStr(f"admin:{ADMIN}"))
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with running_api(bus, settings) as base_url, httpx.AsyncClient(base_url=base_url) as http:
        created = (await http.post("/v1/sessions", json={"label": "Jane Doe"}, headers=headers)).json()
        await http.get("/v1/sessions", params={"q": "Jane"}, headers=headers)
        await http.get(f"/v1/feed?access_token={'z' * 24}")
        await http.post(
            f"/v1/whip/{created['id']}", content="v=0", headers={"Authorization": f"Bearer {created['token']}"}
        )
        url = f"{base_url.replace('http', 'ws')}/v1/feed/ws?access_token={ADMIN}"
        async with connect_socket(url) as socket:
            await socket.recv()
    out, err = capsys.readouterr()
    text = out + err
    assert "/v1/whip/{session}" in text
    for secret in (ADMIN, "z" * 24, created["token"], "Jane", "access_token"):
        assert secret not in text, secret


async def test_a_trace_goes_into_the_log_of_observations(http: httpx.AsyncClient, bus: Bus) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    created = (await http.post("/v1/sessions", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})).json()
    record = await bus.last(subjects.LOG, subjects.log(created["id"], str(SessionCreated.__struct_config__.tag)))
    assert record is not None
    assert record.headers["traceparent"].split("-")[1] == trace


async def test_metrics_have_templates_not_sessions(http: httpx.AsyncClient) -> None:
    session = (await http.post("/v1/sessions")).json()["id"]
    await http.get(f"/v1/sessions/{session}")
    await http.get("/v1/sessions/unknown-session")
    await http.get("/made/up/path")
    text = (await http.get("/metrics")).text
    assert 'route="/v1/sessions/{session}",status="200"' in text
    assert 'route="/v1/sessions/{session}",status="404"' in text
    assert 'route="(none)",status="404"' in text
    assert session not in text
    assert "unknown-session" not in text
    assert "/made/up/path" not in text


async def test_an_unexpected_failure_is_a_problem_without_details(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_api(bus) as base_url, httpx.AsyncClient(base_url=base_url) as http:

        def broken(*_: object) -> None:
            raise RuntimeError("secret detail")

        monkeypatch.setattr("api.sessions.new_id", broken)
        answer = await http.post("/v1/sessions")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["request_id"]
        assert "secret" not in answer.text
        monkeypatch.undo()
        assert (await http.post("/v1/sessions")).status_code == 201


async def test_probes(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).json() == {"ok": True, "parts": []}
    ready = await http.get("/readyz")
    assert ready.status_code == 200
    assert {part["name"] for part in ready.json()["parts"]} == {"nats", "log", "list", "feed"}


async def test_too_many_connections_get_503(bus: Bus) -> None:
    async with running_api(bus, ApiSettings(max_connections=3)) as base_url:
        clients = [httpx.AsyncClient(base_url=base_url) for _ in range(6)]
        try:
            answers = [await client.get("/healthz") for client in clients]
        finally:
            for client in clients:
                await client.aclose()
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 503


async def test_an_open_server_refuses_to_be_reachable(bus: Bus) -> None:
    with pytest.raises(BadSettings, match="CANDOR_API_KEYS"):
        await serve(ApiSettings(host="0.0.0.0", port=0), bus, asyncio.Event())


async def test_a_taken_port_is_told(bus: Bus) -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(Unavailable, match="cannot listen"):
        await serve(ApiSettings(port=taken.getsockname()[1]), bus, asyncio.Event())


async def test_half_a_certificate_is_told(bus: Bus, tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadSettings, match="belong together"):
        await serve(ApiSettings(port=0, tls_cert_file=tmp_path / "c.pem"), bus, asyncio.Event())
    both = ApiSettings(port=0, tls_cert_file=tmp_path / "c.pem", tls_key_file=tmp_path / "k.pem")
    with pytest.raises(BadSettings, match="cannot be used"):
        await serve(both, bus, asyncio.Event())


async def test_requests_are_counted(http: httpx.AsyncClient) -> None:
    counter = metrics.REQUESTS.labels("GET", "/healthz", "200")
    before = counter._value.get()
    await http.get("/healthz")
    assert counter._value.get() == before + 1

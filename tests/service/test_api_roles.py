"""Every endpoint with every role: who gets in, who is told 401, who is told 403."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import InvalidStatus

from api.settings import ApiSettings
from runtime.bus import Bus
from tests.support.api import running_api
from tests.support.feeds import sse

KEYS = {"ingest": "i" * 24, "supervise": "s" * 24, "admin": "a" * 24}
SETTINGS = ApiSettings(
    host="127.0.0.1",
    keys=SecretStr(",".join(f"{role}:{key}" for role, key in KEYS.items())),
    settle_timeout_s=0,
)
SDP = {"Content-Type": "application/sdp"}


@pytest.fixture
async def http(bus: Bus) -> AsyncIterator[httpx.AsyncClient]:
    async with running_api(bus, SETTINGS) as base_url, httpx.AsyncClient(base_url=base_url, timeout=10) as client:
        yield client


def as_(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS.get(role, role)}"} if role else {}


@pytest.fixture
async def session(http: httpx.AsyncClient) -> dict[str, str]:
    created: dict[str, str] = (await http.post("/v1/sessions", headers=as_("ingest"))).json()
    return created


READING = ["", "/ledger", "/timeline", "/transcript", "/report", "/evidence"]
MATRIX = [
    ("POST", "/v1/sessions", {"ingest", "admin"}),
    ("GET", "/v1/sessions", {"supervise", "admin"}),
    *[("GET", f"/v1/sessions/ID{path}", {"supervise", "admin"}) for path in READING],
    ("GET", "/v1/sessions/ID/evidence/x.jpg", {"supervise", "admin"}),
    ("POST", "/v1/sessions/ID/end", {"ingest", "admin"}),
    ("DELETE", "/v1/sessions/ID", {"admin"}),
]


@pytest.mark.parametrize(("method", "path", "allowed"), MATRIX)
async def test_the_matrix(
    http: httpx.AsyncClient, session: dict[str, str], method: str, path: str, allowed: set[str]
) -> None:
    url = path.replace("ID", session["id"])
    for role in ("", "z" * 24, session["token"], "ingest", "supervise", "admin"):
        answer = await http.request(method, url, headers=as_(role))
        if role in allowed:
            assert answer.status_code in (200, 201, 202) or "no object" in answer.text, (role, answer.text)
        else:
            expected = 403 if role in KEYS else 401
            assert answer.status_code == expected, (role, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert ("www-authenticate" in answer.headers) == (expected == 401)


async def test_whip_takes_the_session_token_and_keys_that_may_publish(
    http: httpx.AsyncClient, session: dict[str, str]
) -> None:
    async def offer(credential: str) -> int:
        headers = SDP | as_(credential)
        return (await http.post(f"/v1/whip/{session['id']}", content="v=0\r\n", headers=headers)).status_code

    # 503: let in, and no node is running.
    assert [await offer(role) for role in (session["token"], "ingest", "admin")] == [503, 503, 503]
    assert [await offer(role) for role in ("", "z" * 24)] == [401, 401]
    assert await offer("supervise") == 403


async def test_an_interviewer_takes_a_key_and_never_the_candidates_token(
    http: httpx.AsyncClient, session: dict[str, str]
) -> None:
    """Whoever holds the session's token is in the candidate's room: a helper there must not pass as the interviewer."""
    url, peer = f"/v1/whip/{session['id']}", f"/v1/whip/{session['id']}/n1.interviewer-0f"
    fragment = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": '"e"'}

    async def statuses(credential: str) -> list[int]:
        headers = as_(credential)
        offered = await http.post(url, params={"role": "interviewer"}, content="v=0\r\n", headers=SDP | headers)
        patched = await http.patch(peer, content="a=candidate:1", headers=fragment | headers)
        deleted = await http.delete(peer, headers=headers)
        return [offered.status_code, patched.status_code, deleted.status_code]

    # 503 and 404: let in, and no node is running.
    assert [await statuses(role) for role in ("ingest", "admin")] == [[503, 404, 404]] * 2
    assert [await statuses(role) for role in (session["token"], "supervise")] == [[403, 403, 403]] * 2
    assert [await statuses(role) for role in ("", "z" * 24)] == [[401, 401, 401]] * 2
    wrong = await http.post(url, params={"role": "helper"}, content="v=0\r\n", headers=SDP | as_("admin"))
    assert wrong.status_code == 422
    assert "interviewer" in wrong.json()["detail"]


async def test_feeds_take_a_header_or_a_query(http: httpx.AsyncClient, session: dict[str, str]) -> None:
    for path in ("/v1/feed", f"/v1/sessions/{session['id']}/feed"):
        for role, status in (("", 401), ("ingest", 403), (session["token"], 401)):
            assert (await http.get(path, headers=as_(role))).status_code == status
            assert (await http.get(path, params={"access_token": KEYS.get(role, role)})).status_code == status
        async with sse(http, path, **as_("supervise")) as feed:
            assert (await feed.next()).event == "snapshot"  # type: ignore[union-attr]
        async with sse(http, f"{path}?access_token={KEYS['supervise']}") as feed:
            assert (await feed.next()).event == "snapshot"  # type: ignore[union-attr]


async def test_sockets_are_refused_with_a_problem(http: httpx.AsyncClient, session: dict[str, str]) -> None:
    base = str(http.base_url).replace("http", "ws").rstrip("/")
    for path in ("/v1/feed/ws", f"/v1/sessions/{session['id']}/feed/ws"):
        for query, status in (("", 401), (f"?access_token={KEYS['ingest']}", 403)):
            with pytest.raises(InvalidStatus) as caught:
                async with connect_socket(f"{base}{path}{query}"):
                    pass
            assert caught.value.response.status_code == status
            assert b"urn:candor:problem" in (caught.value.response.body or b"")
        async with connect_socket(f"{base}{path}?access_token={KEYS['supervise']}") as socket:
            assert b"snapshot" in await socket.recv(decode=False)


async def test_a_token_in_a_query_opens_feeds_only(http: httpx.AsyncClient, session: dict[str, str]) -> None:
    query = {"access_token": KEYS["admin"]}
    assert (await http.get(f"/v1/sessions/{session['id']}", params=query)).status_code == 401
    assert (await http.delete(f"/v1/sessions/{session['id']}", params=query)).status_code == 401


async def test_probes_pages_and_documents_are_open(http: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz", "/health", "/metrics", "/docs", "/openapi.json"):
        assert (await http.get(path)).status_code == 200, path


async def test_with_keys_any_host_name_will_do(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/sessions", headers={"Host": "candor.example"} | as_("supervise"))
    assert answer.status_code == 200

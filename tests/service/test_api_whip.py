"""WHIP (RFC 9725), status by status, against a scripted ingest node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from pydantic import SecretStr

from api.settings import ApiSettings
from proto.signalling import Answer, Declined, Delete, Offer, Patch
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support.api import running_api
from tests.support.ingesting import Ingesting, ingesting
from tests.support.views import a_view, store

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"


@dataclass
class Publishing:
    """A session and the client that publishes to it."""

    http: httpx.AsyncClient
    node: Ingesting
    session: str
    token: str

    @property
    def url(self) -> str:
        return f"/v1/whip/{self.session}"

    def headers(self, **changes: str | None) -> dict[str, str]:
        headers: dict[str, str | None] = {"Authorization": f"Bearer {self.token}", "Content-Type": SDP}
        headers.update({name.replace("_", "-"): value for name, value in changes.items()})
        return {name: value for name, value in headers.items() if value is not None}

    async def offer(self, sdp: str | bytes = OFFER, **changes: str | None) -> httpx.Response:
        return await self.http.post(self.url, content=sdp, headers=self.headers(**changes))

    async def patch(self, resource: str = "n1.p1", **changes: str | None) -> httpx.Response:
        headers = self.headers(**{"Content_Type": FRAGMENT, "If_Match": '"ice-1"', **changes})
        return await self.http.patch(f"{self.url}/{resource}", content="a=candidate:1", headers=headers)


@pytest.fixture
def settings() -> ApiSettings:
    return ApiSettings(offer_timeout_s=0.5)


@pytest.fixture
async def whip(bus: Bus, connect: Connect, settings: ApiSettings) -> AsyncIterator[Publishing]:
    async with (
        ingesting(await connect()) as node,
        running_api(bus, settings) as base_url,
        httpx.AsyncClient(base_url=base_url, timeout=10) as http,
    ):
        created = (await http.post("/v1/sessions")).json()
        yield Publishing(http, node, created["id"], created["token"])


def assert_problem(answer: httpx.Response, status: int, said: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


async def test_201(whip: Publishing) -> None:
    answer = await whip.offer()
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == SDP
    assert answer.headers["location"] == f"/v1/whip/{whip.session}/n1.p1"
    assert answer.headers["etag"] == '"ice-1"'
    assert answer.headers["accept-patch"] == FRAGMENT
    assert answer.text == "v=0\r\ns=answer\r\n"
    (offer,) = whip.node.asked
    assert isinstance(offer, Offer)
    assert (offer.session, offer.sdp) == (whip.session, OFFER)
    state = (await whip.http.get(f"/v1/sessions/{whip.session}")).json()
    assert offer.created_unix_s == state["created_unix_s"]
    assert offer.analysis.fps == 5.0


async def test_an_open_server_takes_the_interviewer_with_the_token(whip: Publishing) -> None:
    """Only this machine reaches it, and there are no keys to ask for."""
    whip.node.offer_reply = Answer(sdp="v=0\r\n", node="n1", peer="interviewer-0f", etag="e")
    answer = await whip.http.post(f"{whip.url}?role=interviewer", content=OFFER, headers=whip.headers())
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/whip/{whip.session}/n1.interviewer-0f"
    (offer,) = whip.node.asked
    assert isinstance(offer, Offer)
    assert offer.role == "interviewer"
    assert_problem(
        await whip.http.post(f"{whip.url}?role=interviewer", content=OFFER, headers={"Content-Type": SDP}), 401
    )


async def test_a_node_that_takes_the_interviewer_for_the_candidate_is_not_believed(whip: Publishing) -> None:
    """A node older than the role answers with a peer of the candidate's: nobody is told where, so it never connects."""
    answer = await whip.http.post(f"{whip.url}?role=interviewer", content=OFFER, headers=whip.headers())
    assert_problem(answer, 503, "older")
    assert "location" not in answer.headers
    assert "v=0" not in answer.text
    assert (await whip.offer()).status_code == 201


@pytest.mark.parametrize(
    "settings",
    [ApiSettings(ice_servers="stun:s.example,turn:t.example", turn_username="u", turn_password=SecretStr("c"))],
)
async def test_ice_servers_are_told_and_credentials_only_to_publishers(whip: Publishing) -> None:
    links = (await whip.offer()).headers.get_list("link")
    assert links == [
        '<stun:s.example>; rel="ice-server"',
        '<turn:t.example>; rel="ice-server"; username="u"; credential="c"; credential-type="password"',
    ]
    public = (await whip.http.options(whip.url)).headers.get_list("link")
    assert public == ['<stun:s.example>; rel="ice-server"', '<turn:t.example>; rel="ice-server"']


async def test_400(whip: Publishing) -> None:
    assert_problem(await whip.offer(""), 400, "not an SDP offer")
    assert_problem(await whip.offer("hello"), 400, "not an SDP offer")
    assert_problem(await whip.offer(b"v=0\xff"), 400, "UTF-8")
    whip.node.offer_reply = Declined(status=400, detail="two video tracks")
    assert_problem(await whip.offer(), 400, "two video tracks")


async def test_401(whip: Publishing) -> None:
    for credential in (None, "Bearer", "Bearer wrong", f"Basic {whip.token}", f"Bearer {whip.token[:-1]}"):
        answer = await whip.offer(Authorization=credential)
        assert_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    other = (await whip.http.post("/v1/sessions")).json()
    assert_problem(await whip.offer(Authorization=f"Bearer {other['token']}"), 401)
    assert_problem(await whip.patch(Authorization="Bearer wrong"), 401)
    assert_problem(await whip.http.delete(f"{whip.url}/n1.p1"), 401)
    assert whip.node.asked == []


async def test_404(whip: Publishing) -> None:
    answer = await whip.http.post("/v1/whip/nobody", content=OFFER, headers=whip.headers())
    assert_problem(answer, 404, "no session")
    assert_problem(await whip.patch("n2.p1"), 404, "gone")
    assert_problem(await whip.patch("n1"), 404)
    assert_problem(await whip.patch("n1.*"), 404)
    whip.node.peer_reply = Declined(status=404, detail="no such peer")
    assert_problem(await whip.patch(), 404, "no such peer")


async def test_405_names_what_is_allowed(whip: Publishing) -> None:
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        answer = await whip.http.request(method, whip.url)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "OPTIONS, POST"
    for method in ("GET", "HEAD", "PUT", "POST"):
        answer = await whip.http.request(method, f"{whip.url}/n1.p1")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "DELETE, OPTIONS, PATCH"


async def test_406(whip: Publishing) -> None:
    assert_problem(await whip.offer(Accept="text/html"), 406)
    assert (await whip.offer(Accept="application/sdp")).status_code == 201
    whip.node.offer_reply = Declined(status=406, detail="no codec in common")
    assert_problem(await whip.offer(), 406, "no codec")


async def test_410_once_the_session_is_over(whip: Publishing, bus: Bus) -> None:
    await store(bus, a_view(whip.session, 9, status="ended"))
    assert_problem(await whip.offer(), 410, "over")
    other = (await whip.http.post("/v1/sessions")).json()
    # In the log, but nobody has folded it yet.
    await whip.http.post(f"/v1/sessions/{other['id']}/end")
    whip.session, whip.token = other["id"], other["token"]
    assert_problem(await whip.offer(), 410, "over")


async def test_413(whip: Publishing) -> None:
    assert (await whip.offer(OFFER + "a" * (128 * 1024 - len(OFFER)))).status_code == 201
    assert_problem(await whip.offer(OFFER + "a" * (128 * 1024 - len(OFFER) + 1)), 413, "131072")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(34):
            yield b"v=0 " * 1024

    # Nobody says how long it is: it is counted as it comes.
    answer = await whip.http.post(whip.url, content=pieces(), headers=whip.headers())
    assert_problem(answer, 413)
    assert len(whip.node.asked) == 1


async def test_415(whip: Publishing) -> None:
    for media_type in (None, "application/json", "text/plain"):
        answer = await whip.offer(Content_Type=media_type)
        assert_problem(answer, 415, SDP)
        assert answer.headers["accept-post"] == SDP
    assert (await whip.offer(Content_Type="Application/SDP; charset=utf-8")).status_code == 201
    answer = await whip.patch(Content_Type=SDP)
    assert_problem(answer, 415, FRAGMENT)
    assert answer.headers["accept-patch"] == FRAGMENT


async def test_422(whip: Publishing) -> None:
    whip.node.peer_reply = Declined(status=422, detail="ICE restarts are not supported")
    assert_problem(await whip.patch(If_Match="*"), 422, "ICE restarts")
    (patch,) = whip.node.asked
    assert isinstance(patch, Patch)
    assert patch.etag == "*"


async def test_204_and_the_entity_tag_arrives_bare(whip: Publishing) -> None:
    answer = await whip.patch()
    assert (answer.status_code, answer.content) == (204, b"")
    assert whip.node.asked == [Patch(session=whip.session, sdpfrag="a=candidate:1", etag="ice-1")]


async def test_412_and_428(whip: Publishing) -> None:
    assert_problem(await whip.patch(If_Match=None), 428, "If-Match")
    assert whip.node.asked == []
    whip.node.peer_reply = Declined(status=412, detail="not the current ICE session")
    assert_problem(await whip.patch(If_Match='"old"'), 412, "not the current")


async def test_goodbye(whip: Publishing) -> None:
    answer = await whip.http.delete(f"{whip.url}/n1.p1", headers=whip.headers())
    assert answer.status_code == 200
    assert whip.node.asked == [Delete(session=whip.session)]


async def test_503_when_no_node_has_room(bus: Bus) -> None:
    async with running_api(bus) as base_url, httpx.AsyncClient(base_url=base_url) as http:
        created = (await http.post("/v1/sessions")).json()
        headers = {"Authorization": f"Bearer {created['token']}", "Content-Type": SDP}
        answer = await http.post(f"/v1/whip/{created['id']}", content=OFFER, headers=headers)
    assert_problem(answer, 503, "no ingest node has room")
    assert int(answer.headers["retry-after"]) > 0


async def test_503_as_the_node_says(whip: Publishing) -> None:
    whip.node.offer_reply = Declined(status=503, detail="draining", retry_after_s=17)
    answer = await whip.offer()
    assert_problem(answer, 503, "draining")
    assert answer.headers["retry-after"] == "17"


async def test_503_when_a_node_does_not_answer(bus: Bus, connect: Connect) -> None:
    silent = await connect()
    settings = ApiSettings(offer_timeout_s=0.3)
    async with (
        silent.subscribe("ingest.offer", "ingest"),
        running_api(bus, settings) as base_url,
        httpx.AsyncClient(base_url=base_url) as http,
    ):
        created = (await http.post("/v1/sessions")).json()
        headers = {"Authorization": f"Bearer {created['token']}", "Content-Type": SDP}
        answer = await http.post(f"/v1/whip/{created['id']}", content=OFFER, headers=headers)
    assert_problem(answer, 503)
    assert "retry-after" in answer.headers


async def test_options_and_cors(whip: Publishing) -> None:
    plain = await whip.http.options(whip.url)
    assert plain.status_code == 200
    assert plain.headers["accept-post"] == SDP
    assert "access-control-allow-origin" not in plain.headers
    preflight = await whip.http.options(
        whip.url,
        headers={
            "Origin": "https://platform.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for name in ("Authorization", "Content-Type", "If-Match"):
        assert name in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["accept-post"] == SDP
    answer = await whip.offer(Origin="https://platform.example")
    assert answer.status_code == 201
    for name in ("Location", "Link", "ETag"):
        assert name in answer.headers["access-control-expose-headers"]
    # An error can be read by the page, too.
    refused = await whip.offer(Origin="https://platform.example", Authorization=None)
    assert refused.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("settings", [ApiSettings(whip_allow_origins="https://platform.example")])
async def test_only_listed_origins_where_a_list_is_given(whip: Publishing) -> None:
    good = await whip.offer(Origin="https://platform.example")
    assert good.headers["access-control-allow-origin"] == "https://platform.example"
    assert "Origin" in good.headers["vary"]
    assert "access-control-allow-origin" not in (await whip.offer(Origin="https://evil.example")).headers


async def test_many_offers_at_once(whip: Publishing) -> None:
    answers = await asyncio.gather(*(whip.offer() for _ in range(30)))
    assert {answer.status_code for answer in answers} == {201}
    assert len(whip.node.asked) == 30

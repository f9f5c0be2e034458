"""The pages' WHIP client on its own, in a real Chromium against a real ingest node: what it offers, how it copes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, Response, Route, expect
from pydantic import SecretStr

from api.settings import ApiSettings
from ingest.settings import IngestSettings
from tests.support import ingest
from tests.support.api import a_policy_dir, running_api
from tests.support.chromium import FAKE_MEDIA
from tests.support.wait import eventually

NODE = IngestSettings(ice_loopback=True, drain_s=0.0)

# Publishes the fake camera from a page of the same origin that has no code of its own.
PUBLISH = """async ({ endpoint, token }) => {
  const { WhipClient } = await import("/static/js/whip.js");
  window.states = [];
  window.whip = new WhipClient({ endpoint, token, onState: (state) => window.states.push(state) });
  window.stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640 }, audio: true });
  try {
    await window.whip.publish(window.stream);
    return null;
  } catch (error) {
    return { name: error.name, status: error.status, message: error.message, retryAfter: error.retryAfter_s };
  }
}"""
CONNECTED = "() => window.whip.connection.connectionState === 'connected'"


class Publishing:
    """A page that publishes to a session, and what it asked the api."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url
        self.asked: list[tuple[str, int]] = []
        page.on("response", self._note)

    def _note(self, response: Response) -> None:
        if "/v1/whip/" in response.url:
            self.asked.append((response.request.method, response.status))

    async def publish(self, token: str = "") -> dict[str, Any] | None:
        async with httpx.AsyncClient(base_url=self._url) as client:
            made = (await client.post("/v1/sessions")).json()
        await self.page.goto(f"{self._url}/static/icon.svg")
        await self.page.goto(f"{self._url}/candidate")
        return await self.page.evaluate(PUBLISH, {"endpoint": made["whip_url"], "token": token or made["token"]})

    def count(self, method: str, status: int) -> int:
        return self.asked.count((method, status))


@pytest.fixture
def settings(tmp_path: Path) -> ApiSettings:
    return ApiSettings(policy_dir=a_policy_dir(tmp_path / "policies"))


async def test_it_offers_vp8_in_temporal_layers_and_trickles(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url, ingest.running(bus, NODE):
        publishing = Publishing(page := await browser.page(), url)
        assert await publishing.publish() is None
        await page.wait_for_function(CONNECTED)
        await eventually(lambda: publishing.count("PATCH", 204), what="candidates by PATCH")
        video = await page.evaluate(
            "whip.connection.getSenders().find((it) => it.track.kind === 'video').getParameters()"
        )
        assert video["codecs"][0]["mimeType"] == "video/VP8"
        assert video["encodings"][0]["scalabilityMode"] == "L1T3"
        assert video["encodings"][0]["maxFramerate"] == 24
        await page.evaluate("whip.stop()")
        await eventually(lambda: publishing.count("DELETE", 200), what="goodbye by DELETE")
        assert publishing.count("POST", 201) == 1


async def test_ice_servers_of_the_answer_are_used_with_their_credentials(bus, launch, settings):
    servers = "stun:127.0.0.1:9,turn:127.0.0.1:9?transport=udp"
    update = {"ice_servers": servers, "turn_username": "user", "turn_password": SecretStr("pass, word")}
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings.model_copy(update=update)) as url, ingest.running(bus, NODE):
        publishing = Publishing(page := await browser.page(), url)
        assert await publishing.publish() is None
        used = await page.evaluate("whip.connection.getConfiguration().iceServers")
        assert [(server["urls"], server.get("username"), server.get("credential")) for server in used] == [
            (["stun:127.0.0.1:9"], "", ""),
            (["turn:127.0.0.1:9?transport=udp"], "user", "pass, word"),
        ]
        await page.wait_for_function(CONNECTED)
        await page.evaluate("whip.stop()")


async def test_a_server_without_trickle_gets_a_whole_offer(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url, ingest.running(bus, NODE):
        publishing = Publishing(page := await browser.page(), url)
        offers: list[str] = []

        async def without_trickle(route: Route) -> None:
            if route.request.method == "PATCH":
                await route.fulfill(status=405)
                return
            if route.request.method == "POST":
                offers.append(route.request.post_data or "")
            await route.continue_()

        await page.route("**/v1/whip/**", without_trickle)
        assert await publishing.publish() is None
        await eventually(lambda: len(offers) == 2, what="a second offer")
        assert "a=candidate:" not in offers[0]
        assert "a=candidate:" in offers[1]
        await page.wait_for_function(CONNECTED)
        assert publishing.count("DELETE", 200) == 1
        await page.evaluate("whip.stop()")


async def test_refusals_carry_status_words_and_when_to_come_back(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url:
        publishing = Publishing(page := await browser.page(), url)
        full = await publishing.publish()
        assert full == {
            "name": "WhipError", "status": 503, "message": "no ingest node has room now", "retryAfter": 5,
        }  # fmt: skip
        denied = await publishing.publish(token="not-the-token")
        assert denied is not None
        assert (denied["status"], denied["retryAfter"]) == (401, None)
        assert await page.evaluate("whip.connection.connectionState") == "closed"


async def test_stopping_in_the_middle_leaves_nothing_behind(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url, ingest.running(bus, NODE) as node:
        publishing = Publishing(page := await browser.page(), url)

        async def stopped_meanwhile(route: Route) -> None:
            if route.request.method == "POST":
                await page.evaluate("whip.stop()")
            await route.continue_()

        await page.route("**/v1/whip/**", stopped_meanwhile)
        stopped = await publishing.publish()
        assert stopped is not None
        assert stopped["message"] == "Stopped."
        await eventually(lambda: publishing.count("DELETE", 200), what="goodbye by DELETE")
        await eventually(lambda: node.peers == [], what="no peer left")
        await expect(page.locator("#trouble")).to_be_visible()

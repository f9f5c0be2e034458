"""What a supervisor does on the page: keys, creating, ending, deleting, and losing the connection."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.async_api import Page, expect
from pydantic import SecretStr

from api.app import create_app
from api.service import serve_on
from api.settings import ApiSettings
from proto import subjects
from proto.views import SessionView
from runtime.bus import Bus
from runtime.health import listen
from tests.support.api import a_policy_dir, running_api
from tests.support.views import a_line, a_view, change, store

ADMIN, WATCHER = "admin-key-0123456789", "watcher-key-0123456789"


@asynccontextmanager
async def api_on(port: int, bus: Bus, settings: ApiSettings):
    """The api on a port that stays the same when it comes back."""
    stop = asyncio.Event()
    with listen("127.0.0.1", port) as sock:
        serving = asyncio.create_task(serve_on(sock, create_app(settings, bus), stop))
        try:
            yield sock.getsockname()[1]
        finally:
            stop.set()
            await asyncio.wait_for(serving, 20)


@pytest.fixture
def settings(tmp_path: Path) -> ApiSettings:
    return ApiSettings(policy_dir=a_policy_dir(tmp_path / "policies"))


@pytest.fixture
def keyed(settings: ApiSettings) -> ApiSettings:
    keys = SecretStr(f"admin:{ADMIN},supervise:{WATCHER}")
    return settings.model_copy(update={"keys": keys})


async def enter_key(page: Page, key: str) -> None:
    await page.get_by_label("Key", exact=True).fill(key)
    await page.get_by_role("button", name="Connect").click()


async def test_a_key_is_asked_for_refused_when_wrong_and_kept_in_this_tab_only(bus, browser, keyed):
    await store(bus, a_view("s1"))
    async with running_api(bus, keyed) as url:
        page = await browser.page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(url)
        await expect(page.locator("#key-dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Enter key").click()
        await enter_key(page, "not-the-key-0123456789")
        await expect(page.locator("#key-error")).to_contain_text("not accepted")
        await expect(page.locator("#connection-text")).to_have_text("Key needed")
        await enter_key(page, WATCHER)
        await expect(page.locator("#sessions .item")).to_have_count(1)
        await expect(page.locator("#connection-text")).to_have_text("Connected")
        assert await page.evaluate("[Object.values(sessionStorage), localStorage.length, document.cookie]") == [
            [WATCHER], 0, "",
        ]  # fmt: skip
        assert not [address for address in asked if "key" in address]

        await page.reload()
        await expect(page.locator("#sessions .item")).to_have_count(1)
        await page.get_by_role("button", name="Forget key").click()
        await expect(page.locator("#key-dialog")).to_be_visible()


async def test_what_a_key_may_not_do_is_said(bus, browser, keyed):
    async with running_api(bus, keyed) as url:
        page = await browser.page()
        await page.goto(url)
        await enter_key(page, WATCHER)
        await expect(page.locator("#connection-text")).to_have_text("Connected")
        await page.get_by_role("button", name="New session").click()
        await page.get_by_role("button", name="Create").click()
        await expect(page.locator("#create-error")).to_contain_text("Your key does not allow this.")
        await page.keyboard.press("Escape")
        await expect(page.locator("#create-dialog")).to_be_hidden()
        await expect(page.get_by_role("button", name="New session")).to_be_focused()


async def test_a_new_session_gives_the_candidates_link_once(bus, browser, settings):
    async with running_api(bus, settings) as url:
        page = await browser.page(permissions=["clipboard-read", "clipboard-write"])
        await page.goto(url)
        await page.get_by_role("button", name="New session").click()
        await page.get_by_label("Label your own name").fill("Interview 12")
        await page.keyboard.press("Enter")
        field = page.locator("#create-link")
        await expect(page.get_by_role("button", name="Copy")).to_be_focused()
        link = urlsplit(await field.input_value())
        session = parse_qs(link.query)["session"][0]
        token = parse_qs(link.fragment)["token"][0]
        assert link.path == "/candidate"
        assert len(token) >= 43
        await page.keyboard.press("Enter")
        await expect(page.locator("#copied")).to_have_text("Copied.")
        assert await page.evaluate("navigator.clipboard.readText()") == link.geturl()
        await page.keyboard.press("Escape")
        await expect(field).to_have_value("")
        async with httpx.AsyncClient(base_url=url) as client:
            state = (await client.get(f"/v1/sessions/{session}")).json()
        assert (state["label"], state["policy"]) == ("Interview 12", "standard")


async def test_an_unknown_policy_is_refused_with_the_reason(bus, browser, settings):
    async with running_api(bus, settings) as url:
        page = await browser.page()
        await page.goto(url)
        await page.get_by_role("button", name="New session").click()
        await page.get_by_label("Policy").fill("no-such-policy")
        await page.get_by_role("button", name="Create").click()
        await expect(page.locator("#create-error")).to_contain_text("known are: standard")


async def make(url: str, label: str) -> str:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.post("/v1/sessions", json={"label": label})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]


async def test_deleting_asks_first_and_then_nothing_is_left(bus, browser, settings):
    async with running_api(bus, settings) as url:
        session = await make(url, "To be erased")
        await store(bus, a_view(session, label="To be erased"))
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/{session}")
        await page.get_by_role("button", name="Delete").click()
        await expect(page.locator("#confirm-text")).to_contain_text("cannot be undone")
        await page.get_by_role("button", name="Cancel").click()
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get(f"/v1/sessions/{session}")).status_code == 200
            await page.get_by_role("button", name="Delete").click()
            await page.get_by_role("button", name="Delete everything").click()
            await expect(page.locator("#gone")).to_contain_text("The session was deleted.")
            assert (await client.get(f"/v1/sessions/{session}")).status_code == 404
        await expect(page.locator("#sessions .item")).to_have_count(0)


async def test_ending_asks_first(bus, browser, settings):
    async with running_api(bus, settings.model_copy(update={"settle_timeout_s": 0.2})) as url:
        session = await make(url, "To be ended")
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/{session}")
        await page.get_by_role("button", name="End session").click()
        await expect(page.locator("#confirm-text")).to_contain_text("cannot come back")
        await page.locator("#confirm-yes").click()
        await expect(page.locator("#confirm-dialog")).to_be_hidden()
        ended = await bus.last(subjects.LOG, subjects.log(session, "session.ended"))
        assert ended is not None


async def test_a_lost_server_is_said_and_what_was_missed_is_caught_up(bus, connect, browser, settings):
    view: SessionView = a_view("s1")
    await store(bus, view)
    page = await browser.page()
    async with api_on(0, await connect(), settings) as port:
        await page.goto(f"http://127.0.0.1:{port}/#/sessions/s1")
        await expect(page.locator("#connection-text")).to_have_text("Connected")
        await expect(page.locator(".hero-score b")).to_have_text("0")
    await expect(page.locator("#connection-text")).to_have_text("Reconnecting")
    await expect(page.locator("#announce")).to_have_text("The connection was lost. Reconnecting.")
    line = a_line(11, 300.0, "NO_FACE", 20.0, why="No face for 4.2 s.")
    view = await change(bus, view, score=20.0, level="medium", ledger=(line,))
    async with api_on(port, await connect(), settings):
        await expect(page.locator("#connection-text")).to_have_text("Connected")
        await expect(page.locator(".hero-score b")).to_have_text("20")
        await expect(page.locator("#ledger")).to_contain_text("No face for 4.2 s.")
        await change(bus, view, score=18.0)
        await expect(page.locator(".hero-score b")).to_have_text("18")
        await expect(page.locator("#ledger tbody tr")).to_have_count(1)

"""What a candidate reads before they agree is true of their own session, and without it they are asked for nothing."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import Page, expect

from api.settings import ApiSettings
from runtime.bus import Bus
from tests.support.api import a_policy_dir, create, running_api

SPY = """
window.asked = 0;
if (navigator.mediaDevices) navigator.mediaDevices.getUserMedia = async () => { window.asked += 1; };
"""
NOTICE = "**/v1/sessions/*/notice"


async def opened(browser, url: str, policy: str) -> Page:
    """The candidate page of a new session under this policy."""
    async with httpx.AsyncClient(base_url=url) as http:
        session = await create(http, policy=policy)
    page = await browser.page()
    await page.add_init_script(SPY)
    await page.goto(session["candidate_url"])
    return page


async def texts(page: Page) -> dict[str, str]:
    """What each list says, once it is there."""
    await expect(page.get_by_role("checkbox")).to_be_visible()
    return {name: await page.locator(f"#{name}").inner_text() for name in ("analysed", "not-analysed", "noted", "kept")}


async def test_the_standard_policy_says_that_emotions_are_off(bus: Bus, browser) -> None:
    async with running_api(bus) as url:
        page = await opened(browser, url, "standard")
        said = await texts(page)
        await expect(page.locator("#policy")).to_have_text("standard")
    assert "Emotions: off." in said["not-analysed"]
    assert "Emotions" not in said["analysed"]
    assert "stress" not in said["noted"]
    assert "What you say: on." in said["analysed"]
    assert "whispering" in said["noted"]
    assert "Stills and clips: on." in said["kept"]
    assert "at most 30 days" in said["kept"]
    assert "Things in view: on, if a detector for them is available." in said["analysed"]
    assert "only if one is registered for this interview" in said["analysed"]
    assert "Only that there is text, and where; not what it says." in said["analysed"]
    assert "a face unlike the reference picture, if one is registered" in said["noted"]


async def test_the_full_policy_says_that_emotions_are_on(bus: Bus, browser) -> None:
    async with running_api(bus) as url:
        said = await texts(await opened(browser, url, "full"))
    assert "Emotions: on." in said["analysed"]
    assert "Emotions" not in said["not-analysed"]
    assert "signs of stress" in said["noted"]


async def test_the_policy_for_the_eu_keeps_no_pictures(bus: Bus, browser) -> None:
    async with running_api(bus) as url:
        said = await texts(await opened(browser, url, "eu-recruitment"))
    assert "Stills and clips: off." in said["kept"]
    assert "stills and clips," not in said["kept"]
    assert "Emotions: off." in said["not-analysed"]


async def test_what_is_switched_off_is_said_to_be_off(bus: Bus, browser, tmp_path) -> None:
    silent = (
        'name = "silent"\n[analysis]\naudio = false\nfps = 2.0\nobjects_per_s = 0\nidentity_per_s = 0\ntext_per_s = 0\n'
    )
    settings = ApiSettings(policy_dir=a_policy_dir(tmp_path / "policies", silent=silent))
    async with running_api(bus, settings) as url:
        said = await texts(await opened(browser, url, "silent"))
    assert "Your voice: off." in said["not-analysed"]
    assert "What you say: off." in said["not-analysed"]
    assert "transcript" not in said["analysed"] + said["kept"]
    assert "Sound" not in said["kept"]
    assert "2 pictures a second" in said["analysed"]
    for off in ("Things in view: off.", "Your face: not compared with any picture.", "Readable text in view: off."):
        assert off in said["not-analysed"]
    for word in ("Things in view", "compared", "text"):
        assert word not in said["analysed"]


async def test_words_that_are_kept_are_said_to_be_kept(bus: Bus, browser, tmp_path) -> None:
    settings = ApiSettings(
        policy_dir=a_policy_dir(tmp_path / "p", reader='name = "reader"\n[analysis]\nkeep_text = true\n')
    )
    async with running_api(bus, settings) as url:
        said = await texts(await opened(browser, url, "reader"))
    assert "What is read is kept." in said["analysed"]


async def test_an_interview_that_is_over_asks_for_nothing(bus: Bus, browser) -> None:
    async with running_api(bus, ApiSettings(settle_timeout_s=0)) as url:
        async with httpx.AsyncClient(base_url=url) as http:
            session = await create(http)
            assert (await http.post(f"/v1/sessions/{session['id']}/end")).status_code in (200, 202)
        page = await browser.page()
        await page.add_init_script(SPY)
        await page.goto(session["candidate_url"])
        await expect(page.locator("#over-title")).to_have_text("This interview is over")
        await expect(page.get_by_role("checkbox")).to_be_hidden()
        assert await page.evaluate("window.asked") == 0


@pytest.mark.parametrize(
    ("status", "title"), [(0, "The server cannot be reached"), (503, "The server has a problem")], ids=["none", "503"]
)
async def test_without_the_notice_nothing_is_asked_until_it_comes(bus: Bus, browser, status: int, title: str) -> None:
    async with running_api(bus) as url:
        async with httpx.AsyncClient(base_url=url) as http:
            session = await create(http)
        page = await browser.page()
        await page.add_init_script(SPY)
        await page.route(NOTICE, lambda route: route.fulfill(status=status) if status else route.abort())
        await page.goto(session["candidate_url"])
        await expect(page.locator("#trouble")).to_contain_text(title)
        await expect(page.get_by_role("checkbox")).to_be_hidden()
        assert await page.evaluate("window.asked") == 0
        await page.unroute(NOTICE)
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("checkbox")).to_be_visible()
        await expect(page.locator("#trouble")).to_be_hidden()

"""What sessions lack here is on the supervisor's page, with the command that fetches it."""

from __future__ import annotations

import httpx
from playwright.async_api import expect

from runtime.health import RunsOn
from runtime.lifecycle import answering_health
from tests.browser.test_access import NAMELESS, POOR_CONTRAST, TOO_WIDE
from tests.support.api import running_api
from tests.support.views import an_eventful_view, store
from tests.support.wait import eventually

PULL = "candor models pull yolox-nano"
PHONE = {"width": 360, "height": 740}


async def told(url: str, missing: int) -> None:
    """The api has found as many missing features."""
    async with httpx.AsyncClient(base_url=url) as http:

        async def found() -> bool:
            return len((await http.get("/health")).json()["missing"]) == missing

        await eventually(found, 10)


async def test_missing_features_are_named_with_their_command(bus, connect, browser):
    worker = await connect()
    worker.health.set(
        "feature:objects", ok=False, detail="model <b>yolox-nano</b> is not here", critical=False, command=PULL
    )
    worker.health.set("feature:face", ok=True, critical=False)
    slow = RunsOn(
        model="face-mesh",
        provider="CPUExecutionProvider",
        wanted="CUDAExecutionProvider",
        reason="no driver",
        command="",
    )
    worker.health.runs_on(lambda: [slow])
    await store(bus, an_eventful_view("s1"))
    async with answering_health("vision", worker), running_api(bus) as url:
        await told(url, 1)
        for context in ({"color_scheme": "dark"}, {"viewport": PHONE}):
            page = await browser.page(**context)
            await page.goto(url)
            summary = page.locator("#system-summary")
            await expect(summary).to_have_text("1 feature not available here, 1 model slower than intended")
            # Quiet until somebody wants to know.
            await expect(page.locator("#system-list")).to_be_hidden()
            await summary.press("Enter")
            rows = page.locator("#system-list > li")
            await expect(rows).to_have_count(2)
            await expect(rows.first).to_contain_text("Phones and other objects")
            await expect(rows.first).to_contain_text("Model <b>yolox-nano</b> is not here.")
            await expect(rows.first.locator("code")).to_have_text(PULL)
            await expect(rows.last).to_contain_text(
                "wants CUDAExecutionProvider, runs on CPUExecutionProvider", ignore_case=True
            )
            await expect(rows.last.locator("code")).to_be_hidden()
            assert await page.evaluate(POOR_CONTRAST) == []
            assert await page.evaluate(TOO_WIDE) == []
            assert await page.evaluate(NAMELESS) == []


async def test_a_feature_that_came_back_is_no_longer_named(bus, connect, browser):
    worker = await connect()
    worker.health.set("feature:objects", ok=False, detail="gone", critical=False, command=PULL)
    async with answering_health("vision", worker), running_api(bus) as url:
        await told(url, 1)
        page = await browser.page()
        await page.clock.install()
        await page.goto(url)
        await expect(page.locator("#system")).to_be_visible()
        worker.health.set("feature:objects", ok=True, critical=False)
        await told(url, 0)
        await page.clock.fast_forward(31_000)
        await expect(page.locator("#system")).to_be_hidden()


async def test_nothing_is_said_where_nothing_is_missing(bus, connect, browser):
    worker = await connect()
    worker.health.set("feature:objects", ok=True, critical=False)
    async with answering_health("vision", worker), running_api(bus) as url:
        page = await browser.page()
        async with page.expect_response("**/health") as answered:
            await page.goto(url)
        assert (await (await answered.value).json())["missing"] == []
        await expect(page.locator("#list-empty")).to_contain_text("No sessions yet")
        await expect(page.locator("#system")).to_be_hidden()

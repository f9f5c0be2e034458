"""Both pages for everybody: keyboard alone, a small screen, dark and light, and colours that can be read."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.support.api import create, running_api
from tests.support.chromium import FAKE_MEDIA
from tests.support.views import a_view, an_eventful_view, change, store

PHONE = {"width": 360, "height": 740}
LAPTOP = {"width": 1366, "height": 800}

# WCAG 2.2, 1.4.3: every visible text against the first opaque ground behind it. Disabled controls are exempt.
POOR_CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const over = (top, a, under) => top.map((v, i) => v * a + under[i] * (1 - a));
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const [r, g, b, a = 1] = parse(getComputedStyle(element).backgroundColor);
    return a === 1 ? [r, g, b] : over([r, g, b], a, ground(element.parentElement));
  };
  const opacity = (element) => element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest(":disabled, .sr, noscript, option")) continue;
    const style = getComputedStyle(element);
    const [r, g, b, a = 1] = parse(element instanceof SVGElement ? style.fill : style.color);
    const behind = ground(element);
    const ink = over([r, g, b], a * opacity(element), behind);
    const [high, low] = [luminance(ink), luminance(behind)].sort((x, y) => y - x);
    const ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) poor.push(`${ratio.toFixed(2)} ${text.slice(0, 40)}`);
  }
  return poor;
}"""

# Elements that reach beyond the window, except inside a box that scrolls by itself.
TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const { width, right } = element.getBoundingClientRect();
  const shown = width > 0 && element.checkVisibility() && !element.closest(".scroll, .sr, .skip, svg");
  return shown && right > innerWidth + 1;
}).map((element) => element.outerHTML.slice(0, 80))"""

# Things one can press that say nothing to a screen reader.
NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, dialog, [role=region]")]
  .filter((element) => element.checkVisibility())
  .filter((element) => !element.getAttribute("aria-label") && !element.getAttribute("aria-labelledby"))
  .filter((element) => !element.textContent.trim() && !element.labels?.length)
  .map((element) => element.outerHTML.slice(0, 80))"""


async def readable(page: Page) -> None:
    assert await page.evaluate(POOR_CONTRAST) == []
    assert await page.evaluate(TOO_WIDE) == []
    assert await page.evaluate(NAMELESS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
async def test_the_dashboard_can_be_read(bus, browser, scheme, size):
    await store(bus, an_eventful_view("s1"), a_view("s2", status="stalled"), a_view("s3", score=90.0, level="critical"))
    async with running_api(bus) as url:
        page = await browser.page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        await page.goto(url)
        await expect(page.locator("#sessions .item")).to_have_count(3)
        await readable(page)
        await page.goto(f"{url}/#/sessions/s1")
        await expect(page.locator("#ledger tbody tr")).to_have_count(3)
        await page.get_by_text("Timeline as a table").click()
        await readable(page)
        await page.get_by_role("button", name="Delete").click()
        await readable(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
async def test_the_candidates_page_can_be_read(bus, launch, scheme, size):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus) as url:
        page = await browser.page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        async with httpx.AsyncClient(base_url=url) as http:
            session = await create(http)
        await page.goto(session["candidate_url"])
        await expect(page.get_by_role("checkbox")).to_be_visible()
        await readable(page)
        await page.get_by_role("checkbox").check()
        await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_role("button", name="Join the interview")).to_be_visible()
        await readable(page)
        await page.get_by_role("button", name="Join the interview").click()
        await expect(page.locator("#trouble")).to_contain_text("No room at the moment")
        await readable(page)
        await page.get_by_role("button", name="Leave").click()
        await expect(page.locator("#over")).to_be_visible()
        await readable(page)


async def test_the_dashboard_works_with_the_keyboard_alone(bus, browser):
    await store(bus, a_view("s1", score=40.0), a_view("s2"))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(url)
        await expect(page.locator("#sessions .item")).to_have_count(2)
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Skip to the session")).to_be_focused()
        await page.locator("#search").focus()
        for _ in range(5):
            await page.keyboard.press("Tab")
        await expect(page.locator("#sessions .item").first).to_be_focused()
        await page.keyboard.press("ArrowDown")
        await expect(page.locator("#sessions .item").nth(1)).to_be_focused()
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        await page.keyboard.press("Enter")
        await expect(page.locator("#detail-title")).to_have_text("Interview s2")
        await expect(page.locator("#detail-title")).to_be_focused()
        await expect(page.locator("#sessions .item").nth(1)).to_have_attribute("aria-current", "true")
        await page.locator("#skip").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await expect(page.locator("#detail-title")).to_have_text("Interview s2")
        await page.get_by_role("button", name="Delete").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#confirm-dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Delete")).to_be_focused()


async def test_a_focused_row_keeps_the_focus_when_the_list_is_reordered(bus, browser):
    await store(bus, a_view("s1", score=40.0), second := a_view("s2"))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(url)
        row = page.locator(".item", has_text="Interview s2")
        await row.focus()
        await change(bus, second, score=80.0, level="critical")
        await expect(page.locator("#sessions .item-label").first).to_have_text("Interview s2")
        await expect(row).to_be_focused()


async def test_on_a_phone_one_goes_from_list_to_session_and_back(bus, browser):
    await store(bus, a_view("s1"))
    async with running_api(bus) as url:
        page = await browser.page(viewport=PHONE, has_touch=True)
        await page.goto(url)
        await expect(page.locator("main")).to_be_hidden()
        await page.locator("#sessions .item").tap()
        await expect(page.locator("#detail-title")).to_be_visible()
        await expect(page.locator("#sessions")).to_be_hidden()
        await page.get_by_role("button", name="All sessions").tap()
        await expect(page.locator("#sessions .item")).to_be_visible()
        await page.go_back()
        await expect(page.locator("main")).to_be_hidden()

"""The candidate's page in a real Chromium: consent, devices, a recorded face through the pipe, and every failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, expect

from aggregator import service as aggregator
from aggregator.settings import AggregatorSettings
from api.settings import ApiSettings
from inference.vision import service as vision
from inference.vision.settings import VisionSettings
from ingest.settings import IngestSettings
from proto import codec, subjects
from proto.observations import FrameSeen, SourceLost, SourceUp
from runtime.bus import Bus
from tests.support import ingest
from tests.support.api import a_policy_dir, running_api
from tests.support.camera import as_camera
from tests.support.chromium import FAKE_MEDIA, recorded
from tests.support.wait import eventually

NODE = IngestSettings(ice_loopback=True, drain_s=1.0)

# Counts what is asked of the browser, and lets a test say what it answers.
SPY = """
window.asked = 0;
const real = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (real) navigator.mediaDevices.getUserMedia = async (wish) => {
  window.asked += 1;
  if (window.refuseWith) throw new DOMException("", window.refuseWith);
  return real(wish);
};
"""


@pytest.fixture
def settings(tmp_path: Path) -> ApiSettings:
    return ApiSettings(policy_dir=a_policy_dir(tmp_path / "policies"))


async def create(url: str) -> dict[str, str]:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.post("/v1/sessions", json={"label": "Recorded face"})
        assert answer.status_code == 201, answer.text
        return answer.json()


async def observed(bus: Bus, session: str, kind: type) -> list:
    subject = subjects.log(session, kind.__struct_config__.tag)
    return [codec.decode(delivery.data, kind) async for delivery in bus.read(subjects.LOG, subject)]


async def consent(page: Page) -> None:
    await page.get_by_role("checkbox").check()
    await page.get_by_role("button", name="Continue").click()


async def join(page: Page) -> None:
    await consent(page)
    await page.get_by_role("button", name="Join the interview").click()


@asynccontextmanager
async def serving(serve, settings, bus: Bus) -> AsyncIterator[None]:
    """A service that runs for a test, drained at its end."""
    stop = asyncio.Event()
    task = asyncio.create_task(serve(settings, bus, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def test_nothing_is_asked_of_the_camera_before_consent(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url:
        page = await browser.page()
        await page.add_init_script(SPY)
        await page.goto((await create(url))["candidate_url"])
        for promise in ("A human decides", "Emotions: off.", "for at most 30 days", "never counts against you"):
            await expect(page.get_by_text(promise, exact=False).first).to_be_visible()
        await expect(page.get_by_role("button", name="Continue")).to_be_disabled()
        assert await page.evaluate("window.asked") == 0
        await consent(page)
        await expect(page.get_by_label("Camera", exact=True)).to_be_visible()
        assert await page.evaluate("window.asked") == 1
        await expect(page.locator("#camera option")).not_to_have_count(0)
        await expect(page.locator("#heard")).to_have_text("Your microphone works.")
        playing = "() => document.querySelector('#devices video').videoWidth > 0"
        await page.wait_for_function(playing)


async def test_another_microphone_can_be_chosen(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url:
        page = await browser.page()
        await page.goto((await create(url))["candidate_url"])
        await consent(page)
        choices = page.locator("#microphone option")
        await expect(choices).not_to_have_count(1)
        other = await choices.last.get_attribute("value")
        await page.get_by_label("Microphone", exact=True).select_option(other)
        track = "document.querySelector('#devices video').srcObject?.getAudioTracks()[0]"
        await page.wait_for_function(f"(id) => {track}?.getSettings().deviceId === id", arg=other)


async def test_a_recorded_face_goes_through_to_the_supervisors_page(bus, launch, media, tmp_path):
    camera, microphone = as_camera(media / "video" / "talking_head_8s.mp4", tmp_path)
    browser = await launch(*recorded(camera, microphone))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(running_api(bus))
        await stack.enter_async_context(ingest.running(bus, NODE))
        await stack.enter_async_context(serving(vision.serve, VisionSettings(), bus))
        await stack.enter_async_context(serving(aggregator.serve, AggregatorSettings(), bus))
        session = await create(url)
        supervisor = await browser.page()
        await supervisor.goto(f"{url}/#/sessions/{session['id']}")
        await expect(supervisor.locator(".hero")).to_contain_text("The candidate has not joined yet.")

        page = await browser.page()
        await page.goto(session["candidate_url"])
        await join(page)
        await expect(page.locator("#state-text")).to_have_text("Connected")
        await expect(page.locator("#sending")).to_contain_text("are being sent")

        async def seen() -> list[FrameSeen]:
            frames = await observed(bus, session["id"], FrameSeen)
            return [frame for frame in frames if len(frame.faces) == 1]

        faces = await eventually(lambda: _at_least(seen, 5), 60, "five frames with one face")
        assert all(frame.quality.problems == () for frame in faces)
        await expect(supervisor.locator(".head-meta")).to_contain_text("Live")
        await expect(supervisor.locator(".measures div", has_text="Face in view")).to_contain_text(
            "100 %", timeout=30_000
        )

        await page.get_by_role("button", name="Leave").click()
        await expect(page.locator("#over-title")).to_have_text("You have left the interview")
        lost = await eventually(lambda: observed(bus, session["id"], SourceLost), 10, "the peer's farewell")
        assert lost[0].reason == "closed"


async def _at_least(read, count: int) -> list:
    found = await read()
    return found if len(found) >= count else []


async def test_closing_the_page_says_goodbye(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url, ingest.running(bus, NODE):
        session = await create(url)
        page = await browser.page()
        await page.goto(session["candidate_url"])
        await join(page)
        await expect(page.locator("#state-text")).to_have_text("Connected")
        await page.close(run_before_unload=True)
        lost = await eventually(lambda: observed(bus, session["id"], SourceLost), 10, "the peer's farewell")
        assert lost[0].reason == "closed"


async def test_a_lost_node_is_replaced_without_the_candidate_doing_anything(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url:
        session = await create(url)
        page = await browser.page()
        async with ingest.running(bus, NODE):
            await page.goto(session["candidate_url"])
            await join(page)
            await expect(page.locator("#state-text")).to_have_text("Connected")
        await expect(page.locator("#trouble")).to_contain_text("Next try in")
        await expect(page.locator("#sending")).to_contain_text("Nothing is being sent")
        async with ingest.running(bus, NODE):
            await expect(page.locator("#state-text")).to_have_text("Connected", timeout=30_000)
            await expect(page.locator("#trouble")).to_be_hidden()
            assert len(await observed(bus, session["id"], SourceUp)) == 2
            await page.get_by_role("button", name="Leave").click()
            await expect(page.locator("#over")).to_be_visible()


async def test_no_room_counts_down_and_joins_when_there_is(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url:
        page = await browser.page()
        await page.goto((await create(url))["candidate_url"])
        await join(page)
        await expect(page.locator("#trouble")).to_contain_text("No room at the moment")
        await expect(page.locator("#countdown")).to_have_text("Next try in 4 s.")
        async with ingest.running(bus, NODE):
            await page.get_by_role("button", name="Try again").click()
            await expect(page.locator("#state-text")).to_have_text("Connected")
            await page.get_by_role("button", name="Leave").click()
            await expect(page.locator("#over")).to_be_visible()


async def test_a_session_that_ends_meanwhile_is_said_to_be_over(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url, ingest.running(bus, NODE):
        session = await create(url)
        page = await browser.page()
        await page.goto(session["candidate_url"])
        await join(page)
        await expect(page.locator("#state-text")).to_have_text("Connected")
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.post(f"/v1/sessions/{session['id']}/end")).status_code in (200, 202)
        await expect(page.locator("#over-title")).to_have_text("This interview is over", timeout=30_000)
        await expect(page.locator("#again")).to_be_hidden()
        off = "() => [...document.querySelectorAll('video')].every((video) => video.srcObject === null)"
        await page.wait_for_function(off)


@pytest.mark.parametrize(
    ("change", "title"),
    [
        (lambda link: link.replace("#token=", "#token=x"), "This link does not let you in"),
        (lambda link: link.replace("session=", "session=zz"), "There is no such interview"),
    ],
    ids=["wrong token", "no such session"],
)
async def test_a_link_that_does_not_fit_is_said(bus, launch, settings, change, title):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url:
        page = await browser.page()
        await page.add_init_script(SPY)
        await page.goto(change((await create(url))["candidate_url"]))
        await expect(page.locator("#over-title")).to_have_text(title)
        await expect(page.get_by_role("checkbox")).to_be_hidden()
        assert await page.evaluate("window.asked") == 0


async def test_an_incomplete_link_is_said_before_anything_is_asked(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url:
        page = await browser.page()
        await page.goto((await create(url))["candidate_url"].partition("#")[0])
        await expect(page.locator("#trouble")).to_contain_text("This link is not complete")
        await expect(page.get_by_role("checkbox")).to_be_hidden()


async def test_a_page_without_tls_says_why_it_cannot_work(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA, "--host-resolver-rules=MAP candor.test 127.0.0.1")
    async with running_api(bus, settings.model_copy(update={"allowed_hosts": "candor.test"})) as url:
        page = await browser.page()
        await page.goto((await create(url))["candidate_url"].replace("127.0.0.1", "candor.test"))
        await expect(page.locator("#trouble")).to_contain_text("https://")


async def test_no_permission_is_said_and_can_be_tried_again(bus, launch, settings):
    # Without the flag that accepts for the user, a headless browser refuses.
    browser = await launch("--use-fake-device-for-media-stream")
    async with running_api(bus, settings) as url:
        page = await browser.page()
        await page.goto((await create(url))["candidate_url"])
        await consent(page)
        await expect(page.locator("#trouble")).to_contain_text("may not use your camera or microphone")
        await page.context.grant_permissions(["camera", "microphone"])
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("button", name="Join the interview")).to_be_visible()
        await expect(page.locator("#trouble")).to_be_hidden()


async def test_no_camera_is_said(bus, launch, settings):
    browser = await launch("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=device-count=0")
    async with running_api(bus, settings) as url:
        page = await browser.page()
        await page.goto((await create(url))["candidate_url"])
        await consent(page)
        await expect(page.locator("#trouble")).to_contain_text("No camera or microphone was found")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("NotReadableError", "Your camera or microphone is in use"),
        ("OverconstrainedError", "The chosen device is gone"),
        ("TypeError", "could not be started"),
    ],
)
async def test_a_device_that_fails_is_said_and_can_be_tried_again(bus, launch, settings, name, title):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url:
        page = await browser.page()
        await page.add_init_script(SPY + f"window.refuseWith = '{name}';")
        await page.goto((await create(url))["candidate_url"])
        await consent(page)
        await expect(page.locator("#trouble")).to_contain_text(title)
        await page.evaluate("window.refuseWith = null")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("button", name="Join the interview")).to_be_visible()


async def test_a_network_that_is_gone_is_said(bus, launch, settings):
    browser = await launch(*FAKE_MEDIA)
    async with running_api(bus, settings) as url, ingest.running(bus, NODE):
        page = await browser.page()
        await page.goto((await create(url))["candidate_url"])
        await consent(page)
        await page.context.set_offline(True)
        await page.get_by_role("button", name="Join the interview").click()
        await expect(page.locator("#trouble")).to_contain_text("The server cannot be reached")
        await page.context.set_offline(False)
        await expect(page.locator("#state-text")).to_have_text("Connected")
        await page.get_by_role("button", name="Leave").click()
        await expect(page.locator("#over")).to_be_visible()

"""What is looked at now and then, as the supervisor sees it: identity, expression, text, and what is missing."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from proto.views import Abstention, Feature, Measures, Watch
from runtime.bus import Bus
from tests.support.api import running_api
from tests.support.views import a_line, a_view, an_alert, an_episode, change, store

NAMES = ("HAPPY", "CALM", "CONFUSED", "SURPRISED", "SAD", "ANGRY", "DISGUSTED", "FEAR")
NOW = dict(zip(NAMES, (61.4, 20.0, 8.6, 4.0, 3.0, 1.5, 1.0, 0.5), strict=True))
MEAN = dict(zip(NAMES, (18.0, 70.0, 4.0, 3.0, 2.0, 1.0, 1.0, 1.0), strict=True))
SEEN = Measures(
    frames_seen=1500, face_share=0.98, identity_pct=79.6, identity_checks=140, identity_failures=5,
    identity_undecided=10, expression=NOW, expression_mean=MEAN, expression_model="geometry", text_looks=30,
    text_found=4, abstained=(Abstention(signal="gaze", share=0.4, reason="small"),),
)  # fmt: skip
UNLIKE = a_line(
    9, 200.0, "IDENTITY_MISMATCH", 25.0, "critical",
    "A face unlike the reference picture for 4.0 s. The last look: 41 % alike.",
)  # fmt: skip
TEXT = an_episode("TEXT_IN_VIEW", 250.0, None, "info", "Readable text in view for 10.0 s. Lines: 2; the surest 93 %.")
MISSING = (
    Feature(name="objects", available=False, reason="yolox-nano is not here", command="candor models pull yolox-nano"),
    Feature(name="text", available=False, reason="switched off for all sessions"),
)


def watch(state: str, reason: str = "") -> Watch:
    return Watch(rule="IDENTITY_MISMATCH", severity="critical", weight=25.0, state=state, reason=reason)


async def test_identity_expression_and_text_are_shown_as_far_as_they_were_measured(bus: Bus, browser) -> None:
    view = a_view(
        "s1", measures=SEEN, ledger=(UNLIKE,), alerts=(an_alert("s1", UNLIKE),), active=(TEXT,), timeline=(TEXT,),
        features=MISSING, rules=(watch("watched"),), score=14.0,
    )  # fmt: skip
    await store(bus, view)
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        identity = page.locator("#identity")
        for told in ("79 %", "140", "Could not tell"):
            await expect(identity).to_contain_text(told)
        await expect(identity.locator("dd")).to_have_text(["79 %", "140", "5", "10"])
        await expect(page.locator("#ledger")).to_contain_text("Face unlike the reference picture")
        await expect(page.locator(".measures").first).to_contain_text("in 4 of 30 looks")

        await expect(page.locator(".abstained li")).to_have_text(
            ["Where the eyes look: could not tell for 40 % of the faces, mostly because the face was too small."]
        )

        bars = page.locator("#expression .bars li")
        await expect(bars).to_have_count(8)
        await expect(bars.first).to_have_text("Happy61 %18 % so far")
        await expect(page.locator("#expression")).to_contain_text("Estimate")
        assert await bars.first.locator("i").evaluate("bar => bar.style.width") == "61.4%"

        missing = page.locator(".features")
        await expect(missing).to_contain_text("Phones and other objects")
        await expect(missing).to_contain_text("candor models pull yolox-nano")
        body = (await page.locator("#detail").inner_text()).lower()
        for word in ("mismatch", "suspicious", "cheat", "fraud", "imposter", "impostor"):
            assert word not in body

        # A model takes over, and then the face is turned: what was is still told, and that it is not of now.
        later = Measures(frames_seen=1600, expression_mean=MEAN, expression_model="fer", identity_undecided=3)
        await change(bus, view, measures=later)
        await expect(page.locator("#expression")).to_contain_text("From a model")
        await expect(page.locator("#expression")).to_contain_text("Not seen at the moment")
        await expect(bars.first).to_have_text("Happy18 %")
        await expect(identity.locator("dd")).to_have_text(["not measured", "0", "0", "3"])


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        ((watch("not_measured", "no reference face is registered"),), "Not measured: no reference face is registered."),
        ((watch("off", "the policy has this rule disabled"),), None),
        ((), None),
    ],
    ids=["no reference", "off", "no rule"],
)
async def test_what_is_not_looked_at_is_not_there(bus: Bus, browser, rules: tuple[Watch, ...], shown: str) -> None:
    await store(bus, a_view("s1", rules=rules))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        await expect(page.locator(".measures").first).to_be_visible()
        await expect(page.locator("#expression")).to_be_hidden()
        await expect(page.locator(".abstained")).to_be_hidden()
        if shown is None:
            await expect(page.locator("#identity")).to_be_hidden()
        else:
            await expect(page.locator("#identity")).to_contain_text(shown)

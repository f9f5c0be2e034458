"""The supervisor's page in a real Chromium, on the real api and a real nats-server."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
import simplejpeg
from playwright.async_api import Page, expect

from ingest.clip import make_clip
from ingest.picture import Picture
from ingest.video import Sampled
from proto import subjects
from proto.observations import EvidenceStored, SessionCreated, Word, WordsCommitted
from proto.views import Committed, CouldNotTell, Feature, SessionView, Tentative
from runtime.bus import Bus
from tests.support.api import running_api
from tests.support.chromium import Watched
from tests.support.clips import encode_jpeg, picture, scaled
from tests.support.views import (
    a_line,
    a_view,
    an_alert,
    an_episode,
    an_eventful_view,
    change,
    store,
)
from tests.support.wait import eventually

STILL = "a1.jpg"


async def labels(page: Page) -> list[str]:
    return await page.locator("#sessions .item-label").all_inner_texts()


async def created(bus: Bus, session: str) -> None:
    """What the api logs for a session, so that its log can be asked."""
    await bus.observe(
        SessionCreated(
            session=session,
            source="api",
            seq=0,
            t_s=0.0,
            created_unix_s=1.0,
            policy_name="standard",
            policy_toml='name = "standard"',
            token_sha256="0" * 64,
        )
    )


def words(session: str, seq: int, text: str, start_s: float = 12.0) -> WordsCommitted:
    word = Word(text=text, start_s=start_s, end_s=start_s + 1.0, probability=0.9)
    return WordsCommitted(
        session=session,
        source="speech",
        seq=seq,
        t_s=start_s,
        utterance=seq,
        words=(word,),
        language="en",
        model="tiny",
        final=True,
        heard_until_s=start_s + 1.0,
    )


async def keep(bus: Bus, view: SessionView, name: str, media_type: str, data: bytes) -> None:
    """Evidence of the view's first alert, as ingest stores it, and the view that names it."""
    await (await bus.objects(subjects.OBJECTS_EVIDENCE)).put(subjects.evidence(view.session, name), data)
    await bus.observe(
        EvidenceStored(
            session=view.session, source="ingest", seq=0, t_s=view.alerts[0].t_s, alert_id=view.alerts[0].id, name=name,
            media_type=media_type, sha256=sha256(data).hexdigest(), size_bytes=len(data),
        )
    )  # fmt: skip
    await store(bus, msgspec.structs.replace(view, evidence=(name,)))


async def test_the_list_is_sorted_by_risk_and_says_so_in_words(bus, browser):
    await store(
        bus,
        a_view("calm"),
        a_view(
            "risky", score=62.4, level="high", review_recommended=True, active=(an_episode("NO_FACE", 290.0, None),)
        ),
        a_view("dim", could_not_tell=CouldNotTell(active=True, reasons=("dark",), total_s=4.0), score=3.0),
        a_view("past", status="ended", score=90.0, level="critical"),
    )
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(url)
        await expect(page.locator("#sessions .item")).to_have_count(3)
        assert await labels(page) == ["Interview risky", "Interview dim", "Interview calm"]
        first = page.locator("#sessions .item").first
        for text in ("62", "High", "Review recommended", "No face in view", "Live", "5:00"):
            await expect(first).to_contain_text(text)
        await expect(page.locator(".item", has_text="Interview dim")).to_contain_text("Could not tell")

        await page.get_by_role("button", name="To review").click()
        assert await labels(page) == ["Interview risky"]
        await page.get_by_role("button", name="All").click()
        assert (await labels(page))[-1] == "Interview past"
        await page.get_by_label("Find by label or id").fill("CALM")
        assert await labels(page) == ["Interview calm"]
        await page.get_by_label("Find by label or id").fill("nobody")
        await expect(page.locator("#list-empty")).to_have_text("No session matches.")


async def test_a_filter_without_sessions_says_which_there_are_none_of(bus, browser):
    once = CouldNotTell(active=False, reasons=(), total_s=4.0)
    await store(bus, a_view("past", status="ended", peak_score=40.0, could_not_tell=once))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/past")
        await expect(page.locator("#list-empty")).to_have_text("No session is open.")
        await page.get_by_role("button", name="To review").click()
        await expect(page.locator("#list-empty")).to_have_text("No session asks for a review.")
        # Of a session that is over, nothing is said to go on.
        await expect(page.locator(".hero")).to_contain_text("Highest: 40")
        await expect(page.locator(".unsure")).to_contain_text("Could not tell for 4 s")
        await expect(page.locator(".unsure")).not_to_contain_text("so far")


async def test_what_is_for_the_record_asks_nobody_to_look(bus, browser):
    lost = a_line(11, 300.0, "SOURCE_LOST", 0.0, "info", "Connection lost.")
    seen = a_line(9, 200.0, "NO_FACE")
    await store(bus, a_view("s1", ledger=(seen, lost), alerts=(an_alert("s1", seen), an_alert("s1", lost))))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        await expect(page.locator("#ledger tbody tr")).to_have_count(2)
        await expect(page.locator(".alerts li")).to_have_count(1)
        await expect(page.locator(".alerts li")).to_contain_text("No face in view")


async def test_while_nothing_can_be_judged_nothing_else_is_claimed(bus, browser):
    blind = CouldNotTell(active=True, reasons=("dark", "face_hidden"), total_s=4.0)
    await store(bus, a_view("s1", could_not_tell=blind))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        await expect(page.locator(".hero")).to_contain_text("Nothing can be judged at the moment.")
        await expect(page.locator(".unsure")).to_contain_text("too dark and the face cannot be seen")


async def test_changes_appear_and_reorder_the_list_while_it_is_open(bus, browser):
    await store(bus, a_view("one", score=10.0), first := a_view("two"))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(url)
        await expect(page.locator("#sessions .item-label").first).to_have_text("Interview one")
        line = a_line(11, 300.0, "MULTIPLE_FACES", 25.0, "critical")
        await change(bus, first, score=25.0, level="medium", ledger=(line,))
        await expect(page.locator("#sessions .item-label").first).to_have_text("Interview two")
        await expect(page.locator("#sessions .item").first).to_contain_text("Medium")
        await store(bus, a_view("three"))
        await change(bus, a_view("three"), score=80.0, level="critical")
        await expect(page.locator("#sessions .item-label").first).to_have_text("Interview three")


async def test_a_session_explains_every_point_of_its_score(bus, browser):
    await store(bus, view := an_eventful_view("s1"))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        await expect(page.locator(".hero-score b")).to_have_text("30")
        rows = await page.locator("#ledger tbody tr").all_inner_texts()
        assert [row.split()[0] for row in rows] == ["+15", "+25", "+10"]
        assert "Two faces in view for 2.4 s." in rows[1]
        assert "Halves every 2 min." in rows[1]
        # What each line still counts is worked out by the page; together it is the score the aggregator gave.
        counted = [float(row.split()[-1]) for row in rows]
        assert counted == [15.0, 12.5, 2.5]
        assert sum(counted) == view.score
        await expect(page.locator("#ledger tfoot td")).to_have_text("30")
        await expect(page.locator(".hero")).to_contain_text("Highest so far: 37")


async def test_a_session_says_what_it_could_not_tell_and_what_was_not_measured(bus, browser):
    await store(bus, an_eventful_view("s1"))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        unsure = page.locator(".unsure")
        await expect(unsure).to_contain_text("Could not tell: the picture is too dark")
        await expect(unsure).to_contain_text("It says nothing about the candidate.")
        measures = page.locator(".measures")
        await expect(measures.locator("div", has_text="Words per minute")).to_contain_text("not measured")
        await expect(measures.locator("div", has_text="Face in view")).to_contain_text("96 %")
        features = page.locator(".features")
        await expect(features).to_contain_text("candor models pull objects")
        await expect(features.locator("li")).to_have_count(1)
        text = (await page.locator("body").inner_text()).lower()
        for unfair in ("cheat", "fraud", "guilty", "suspicious", "violation", "caught"):
            assert unfair not in text
        assert "never decides" in text


async def test_the_timeline_has_a_lane_for_each_kind_and_a_table(bus, browser):
    await store(bus, an_eventful_view("s1"))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        lanes = page.locator(".lane-name")
        await expect(lanes).to_have_text(
            ["More than one face", "Eyes off the screen", "Head turned away", "Could not tell"]
        )
        await page.get_by_text("Timeline as a table").click()
        rows = page.locator("#episodes tbody tr")
        await expect(rows).to_have_count(4)
        await expect(rows.first).to_contain_text("still going on")
        look_up = page.get_by_label("Look up a moment")
        await look_up.fill("600")
        await expect(page.locator(".lookup output")).to_have_text("3:00: score 30 · More than one face")
        await look_up.press("ArrowLeft")
        await expect(page.locator(".lookup output")).to_contain_text("2:59: score 5")
        await page.locator("#ledger").get_by_role("button", name="1:00").click()
        await expect(page.locator(".lookup output")).to_have_text("1:00: score 10 · Head turned away")


async def test_a_session_goes_on_live_with_lines_alerts_and_episodes(bus, browser):
    await store(bus, view := an_eventful_view("s1"))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        await expect(page.locator("#ledger tbody tr")).to_have_count(3)
        line = a_line(1001, 301.0, "PHONE_DETECTED", 30.0, "critical", "A phone in view for 1.2 s.")
        phone = an_episode("PHONE_DETECTED", 300.0, None, "critical")
        view = await change(
            bus, view, score=59.0, level="high", review_recommended=True, review_s=301.0, clock_s=301.0,
            ledger=(line,), timeline=(phone,), alerts=(an_alert("s1", line),),
        )  # fmt: skip
        await expect(page.locator("#ledger tbody tr").first).to_contain_text("A phone in view for 1.2 s.")
        await expect(page.locator(".hero")).to_contain_text("A human review is recommended since 5:01")
        await expect(page.locator(".lane-name", has_text="Phone in view")).to_be_visible()
        await expect(page.locator(".alerts > li").first).to_contain_text("Please have a look.")
        await expect(page.locator("#announce")).to_have_text("Phone in view. Score 59.")
        await change(bus, view, timeline=(msgspec.structs.replace(phone, end_s=303.0),), active=(), clock_s=303.0)
        await page.get_by_text("Timeline as a table").click()
        await expect(page.locator("#episodes tbody tr").first).to_contain_text("5:03")


async def test_the_transcript_grows_as_it_is_spoken(bus, browser):
    await store(bus, a_view("s1"))
    await created(bus, "s1")
    await bus.observe(words("s1", 0, "Good morning."))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        said = page.locator(".transcript p")
        await expect(said).to_have_text(["0:12Good morning."])
        await bus.publish(
            subjects.live("s1"), Tentative(session="s1", utterance=1, start_s=20.0, text="I am an engine")
        )
        await expect(page.locator(".transcript .tentative")).to_have_text("0:20I am an engine")
        observed = words("s1", 1, "I am an engineer.", 20.0)
        await bus.observe(observed)
        await bus.publish(
            subjects.live("s1"),
            Committed(session="s1", utterance=1, start_s=20.0, end_s=21.0, text="I am an engineer."),
        )
        await expect(said).to_have_text(["0:12Good morning.", "0:20I am an engineer."])
        await expect(page.locator(".transcript .tentative")).to_have_count(0)
        await page.reload()
        await expect(said).to_have_text(["0:12Good morning.", "0:20I am an engineer."])


async def test_a_missing_transcript_is_not_taken_for_silence(bus, browser):
    feature = Feature(name="transcript", available=False, reason="no model is here", command="candor models pull x")
    await store(bus, a_view("s1", features=(feature,)))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        await expect(page.get_by_text("There is no transcript: no model is here.")).to_be_visible()
        await expect(page.get_by_text("Nothing was said")).to_have_count(0)


async def test_stills_are_shown_beside_their_alert(bus, browser: Watched, media):
    view = an_eventful_view("s1")
    await created(bus, "s1")
    await keep(bus, view, STILL, "image/jpeg", encode_jpeg(picture(media / "photos" / "two_people.jpg")))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        still = page.get_by_role("button", name="Still of More than one face at 3:00: enlarge")
        await expect(still.locator("canvas")).to_be_visible()
        await still.click()
        large = page.locator("#evidence-view canvas")
        await expect(large).to_be_visible()
        pixels = "(it) => it.getContext('2d').getImageData(0, 0, it.width, it.height).data"
        assert await large.evaluate(f"(it) => ({pixels})(it).some((value) => value > 0 && value < 255)")
        await page.keyboard.press("Escape")
        await expect(page.locator("#evidence-dialog")).to_be_hidden()
        await expect(still).to_be_focused()


async def test_a_clip_plays(bus, browser, media):
    jpeg = encode_jpeg(scaled(picture(media / "photos" / "two_people.jpg"), 320))
    height_px, width_px = simplejpeg.decode_jpeg(jpeg).shape[:2]
    shown = Picture(width_px=width_px - width_px % 2, height_px=height_px - height_px % 2, jpeg=jpeg)
    clip = make_clip([Sampled(t_s=number / 5, received_unix_s=0.0, picture=shown) for number in range(10)])
    view = an_eventful_view("s1")
    await created(bus, "s1")
    await keep(bus, view, "a1.mp4", "video/mp4", clip)
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        await page.get_by_role("button", name="Clip of More than one face at 3:00: enlarge").click()
        await page.wait_for_function("() => document.querySelector('#evidence-view video')?.currentTime > 0")
        await page.get_by_role("button", name="Close").click()
        await expect(page.locator("#evidence-view video")).to_have_count(0)


async def test_data_is_text_and_never_markup(bus, browser):
    nasty = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
    line = a_line(5, 10.0, "NO_FACE", 20.0, why=nasty)
    await store(bus, a_view("s1", label=nasty, ledger=(line,), alerts=(an_alert("s1", line),)))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        await expect(page.locator("#detail-title")).to_have_text(nasty)
        await expect(page.locator("#ledger .why")).to_contain_text(nasty)
        assert await page.locator("main img, main b:text('bold'), #sessions img").count() == 0


async def test_a_thousand_sessions_do_not_fill_the_page(bus, browser):
    many = [a_view(f"s{number:04}", score=number % 90) for number in range(1050)]
    await store(bus, *many)
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(url)
        rows = page.locator("#sessions > li")
        await expect(rows).to_have_count(50)
        await expect(page.locator("[data-filter=all] .tally")).to_have_text("1000")
        await page.get_by_role("button", name="Show more").click()
        await expect(rows).to_have_count(100)


async def test_a_session_that_is_not_there_is_said(bus, browser):
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/nobody")
        await expect(page.locator("#gone")).to_contain_text("There is no such session")
        await expect(page.locator("#list-empty")).to_contain_text("No sessions yet")


@pytest.mark.parametrize("count", [700])
async def test_a_long_ledger_stays_bounded_and_says_what_is_left_out(bus, browser, count):
    ledger = tuple(a_line(number, number / 10, "LOOKING_AWAY", 1.0, "medium") for number in range(count))
    await store(bus, a_view("s1", ledger=ledger, ledger_dropped=3))
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        await expect(page.locator("#ledger tbody tr")).to_have_count(200)
        await expect(page.get_by_text("older lines not shown")).to_be_visible()


async def test_the_feed_reaches_a_second_supervisor_too(bus, browser):
    await store(bus, view := a_view("s1"))
    async with running_api(bus) as url:
        pages = [await browser.page() for _ in range(2)]
        for page in pages:
            await page.goto(f"{url}/#/sessions/s1")
            await expect(page.locator("#connection-text")).to_have_text("Connected")
        await change(bus, view, score=44.0, level="medium")
        for page in pages:
            await expect(page.locator(".hero-score b")).to_have_text("44")
        await eventually(lambda: len(browser.faults) == 0)

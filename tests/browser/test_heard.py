"""What was heard, as the supervisor sees it: how it was spoken, whose voices, and sound that could not be judged."""

from __future__ import annotations

from playwright.async_api import expect

from proto.views import Measures, VoiceShare, Watch
from runtime.bus import Bus
from tests.support.api import running_api
from tests.support.views import a_line, a_view, an_alert, an_episode, change, store

HEARD = Measures(
    frames_seen=1500, face_share=0.98, speech_share=0.58, speech_s=174.0, longest_pause_s=6.2, words=430,
    words_per_min=148.3, pauses=61, pause_mean_s=1.4, speech_dbfs=-23.4, noise_dbfs=-58.9, voiced_share=0.71,
    sound_problems={"noisy": 4.0, "muted": 12.0}, voice_silhouette=0.42, voice_unknown_s=9.0, overlap_s=2.5,
    mouth_still_share=0.03,
    voices=(
        VoiceShare(voice=0, share=0.7, speech_s=115.0),
        VoiceShare(voice=2, share=0.25, speech_s=41.0, role="interviewer"),
        VoiceShare(voice=1, share=0.05, speech_s=8.0),
    ),
)  # fmt: skip
ANOTHER = a_line(
    9, 200.0, "SECOND_VOICE", 10.0, "medium", "Another voice than the candidate's for 2.4 s, heard 3 times."
)
STILL = a_line(12, 240.0, "VOICE_NOT_FROM_FACE", 0.0, "info", "A voice while the mouth in view was still for 4.0 s.")
UNCLEAR = an_episode("SOUND_UNCLEAR", 250.0, None, "info", "the microphone gave no sound")
RULES = (
    Watch(rule="SECOND_VOICE", severity="medium", weight=10.0, state="watched", fired=1),
    Watch(rule="VOICE_NOT_FROM_FACE", severity="info", weight=0.0, state="watched", fired=1),
    Watch(
        rule="WHISPERING", severity="medium", weight=10.0, state="not_measured", reason="too little speech was heard"
    ),
)


async def test_speech_voices_and_what_was_wrong_with_the_sound_are_shown(bus: Bus, browser) -> None:
    view = a_view(
        "s1", measures=HEARD, ledger=(ANOTHER, STILL), alerts=(an_alert("s1", ANOTHER),), active=(UNCLEAR,),
        timeline=(UNCLEAR,), rules=RULES, score=7.0,
    )  # fmt: skip
    await store(bus, view)
    async with running_api(bus) as url:
        page = await browser.page()
        await page.goto(f"{url}/#/sessions/s1")
        heard = page.locator("#heard")
        await expect(heard.locator(".word:visible")).to_have_text(["Fairly active", "Ideal pace", "Fluent"])
        for told in ("58 %", "148 words/min", "1.4 s on average", "-23 dBFS", "9 s", "2.5 s", "3 %"):
            await expect(heard).to_contain_text(told)
        await expect(heard).to_contain_text("2 voices were told apart beside the interviewer's.")
        await expect(heard.locator(".voices li")).to_have_text(
            ["Voice 170 %1 min 55 s", "Interviewer25 %41 s", "Voice 25 %8 s"]
        )
        assert await heard.locator(".voices i").first.evaluate("bar => bar.style.width") == "70%"
        await expect(heard.locator(".unheard li")).to_have_text(
            [
                "The sound could not be judged for 12 s: the microphone gave no sound.",
                "The sound could not be judged for 4 s: there was noise.",
            ]
        )
        ledger = page.locator("#ledger")
        await expect(ledger).to_contain_text("Another voice than the candidate's for 2.4 s, heard 3 times.")
        await expect(ledger).to_contain_text("Voice, but a still mouth")
        await expect(page.locator(".lane-name")).to_have_text(["Sound could not be judged"])
        # A muted microphone says nothing of the picture.
        await expect(page.locator(".unsure")).to_be_hidden()
        body = (await page.locator("#detail").inner_text()).lower()
        for word in ("cheat", "fraud", "accomplice", "impostor", "suspicious"):
            assert word not in body

        await change(bus, view, measures=Measures(frames_seen=1600))
        await expect(heard).to_contain_text("Whose voices were heard was not measured.")
        await expect(heard.locator(".word:visible")).to_have_count(0)
        await expect(heard.locator(".voices")).to_be_hidden()
        await expect(heard.locator("dd.none")).to_have_count(9)

"""A real Chromium for tests of the pages: found on this machine, headless, and watched for errors."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # Local addresses in candidates, where there is no mDNS to resolve the names that would hide them.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)
FAKE_MEDIA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


def binary() -> str | None:
    """Path of the Chromium on this machine: CHROMIUM, or the first of the usual names; None where there is none."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def recorded(video: Path, audio: Path) -> tuple[str, ...]:
    """Flags that make `video` (MJPEG) the camera and `audio` (WAV) the microphone, over and over."""
    return (*FAKE_MEDIA, f"--use-file-for-fake-video-capture={video}", f"--use-file-for-fake-audio-capture={audio}")


@dataclass
class Watched:
    """A browser whose pages' faults are collected: uncaught exceptions, and what the content policy had to block."""

    browser: Browser
    faults: list[str] = field(default_factory=list)

    async def page(self, **context: Any) -> Page:
        """A page in a context of its own; `context` as Playwright's `new_context`."""
        page = await (await self.browser.new_context(**context)).new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url.partition('#')[0]}: {error}"))
        page.on("console", lambda message: self._console(message.text))
        return page

    def _console(self, text: str) -> None:
        if "Content Security Policy" in text or "Content-Security-Policy" in text:
            self.faults.append(text)


@asynccontextmanager
async def chromium(path: str, flags: Sequence[str] = ()) -> AsyncIterator[Watched]:
    """Headless Chromium with `flags`, closed at the end."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield Watched(browser)
        finally:
            await browser.close()

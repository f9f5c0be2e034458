"""The demo candidate's camera and microphone, and its voice."""

from __future__ import annotations

import asyncio
import sys
import time

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from deploy.demo import portrait, tracks, voice
from deploy.demo.script import Act, Line, Script
from deploy.demo.tracks import Camera, Clock, Microphone
from deploy.demo.voice import RATE_HZ, Soundtrack
from proto.errors import FeatureMissing

SCRIPT = Script((Act(0.0, 3.0, "faces_camera", "is there"),), (Line(0.5, "hello good morning"),))


class Pictures:
    """A scene that paints its time, and can be slow."""

    def __init__(self, slow_s: float = 0.0) -> None:
        self.asked: list[tuple[float, float]] = []
        self._slow = slow_s

    def picture(self, t_s: float, speaking: float = 0.0) -> np.ndarray:
        self.asked.append((t_s, speaking))
        if self._slow:
            time.sleep(self._slow)
        return np.full((48, 64, 3), int(t_s * 10), np.uint8)


async def drain(track) -> list:
    frames = []
    while True:
        try:
            frames.append(await track.recv())
        except MediaStreamError:
            return frames


async def test_picture_and_sound_share_one_clock_and_end_together():
    sound = Soundtrack(np.arange(RATE_HZ, dtype=np.int16))
    clock = Clock(0.4)
    pictures = Pictures()
    video, audio = await asyncio.gather(drain(Camera(pictures, sound, clock)), drain(Microphone(sound, clock)))
    assert float(video[-1].pts * video[-1].time_base) == pytest.approx(0.36)
    assert [frame.pts for frame in audio] == [index * 960 for index in range(20)]
    assert all(frame.samples == 960 for frame in audio)
    assert np.array_equal(audio[3].to_ndarray()[0], sound.samples[2880:3840])
    assert clock.started_unix_s is not None


async def test_a_slow_machine_skips_pictures_instead_of_lagging():
    clock = Clock(1.0)
    camera = Camera(Pictures(slow_s=0.1), voice.silence(SCRIPT), clock)
    frames = await drain(camera)
    times = [float(frame.pts * frame.time_base) for frame in frames]
    assert len(frames) <= 12
    assert times == sorted(times)
    assert times[-1] > 0.8


async def test_a_stopped_track_gives_nothing_more():
    camera = Camera(Pictures(), voice.silence(SCRIPT), Clock(5.0))
    await camera.recv()
    camera.stop()
    with pytest.raises(MediaStreamError):
        await camera.recv()


def test_the_voice_speaks_at_its_time_and_opens_the_mouth():
    sound = voice.speak(SCRIPT)
    assert len(sound.samples) == 3 * RATE_HZ
    assert not sound.samples[: int(0.5 * RATE_HZ)].any()
    loudest = max(sound.loudness(t_s) for t_s in np.arange(0.5, 1.8, 0.04))
    assert loudest > 0.3
    assert sound.loudness(0.3) == 0.0
    assert sound.loudness(99.0) == 0.0


@pytest.mark.parametrize(
    ("package", "make"), [("espeakng_loader", lambda: voice.speak(SCRIPT)), ("skimage", portrait.load)]
)
def test_without_its_extra_the_candidate_says_what_to_install(monkeypatch, package, make):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(FeatureMissing, match=r"uv sync --extra demo"):
        make()


def test_a_sentence_that_outlasts_the_script_is_cut_off():
    short = Script((Act(0.0, 1.0, "faces_camera", "is there"),), (Line(0.5, "hello good morning"),))
    assert len(voice.speak(short).samples) == RATE_HZ


def test_the_last_slice_is_filled_with_silence():
    sound = Soundtrack(np.ones(100, np.int16))
    assert sound.slice(60, 80).tolist() == [1] * 40 + [0] * 40
    assert tracks.AUDIO_FRAME_S == 0.02

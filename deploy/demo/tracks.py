"""The demo candidate as a camera and a microphone: WebRTC tracks that run in real time."""

from __future__ import annotations

import asyncio
import fractions
import time

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from deploy.demo.scene import Scene
from deploy.demo.voice import RATE_HZ, Soundtrack

FPS = 25
AUDIO_FRAME_S = 0.02
VIDEO_CLOCK_HZ = 90_000


class Clock:
    """When the show began: set by whichever track is asked first, so that lips and voice agree."""

    def __init__(self, duration_s: float) -> None:
        self.duration_s = duration_s
        self.started_unix_s: float | None = None
        self.started = asyncio.Event()
        self._start: float | None = None

    async def until(self, t_s: float) -> float:
        """Sleep until second `t_s` of the show; returns how late it is.

        Raises:
            MediaStreamError: the show is over.
        """
        now = time.monotonic()
        if self._start is None:
            self._start, self.started_unix_s = now, time.time()
            self.started.set()
        if t_s >= self.duration_s:
            raise MediaStreamError
        late_s = now - self._start - t_s
        if late_s < 0:
            await asyncio.sleep(-late_s)
        return max(late_s, 0.0)


class Camera(MediaStreamTrack):
    """The scene at FPS pictures a second. A machine too slow for that skips pictures and never lags."""

    kind = "video"

    def __init__(self, scene: Scene, sound: Soundtrack, clock: Clock) -> None:
        super().__init__()
        self._scene, self._sound, self._clock = scene, sound, clock
        self._index = -1

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        late_s = await self._clock.until((self._index + 1) / FPS)
        self._index += 1 + int(late_s * FPS)
        t_s = self._index / FPS
        picture = await asyncio.to_thread(self._scene.picture, t_s, self._sound.loudness(t_s))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
        frame.pts = self._index * VIDEO_CLOCK_HZ // FPS
        frame.time_base = fractions.Fraction(1, VIDEO_CLOCK_HZ)
        return frame


class Microphone(MediaStreamTrack):
    """The soundtrack in frames of 20 ms."""

    kind = "audio"

    def __init__(self, sound: Soundtrack, clock: Clock) -> None:
        super().__init__()
        self._sound, self._clock = sound, clock
        self._position = 0

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await self._clock.until(self._position / RATE_HZ)
        count = int(AUDIO_FRAME_S * RATE_HZ)
        frame = av.AudioFrame.from_ndarray(self._sound.slice(self._position, count)[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._position
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        self._position += count
        return frame

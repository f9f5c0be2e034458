"""What can be published: recordings and cameras as paced WebRTC tracks, upright and in real time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.video.frame import VideoFrame

from proto.errors import BadInput, NotFound, Unavailable

MAX_WIDTH_PX = 1280
MAX_FPS = 30
LATE_S = 0.15
"""A frame that is later than this is left out, so that the stream stays in real time on a busy machine."""

AUDIO_RATE_HZ = 48_000
AUDIO_FRAME = 960
VIDEO_BASE = Fraction(1, 90_000)
AUDIO_BASE = Fraction(1, AUDIO_RATE_HZ)
CAMERA = "camera"
CAMERA_DEVICE = "/dev/video0"

_QUARTER_TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}

Frames = Iterator[tuple[float, Any]]
"""Media seconds and frame, in order."""


@dataclass(frozen=True)
class Tracks:
    """One candidate: at most one video and one audio track. A track ends by raising MediaStreamError."""

    video: MediaStreamTrack | None = None
    audio: MediaStreamTrack | None = None

    @property
    def all(self) -> list[MediaStreamTrack]:
        return [track for track in (self.video, self.audio) if track is not None]

    def close(self) -> None:
        for track in self.all:
            track.stop()


class Pace:
    """The common start of the tracks of one source."""

    def __init__(self) -> None:
        self._start: float | None = None

    def late_s(self, media_s: float) -> float:
        """By how much a frame of this media second is late; negative if it is early. The first call is the start."""
        now = time.monotonic()
        if self._start is None:
            self._start = now - media_s
        return now - self._start - media_s


class PacedTrack(MediaStreamTrack):
    """Hands out frames when they are due. Decoding happens in a thread of its own.

    `open_frames` opens the source again for each round of a loop; media time goes on from round to round.
    """

    def __init__(
        self, kind: str, open_frames: Callable[[], Frames], pace: Pace, *, loop_s: float, base: Fraction
    ) -> None:
        super().__init__()
        self.kind = kind
        self._open_frames = open_frames
        self._pace = pace
        self._loop_s = loop_s
        self._base = base
        self._round = 0
        self._empty_rounds = 0
        self._frames: Frames | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"publish-{kind}")

    async def recv(self) -> Any:
        """The next frame that is not too late, at its time."""
        loop = asyncio.get_running_loop()
        while self.readyState == "live":
            following = await loop.run_in_executor(self._thread, self._next)
            if following is None:
                break
            media_s, frame = following
            late_s = self._pace.late_s(media_s)
            if late_s > LATE_S and self.kind == "video":
                continue
            if late_s < 0:
                await asyncio.sleep(-late_s)
            frame.pts = round(media_s / self._base)
            frame.time_base = self._base
            return frame
        self.stop()
        raise MediaStreamError

    def _next(self) -> tuple[float, Any] | None:
        while True:
            if self._frames is None:
                self._frames = self._open_frames()
            following = self._following(self._frames)
            if following is not None:
                self._empty_rounds = 0
                return following[0] + self._round * self._loop_s, following[1]
            self._empty_rounds += 1
            if not self._loop_s or self._empty_rounds > 1:
                return None
            self._frames = None
            self._round += 1

    def _following(self, frames: Frames) -> tuple[float, Any] | None:
        """The next frame; a recording that breaks off, or a camera that is pulled out, ends there."""
        try:
            return next(frames, None)
        except (av.FFmpegError, OSError):
            return None

    def stop(self) -> None:
        super().stop()
        self._thread.shutdown(wait=False, cancel_futures=True)


def open_source(name: str, *, loop: bool = False) -> Tracks:
    """Tracks of a recording, of `camera`, or of a camera's device.

    Raises:
        NotFound: there is no such file or camera.
        BadInput: the file holds no video and no sound that can be decoded.
        Unavailable: the camera is in use.
    """
    if name == CAMERA or name.startswith("/dev/"):
        return _open_camera(CAMERA_DEVICE if name == CAMERA else name)
    return _open_file(Path(name), loop=loop)


def _open_file(path: Path, *, loop: bool) -> Tracks:
    if not path.is_file():
        raise NotFound(f"there is no file {path}")
    try:
        with av.open(str(path)) as container:
            has_video, has_audio = bool(container.streams.video), bool(container.streams.audio)
            length_s = (container.duration or 0) / av.time_base
    except (av.FFmpegError, OSError) as error:
        raise BadInput(f"is not a recording that can be read ({error})", field=str(path)) from error
    if not has_video and not has_audio:
        raise BadInput("has no video and no sound", field=str(path))
    loop_s = max(length_s, 0.1) if loop else 0.0
    pace = Pace()

    def track(kind: str, frames: Callable[[InputContainer], Frames], base: Fraction) -> MediaStreamTrack:
        return PacedTrack(kind, lambda: frames(av.open(str(path))), pace, loop_s=loop_s, base=base)

    return Tracks(
        video=track("video", _video_frames, VIDEO_BASE) if has_video else None,
        audio=track("audio", _audio_frames, AUDIO_BASE) if has_audio else None,
    )


def _open_camera(device: str) -> Tracks:
    if not Path(device).exists():
        raise NotFound(f"there is no camera at {device}")
    options = {"framerate": str(MAX_FPS), "video_size": "1280x720"}

    def frames() -> Frames:
        return _video_frames(container)

    try:
        container = av.open(device, format="v4l2", options=options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Unavailable(f"the camera at {device} cannot be opened ({error})") from error
    return Tracks(video=PacedTrack("video", frames, Pace(), loop_s=0.0, base=VIDEO_BASE))


def _video_frames(container: InputContainer) -> Frames:
    """Upright frames, at most MAX_WIDTH_PX wide and MAX_FPS a second, by their own timestamps from 0."""
    start_s = _start_s(container)
    due_s = 0.0
    with container:
        for frame in container.decode(video=0):
            media_s = max(0.0, (frame.time or 0.0) - start_s)
            if media_s < due_s - 0.002:
                continue
            due_s = max(due_s + 1 / MAX_FPS, media_s)
            yield media_s, upright(frame, MAX_WIDTH_PX)


def _audio_frames(container: InputContainer) -> Frames:
    """Sound as 20 ms frames of 48 kHz, by its own timestamps from 0."""
    start_s = _start_s(container)
    resampler = AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE_HZ, frame_size=AUDIO_FRAME)
    first_s: float | None = None
    samples = 0
    with container:
        for frame in _and_none(container.decode(audio=0)):
            if frame is not None and first_s is None:
                first_s = max(0.0, (frame.time or 0.0) - start_s)
            if frame is not None:
                frame.pts = None
            for piece in resampler.resample(frame):
                yield (first_s or 0.0) + samples / AUDIO_RATE_HZ, piece
                samples += piece.samples


def _and_none(frames: Iterator[AudioFrame]) -> Iterator[AudioFrame | None]:
    yield from frames
    yield None


def _start_s(container: InputContainer) -> float:
    return (container.start_time or 0) / av.time_base


def upright(frame: VideoFrame, max_width_px: int) -> VideoFrame:
    """The frame as it is to be shown: turned by the rotation in its metadata, at most `max_width_px` wide."""
    turns = round(frame.rotation / 90) % 4
    width, height = frame.width, frame.height
    scale = min(1.0, max_width_px / (height if turns in (1, 3) else width))
    width, height = round(width * scale / 2) * 2, round(height * scale / 2) * 2
    frame = frame.reformat(width=width, height=height, format="yuv420p")
    if not turns:
        return frame
    planes = [cv2.rotate(_pixels(plane), _QUARTER_TURNS[turns]) for plane in frame.planes]
    height, width = planes[0].shape
    turned = VideoFrame(width, height, "yuv420p")
    for plane, pixels in zip(turned.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : plane.width] = pixels
        plane.update(rows.tobytes())
    return turned


def _pixels(plane: Any) -> npt.NDArray[np.uint8]:
    rows: npt.NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return np.ascontiguousarray(rows[: plane.height, : plane.width])

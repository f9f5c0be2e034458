"""A recording as the camera and microphone of a Chromium: MJPEG and WAV files made from it."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import cv2
import numpy as np
import simplejpeg
from av.audio.resampler import AudioResampler

from tests.support.clips import Image

WIDTH_PX, HEIGHT_PX = 640, 480
FPS = 30
"""What Chromium plays an MJPEG file at, whatever it was made at."""
SAMPLE_RATE_HZ = 48_000


def as_camera(recording: Path, folder: Path, seconds: float = 3.0) -> tuple[Path, Path]:
    """Write the recording's first seconds as `camera.mjpeg` (640x480, grey at the sides) and `microphone.wav`."""
    folder.mkdir(parents=True, exist_ok=True)
    return _camera(recording, folder / "camera.mjpeg", seconds), _microphone(
        recording, folder / "microphone.wav", seconds
    )


def _camera(recording: Path, target: Path, seconds: float) -> Path:
    with av.open(str(recording)) as container, target.open("wb") as file:
        written = 0
        for frame in container.decode(video=0):
            t_s = float(frame.time or 0.0)
            if t_s > seconds:
                break
            picture = simplejpeg.encode_jpeg(
                _fitted(frame.to_ndarray(format="rgb24")), quality=80, colorspace="RGB", colorsubsampling="420"
            )
            while written / FPS <= t_s:
                file.write(picture)
                written += 1
    return target


def _fitted(rgb: Image) -> Image:
    scale = min(WIDTH_PX / rgb.shape[1], HEIGHT_PX / rgb.shape[0])
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    fitted = np.full((HEIGHT_PX, WIDTH_PX, 3), 128, dtype=np.uint8)
    top, left = (HEIGHT_PX - small.shape[0]) // 2, (WIDTH_PX - small.shape[1]) // 2
    fitted[top : top + small.shape[0], left : left + small.shape[1]] = small
    return fitted


def _microphone(recording: Path, target: Path, seconds: float) -> Path:
    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(str(recording)) as container, wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        for frame in container.decode(audio=0):
            if float(frame.time or 0.0) > seconds:
                break
            for resampled in resampler.resample(frame):
                file.writeframes(resampled.to_ndarray().tobytes())
    return target

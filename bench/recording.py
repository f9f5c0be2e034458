"""What the bench's peers send: the demo candidate as 720p30 VP8 at 1.5 Mbit/s and Opus, encoded once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from deploy.demo.scene import Scene
from deploy.demo.script import Act, Line, Script
from deploy.demo.voice import RATE_HZ, speak

WIDTH_PX, HEIGHT_PX, FPS = 1280, 720, 30
BIT_RATE = 1_500_000

STEADY = Script(
    acts=(Act(0.0, 10.0, "faces_camera", "sits in front of the camera and speaks"),),
    lines=(Line(0.5, "hello good morning"), Line(4.0, "i worked as a software engineer for five years")),
)
"""A candidate about whom there is nothing to say: for the cost of a session."""

COMING_AND_GOING = Script(
    acts=tuple(Act(n * 2.0, n * 2.0 + 2.0, "leaves" if n % 2 else "faces_camera", "") for n in range(6)),
    lines=(),
)
"""A rule fires every four seconds: for the time from a frame to the feed."""


def encode(script: Script, path: Path) -> Path:
    """Write the script as WebM; key frames every second, so that a peer may begin anywhere soon."""
    scene = Scene(script)
    sound = speak(script)
    with av.open(str(path), "w", format="webm") as container:
        video = container.add_stream("libvpx", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        video.bit_rate = BIT_RATE
        video.gop_size = FPS
        video.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}
        audio = container.add_stream("libopus", rate=48_000)
        audio.layout = "mono"
        for number in range(int(script.duration_s * FPS)):
            picture = scene.picture(number / FPS)
            wide = cv2.resize(picture[60:420], (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(wide, np.uint8), format="bgr24").reformat(
                format="yuv420p"
            )
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        step = RATE_HZ // 50
        for number in range(int(script.duration_s * 50)):
            samples = sound.slice(number * step, step)
            piece = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = RATE_HZ, number * step, Fraction(1, RATE_HZ)
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
    return path

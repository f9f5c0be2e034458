"""FFmpeg's own WHIP muxer as a publisher: an implementation that is not ours.

A process of its own, because PyAV holds the interpreter's lock while the muxer speaks HTTP. Run as
`python -m tests.support.ffmpeg_whip URL TOKEN SECONDS [CERT_FILE KEY_FILE]`.
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction

import av
import numpy as np

FPS = 25
RATE_HZ = 48_000
TONE_HZ = 440


def publish(url: str, token: str, seconds: float, options: dict[str, str]) -> None:
    """libx264 baseline and libopus in real time."""
    with av.open(url, "w", format="whip", options={**options, "authorization": token}) as out:
        video = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency", "bf": "0"})
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        video.codec_context.profile = "Baseline"
        video.codec_context.gop_size = FPS
        audio = out.add_stream("libopus", rate=RATE_HZ, layout="stereo")
        start = time.monotonic()
        samples = 0
        for number in range(int(seconds * FPS)):
            picture = np.full((360, 640, 3), (number * 8) % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(video.encode(frame))
            while samples < (number + 1) * RATE_HZ // FPS:
                wave = 8000 * np.sin(2 * np.pi * TONE_HZ * (samples + np.arange(960)) / RATE_HZ)
                stereo = np.repeat(wave.astype(np.int16), 2)[None, :]
                sound = av.AudioFrame.from_ndarray(stereo, format="s16", layout="stereo")
                sound.sample_rate, sound.pts, sound.time_base = RATE_HZ, samples, Fraction(1, RATE_HZ)
                out.mux(audio.encode(sound))
                samples += 960
            time.sleep(max(0.0, start + (number + 1) / FPS - time.monotonic()))


if __name__ == "__main__":
    certificate = dict(zip(("cert_file", "key_file"), sys.argv[4:], strict=False))
    publish(sys.argv[1], sys.argv[2], float(sys.argv[3]), certificate)

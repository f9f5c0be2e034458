"""A few seconds of pictures as an MP4 that any browser plays."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import simplejpeg
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ingest.video import Sampled

MEDIA_TYPE = "video/mp4"
_TICKS = 1000
_INDEX_BYTES = 16_384
"""Room for the index at the front, so that a browser plays before it has the whole: about 20 bytes a picture."""
_LAST_S = 0.2
"""How long the last picture stays; the others stay until the next."""


def make_clip(pictures: Sequence[Sampled]) -> bytes:
    """H.264 in MP4 with the pictures at their own times; all of the first one's size. About 5 ms a picture.

    Raises:
        ValueError: no pictures, or a broken one.
    """
    if not pictures:
        raise ValueError("no pictures")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"moov_size": str(_INDEX_BYTES)}) as container:
        stream = container.add_stream("libx264", options={"preset": "veryfast", "crf": "26", "profile": "baseline"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = pictures[0].picture.width_px, pictures[0].picture.height_px
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        stream.codec_context.thread_count = 1
        start_s, last_pts = pictures[0].t_s, -1
        for sampled in (*pictures, pictures[-1]):
            pts = round((sampled.t_s - start_s) * _TICKS)
            if pts <= last_pts:
                # The last picture a second time gives the first time of it its length.
                pts = last_pts + round(_LAST_S * _TICKS)
            last_pts = pts
            for packet in stream.encode(_frame(sampled, stream, pts)):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return file.getvalue()


def _frame(sampled: Sampled, stream: VideoStream, pts: int) -> VideoFrame:
    pixels = simplejpeg.decode_jpeg(sampled.picture.jpeg, "RGB")
    frame = VideoFrame.from_ndarray(pixels, format="rgb24")
    frame = frame.reformat(width=stream.width, height=stream.height, format="yuv420p")
    frame.pts = pts
    frame.time_base = Fraction(1, _TICKS)
    return frame

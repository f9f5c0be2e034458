"""Decoders for what the answers offer, and which pictures can be decoded on their own."""

from __future__ import annotations

from collections.abc import Callable

import av
from av.audio.codeccontext import AudioCodecContext
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

AUDIO = {"opus": ("libopus", 48_000, "stereo"), "g722": ("g722", 16_000, "mono")} | {
    "pcma": ("pcm_alaw", 8_000, "mono"),
    "pcmu": ("pcm_mulaw", 8_000, "mono"),
}
"""RTP name to FFmpeg's decoder, its sample rate and layout."""

VIDEO = {"vp8": "libvpx", "h264": "h264"}

MAX_PIXELS = 4096 * 2304

_H264_IDR = 5


def audio_decoder(name: str) -> AudioCodecContext:
    """Decoder of an RTP audio format (lower case name)."""
    codec, rate_hz, layout = AUDIO[name]
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate = rate_hz
    context.layout = layout
    context.format = "s16"
    return context


def video_decoder(name: str) -> VideoCodecContext:
    """Decoder of an RTP video format (lower case name): one thread, no picture held back."""
    context = av.CodecContext.create(VIDEO[name], "r")
    assert isinstance(context, VideoCodecContext)
    # Threads within one decoder cost more than they bring on a node that decodes many streams, and delay pictures.
    context.thread_count = 1
    context.flags |= Flags.low_delay
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return context


def too_large(name: str, data: bytes) -> bool:
    """Whether a coded picture says that it is larger than MAX_PIXELS, where its decoder would not notice before it has
    taken the memory: VP8 writes the size into each key frame (RFC 6386, 9.1)."""
    if name != "vp8" or len(data) < 10 or not _vp8_key(data):
        return False
    width = int.from_bytes(data[6:8], "little") & 0x3FFF
    height = int.from_bytes(data[8:10], "little") & 0x3FFF
    return width * height > MAX_PIXELS


def is_key(name: str, data: bytes) -> bool:
    """Whether a coded picture needs none before it."""
    return _KEY[name](data)


def _vp8_key(data: bytes) -> bool:
    """RFC 7741, 4.3: the inverse of the first bit of the payload header says key frame."""
    return bool(data) and not data[0] & 1


def _h264_key(data: bytes) -> bool:
    """Whether an Annex B access unit holds an IDR slice (ITU-T H.264, table 7-1)."""
    start = data.find(b"\x00\x00\x01")
    while start >= 0 and start + 3 < len(data):
        if data[start + 3] & 0x1F == _H264_IDR:
            return True
        start = data.find(b"\x00\x00\x01", start + 3)
    return False


_KEY: dict[str, Callable[[bytes], bool]] = {"vp8": _vp8_key, "h264": _h264_key}

"""Decoded pictures into upright, scaled JPEGs; the ring and the clip made of them."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from av import VideoFrame

from ingest.clip import make_clip
from ingest.codecs import is_key, too_large
from ingest.picture import Picture, to_jpeg
from ingest.ring import Ring
from ingest.video import Sampled


def quadrants(width: int, height: int, *, full_range: bool = False) -> VideoFrame:
    """Top left white, the other three quarters black."""
    frame = VideoFrame(width, height, "yuvj420p" if full_range else "yuv420p")
    low, high = (0, 255) if full_range else (16, 235)
    for index, plane in enumerate(frame.planes):
        values = np.full((plane.height, plane.line_size), 128 if index else low, np.uint8)
        if index == 0:
            values[: height // 2, : width // 2] = high
        plane.update(values.tobytes())
    return frame


def rgb(picture: Picture) -> np.ndarray:
    pixels = simplejpeg.decode_jpeg(picture.jpeg, "RGB")
    assert pixels.shape[:2] == (picture.height_px, picture.width_px)
    return pixels


@pytest.mark.parametrize(
    ("size", "width_px", "expected"),
    [
        ((1280, 720), 640, (640, 360)),
        ((1920, 1080), 640, (640, 360)),
        ((320, 240), 640, (320, 240)),
        ((848, 480), 640, (640, 362)),
        ((642, 362), 640, (640, 360)),
        ((176, 144), 160, (160, 130)),
    ],
)
def test_scaled_down_never_up(size: tuple[int, int], width_px: int, expected: tuple[int, int]) -> None:
    picture = to_jpeg(quadrants(*size), width_px, 80)
    assert (picture.width_px, picture.height_px) == expected
    pixels = rgb(picture)
    assert pixels[expected[1] // 4, expected[0] // 4].min() > 245
    assert pixels[3 * expected[1] // 4, 3 * expected[0] // 4].max() < 10


@pytest.mark.parametrize("size", [(641, 361), (99, 77)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    picture = to_jpeg(quadrants(*size), 640, 80)
    assert picture.width_px % 2 == picture.height_px % 2 == 0
    assert rgb(picture)[5, 5].min() > 245


@pytest.mark.parametrize("full_range", [False, True])
def test_black_is_black_and_white_is_white(full_range: bool) -> None:
    """JFIF is full range: pictures of limited range are stretched, others left alone."""
    pixels = rgb(to_jpeg(quadrants(320, 240, full_range=full_range), 640, 90))
    assert pixels[:100, :100].mean() > 252
    assert pixels[140:, 180:].mean() < 3


def test_other_pixel_formats_are_converted() -> None:
    frame = quadrants(320, 240).reformat(format="rgb24")
    assert rgb(to_jpeg(frame, 160, 80))[10, 10].min() > 240


def test_recording_from_a_phone_is_upright(media: Path) -> None:
    """848x480 with a rotation of -90 in its metadata is shown 480 wide and 848 high."""
    with av.open(str(media / "video" / "gaze_center.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height, frame.rotation) == (848, 480, -90)
    picture = to_jpeg(frame, 640, 80)
    assert (picture.width_px, picture.height_px) == (480, 848)
    expected = np.rot90(frame.to_ndarray(format="rgb24"), -1)
    # The recording is BT.709 and a JPEG is BT.601: the colours are a little off, the picture is not.
    assert np.abs(rgb(picture).astype(int) - expected).mean() < 6


def test_turned_picture_is_as_wide_as_asked(media: Path) -> None:
    with av.open(str(media / "video" / "gaze_center.mp4")) as container:
        frame = next(container.decode(video=0))
    picture = to_jpeg(frame, 240, 80)
    assert (picture.width_px, picture.height_px) == (240, 424)


def sampled(t_s: float, level: int = 128, size: int = 0) -> Sampled:
    if size:
        return Sampled(t_s, 0.0, Picture(2, 2, bytes(size)))
    pixels = np.full((120, 160, 3), level, np.uint8)
    return Sampled(t_s, 0.0, Picture(160, 120, simplejpeg.encode_jpeg(pixels, colorspace="RGB")))


def test_ring_is_bounded_in_time_and_bytes() -> None:
    ring = Ring(keep_s=10, max_bytes=1000)
    for number in range(100):
        ring.add(sampled(number * 0.2, size=10))
    kept = ring.between(0, 100)
    assert kept[0].t_s == pytest.approx(9.8)
    for number in range(100, 110):
        ring.add(sampled(number * 0.2, size=300))
    assert sum(len(s.picture.jpeg) for s in ring.between(0, 100)) <= 1000
    nearest = ring.nearest(21.45)
    assert nearest is not None
    assert nearest.t_s == pytest.approx(21.4)


def test_empty_ring() -> None:
    assert Ring(10, 1000).nearest(1.0) is None
    with pytest.raises(ValueError, match="no pictures"):
        make_clip([])


def test_clip_plays_at_the_pictures_own_times() -> None:
    times = [5.0, 5.2, 5.4, 6.4, 6.6]
    data = make_clip([sampled(t_s, 40 * index) for index, t_s in enumerate(times)])
    assert data.find(b"moov") < data.find(b"mdat")
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames[:5]] == pytest.approx([0, 0.2, 0.4, 1.4, 1.6], abs=0.01)
    levels = [frame.to_ndarray(format="gray").mean() for frame in frames[:5]]
    assert levels == pytest.approx([0, 40, 80, 120, 160], abs=6)


def test_clip_of_one_picture() -> None:
    with av.open(io.BytesIO(make_clip([sampled(3.0)]))) as container:
        assert len(list(container.decode(video=0))) == 2


@pytest.mark.parametrize(("codec", "name"), [("libvpx", "vp8"), ("libx264", "h264")])
def test_key_pictures_are_told_from_the_coded_bytes(codec: str, name: str) -> None:
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = 160, 120, "yuv420p"
    encoder.gop_size = 5
    encoder.options = {"tune": "zerolatency"} if name == "h264" else {"deadline": "realtime", "lag-in-frames": "0"}
    encoder.time_base = Fraction(1, 25)
    packets = []
    for number in range(12):
        frame = quadrants(160, 120)
        frame.pts = number
        packets += encoder.encode(frame)
    assert [is_key(name, bytes(packet)) for packet in packets] == [packet.is_keyframe for packet in packets]
    assert sum(packet.is_keyframe for packet in packets) >= 2
    assert not is_key(name, b"")


def test_key_picture_that_would_take_all_memory_is_seen_before_it_is_decoded() -> None:
    """16383 x 16383 in the header of a VP8 key frame: 400 MB to a decoder that believes it."""
    header = b"\x10\x02\x00\x9d\x01\x2a"
    assert too_large("vp8", header + b"\xff\x3f\xff\x3f")
    assert not too_large("vp8", header + (1920).to_bytes(2, "little") + (1080).to_bytes(2, "little"))
    assert not too_large("vp8", b"\x11" + header[1:] + b"\xff\x3f\xff\x3f")
    assert not too_large("h264", header + b"\xff\x3f\xff\x3f")

"""Messages of FRAMES and JPEGs: what is read, what is put aside, and the limits."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import simplejpeg

from inference.vision.decode import frame_of, picture_of
from proto import codec
from proto.errors import BadInput, BadMessage
from proto.media import Frame
from tests.support.clips import encode_jpeg

FRAME = Frame("s1", "peer", 3, 1.5, 64, 48, b"jpeg")


def picture(height_px: int, width_px: int) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)
    return encode_jpeg(noise)


def test_a_frame_comes_back() -> None:
    assert frame_of("frames.s1", codec.encode(FRAME)) == FRAME


def test_a_frame_of_another_session_is_not_believed() -> None:
    with pytest.raises(BadMessage, match="another session") as error:
        frame_of("frames.s2", codec.encode(FRAME))
    assert error.value.data == codec.encode(FRAME)


@pytest.mark.parametrize("changes", [{"t_s": float("nan")}, {"t_s": float("inf")}, {"seq": -1}])
def test_impossible_numbers_are_not_believed(changes: dict[str, float]) -> None:
    data = codec.encode(msgspec.structs.replace(FRAME, **changes))
    with pytest.raises(BadMessage, match="impossible"):
        frame_of("frames.s1", data)


@pytest.mark.parametrize("changes", [{"t_s": 1e8}, {"t_s": -2.0}, {"source": "x" * 129}])
def test_a_frame_of_which_nothing_could_be_logged_is_not_believed(changes: dict[str, float]) -> None:
    with pytest.raises(BadMessage, match="impossible time or source"):
        frame_of("frames.s1", codec.encode(msgspec.structs.replace(FRAME, **changes)))


def test_looks_of_a_newer_ingest_node_are_left_out_and_others_are_kept_once() -> None:
    sent = msgspec.structs.asdict(FRAME) | {"looks": ["text", "posture", "objects", "objects"], "lens": "wide"}
    frame = frame_of("frames.s1", msgspec.msgpack.encode(sent))
    assert frame == msgspec.structs.replace(FRAME, looks=("objects", "text"))


def test_bytes_that_are_no_message() -> None:
    with pytest.raises(BadMessage):
        frame_of("frames.s1", b"\xc1 nonsense")


def test_a_picture_is_decoded_as_rgb() -> None:
    red = np.zeros((48, 64, 3), dtype=np.uint8)
    red[:, :, 0] = 200
    decoded = picture_of(encode_jpeg(red), 10_000, 10_000)
    assert decoded.shape == (48, 64, 3)
    assert decoded[24, 32, 0] > 180 > 30 > decoded[24, 32, 2]


def test_a_grey_picture_is_decoded_as_rgb_too() -> None:
    grey = simplejpeg.encode_jpeg(np.full((48, 64, 1), 90, dtype=np.uint8), colorspace="GRAY")
    assert picture_of(grey, 10_000, 10_000).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("jpeg", "why"),
    [
        (b"", "cannot be decoded"),
        (b"not a picture", "cannot be decoded"),
        (picture(64, 64)[:-200], "cannot be decoded"),
        (picture(64, 64)[:30], "cannot be decoded"),
        (picture(8, 200), "too small"),
        (picture(101, 101), "at most 10000 pixels"),
        (b"\xff" * 30_001, "at most 30000 are read"),
    ],
)
def test_what_is_no_fit_picture_says_why(jpeg: bytes, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        picture_of(jpeg, 30_000, 10_000)

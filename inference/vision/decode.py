"""A message of FRAMES into a picture, within limits."""

from __future__ import annotations

import math
from typing import get_args

import msgspec
import numpy as np
import simplejpeg

from inference.backends.base import Image
from proto import codec, subjects
from proto.errors import BadInput, BadMessage
from proto.media import Frame, Look
from proto.observations import EARLIEST_S, MAX_SESSION_S, MAX_SOURCE

MIN_SIDE_PX = 16

LOOKS: tuple[Look, ...] = get_args(Look)


class _Sent(Frame, frozen=True):
    """A frame as it may come from a newer ingest node: what a worker does not know to look for is no fault of it."""

    looks: tuple[str, ...] = ()  # type: ignore[assignment]


def frame_of(subject: str, data: bytes) -> Frame:
    """The frame in a message, with those of its looks that are known here, each once.

    Raises:
        BadMessage: not a frame, not one of the session its subject names, or one of which nothing could be logged.
    """
    frame = codec.decode(data, _Sent)
    if frame.session != subjects.session_of(subject):
        raise BadMessage("frame of another session than its subject says", data)
    if frame.seq < 0 or not math.isfinite(frame.t_s) or not math.isfinite(frame.received_unix_s):
        raise BadMessage("frame with impossible numbers", data)
    if not EARLIEST_S <= frame.t_s <= MAX_SESSION_S or len(frame.source) > MAX_SOURCE:
        raise BadMessage("frame of an impossible time or source", data)
    fields = msgspec.structs.asdict(frame)
    return Frame(**fields | {"looks": tuple(look for look in LOOKS if look in frame.looks)})


def picture_of(jpeg: bytes, max_bytes: int, max_pixels: int) -> Image:
    """RGB picture (height, width, 3). The size is checked in the header, before memory is taken for it.

    Raises:
        BadInput: larger than allowed, smaller than a face, or not a whole JPEG.
    """
    if len(jpeg) > max_bytes:
        raise BadInput(f"is {len(jpeg)} bytes, at most {max_bytes} are read", field="jpeg")
    try:
        height_px, width_px, _, _ = simplejpeg.decode_jpeg_header(jpeg)
        if width_px * height_px > max_pixels:
            raise BadInput(f"is {width_px}x{height_px}, at most {max_pixels} pixels are read", field="jpeg")
        if min(width_px, height_px) < MIN_SIDE_PX:
            raise BadInput(f"is {width_px}x{height_px}, too small to be judged", field="jpeg")
        # Colours of neighbouring pixels are the same in 4:2:0 anyway: smoothing them costs a fifth more.
        return np.asarray(simplejpeg.decode_jpeg(jpeg, colorspace="RGB", fastupsample=True), dtype=np.uint8)
    except ValueError as error:
        raise BadInput(f"cannot be decoded: {error}", field="jpeg") from error

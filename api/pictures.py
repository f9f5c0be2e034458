"""Pictures that people send in, made into what a worker reads: an upright JPEG of bounded size.

Width and height are read from the first bytes and checked before anything is decoded, so that a small file cannot ask
for much memory.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from proto.errors import BadInput

JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"
TYPES = (JPEG, PNG, WEBP)

MAX_PIXELS = 40_000_000
MAX_SIDE_PX = 20_000
MIN_SIDE_PX = 32
SENT_SIDE_PX = 1600
"""Longest side of what is sent on; larger pictures show no face better."""

QUALITIES = (92, 85, 75, 60)

Image = npt.NDArray[np.uint8]


def normalised(data: bytes, max_bytes: int, field: str) -> bytes:
    """An upright JPEG of at most SENT_SIDE_PX and `max_bytes`, of a JPEG, PNG or WebP; without any metadata.

    Takes tens to hundreds of milliseconds: not for the event loop.

    Raises:
        BadInput: naming `field`: another format, too large, too small, or broken.
    """
    width_px, height_px = size_of(data, field)
    if width_px * height_px > MAX_PIXELS or max(width_px, height_px) > MAX_SIDE_PX:
        limit = f"at most {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE_PX} a side are read"
        raise BadInput(f"is {width_px}x{height_px}: {limit}", field=field)
    if min(width_px, height_px) < MIN_SIDE_PX:
        raise BadInput(f"is {width_px}x{height_px}, too small to show a face", field=field)
    return _encoded(_shrunk(_decoded(data, width_px, height_px, field)), max_bytes)


def type_of(data: bytes) -> str:
    """Media type by the first bytes, empty where it is none of TYPES."""
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    return WEBP if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def size_of(data: bytes, field: str) -> tuple[int, int]:
    """Width and height in pixels, as the header says, before any rotation.

    Raises:
        BadInput: naming `field`: no header of a format that is read.
    """
    readers = {JPEG: _jpeg_size, PNG: _png_size, WEBP: _webp_size}
    kind = type_of(data)
    if kind not in readers:
        raise BadInput("is neither JPEG nor PNG nor WebP", field=field)
    try:
        width_px, height_px = readers[kind](data)
    except (ValueError, LookupError, struct.error) as error:
        # A cut-off JPEG is a KeyError of simplejpeg's.
        raise BadInput(f"cannot be read: its header says no {kind}", field=field) from error
    return width_px, height_px


def _jpeg_size(data: bytes) -> tuple[int, int]:
    height_px, width_px, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    return int(width_px), int(height_px)


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError("no IHDR")
    width_px, height_px = struct.unpack(">II", data[16:24])
    return width_px, height_px


def _webp_size(data: bytes) -> tuple[int, int]:
    """RFC 9649: the canvas of the extended form, or the frame of the lossy or lossless one."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width_px, height_px = struct.unpack("<HH", data[26:30])
        return width_px & 0x3FFF, height_px & 0x3FFF
    raise ValueError("no frame")


def _decoded(data: bytes, width_px: int, height_px: int, field: str) -> Image:
    """BGR, turned by its EXIF orientation."""
    flags: Any = cv2.IMREAD_COLOR
    if type_of(data) == JPEG:
        # A JPEG can be decoded at a part of its size, for a part of the memory.
        times = max(width_px, height_px) // SENT_SIDE_PX
        flags = next((flag for least, flag in _REDUCED if times >= least), flags)
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        raise BadInput("cannot be decoded", field=field) from error
    if image is None or image.size == 0:
        raise BadInput("cannot be decoded", field=field)
    return np.asarray(image, dtype=np.uint8)


_REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))


def _shrunk(image: Image, side_px: int = SENT_SIDE_PX) -> Image:
    rows, columns = image.shape[:2]
    factor = side_px / max(rows, columns)
    if factor >= 1.0:
        return image
    size = (max(1, round(columns * factor)), max(1, round(rows * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _encoded(image: Image, max_bytes: int) -> bytes:
    while True:
        for quality in QUALITIES:
            jpeg = bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorspace="BGR"))
            if len(jpeg) <= max_bytes:
                return jpeg
        image = _shrunk(image, max(image.shape[:2]) * 3 // 4)

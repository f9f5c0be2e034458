"""Recorded clips and pictures as the frames ingest would make of them: upright, 640 wide, JPEG quality 80."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from proto.media import Frame

Image = npt.NDArray[np.uint8]

WIDTH_PX = 640
JPEG_QUALITY = 80


def encode_jpeg(rgb: Image) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality=JPEG_QUALITY, colorspace="RGB"))


def scaled(rgb: Image, width_px: int = WIDTH_PX) -> Image:
    height_px = round(rgb.shape[0] * width_px / rgb.shape[1])
    return np.asarray(cv2.resize(rgb, (width_px, height_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def picture(path: Path) -> Image:
    """Upright RGB picture of any format OpenCV reads."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert bgr is not None, path
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def frames(path: Path, fps: float = 5.0, session: str = "clip", source: str = "file") -> Iterator[Frame]:
    """Frames of a clip at `fps` by its own timestamps, turned upright by the rotation in its metadata."""
    seq = 0
    with av.open(str(path)) as container:
        for decoded in container.decode(video=0):
            t_s = float(decoded.time or 0.0)
            if t_s + 1e-6 < seq / fps:
                continue
            rgb = scaled(upright(np.asarray(decoded.to_ndarray(format="rgb24"), dtype=np.uint8), decoded.rotation))
            height_px, width_px = rgb.shape[:2]
            yield Frame(session, source, seq, t_s, width_px, height_px, encode_jpeg(rgb))
            seq += 1


def upright(rgb: Image, rotation_deg: int) -> Image:
    """Picture turned by the display rotation of its stream (PyAV: counter-clockwise degrees)."""
    return np.ascontiguousarray(np.rot90(rgb, rotation_deg // 90))

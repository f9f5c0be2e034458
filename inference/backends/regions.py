"""Rotated squares of a picture: cut out for a model, and its points put back.

As MediaPipe does it: a pixel of the crop lies where it falls in the picture, without the shift by half a pixel that
resizing has, and between pixels of the picture it is bilinear. Positions are computed one by one: cv2.warpAffine sums
them up, which moves landmarks of a small face by several percent of the distance between its eyes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inference.backends.base import Image

Floats = npt.NDArray[np.float32]
Rois = npt.NDArray[np.float32]
"""(n, 5): centre x, centre y, width, height in pixels of the picture, rotation in radians clockwise."""


def whole(image: Image) -> Floats:
    """The smallest square around a whole picture, which has it in the middle: (5,)."""
    height_px, width_px = image.shape[:2]
    side = max(height_px, width_px)
    return np.array([width_px / 2, height_px / 2, side, side, 0.0], dtype=np.float32)


def cut_out(image: Image, roi: Floats, side_px: int) -> Image:
    """The region as (side_px, side_px, 3). What lies outside the picture repeats its edge."""
    x, y, width, height, turn = (float(value) for value in roi)
    cos, sin = math.cos(turn), math.sin(turn)
    steps = np.arange(side_px) / side_px
    across, down = steps * width, steps * height
    left, top = x - cos * width / 2 + sin * height / 2, y - sin * width / 2 - cos * height / 2
    at_x = np.add.outer((left - sin * down).astype(np.float32), (cos * across).astype(np.float32))
    at_y = np.add.outer((top + cos * down).astype(np.float32), (sin * across).astype(np.float32))
    return np.asarray(cv2.remap(image, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


def letterboxed(image: Image, side_px: int) -> Image:
    """The whole picture in the middle of (side_px, side_px, 3), black around it."""
    places, fractions = _letterbox(*image.shape[:2], side_px)
    return np.asarray(cv2.remap(image, places, fractions, cv2.INTER_LINEAR), dtype=np.uint8)


@lru_cache(maxsize=16)
def _letterbox(height_px: int, width_px: int, side_px: int) -> tuple[Any, Any]:
    """Where the pixels of the square lie: the same for all pictures of a size."""
    side = max(height_px, width_px)
    steps = np.arange(side_px) * (side / side_px)
    at_x, at_y = np.meshgrid(steps + (width_px - side) / 2, steps + (height_px - side) / 2)
    return cv2.convertMaps(at_x.astype(np.float32), at_y.astype(np.float32), cv2.CV_16SC2)


def tensor(crops: Sequence[Image], scale: float, shift: float = 0.0) -> Floats:
    """Pictures of one size as (n, 3, height, width) of value * scale + shift."""
    height_px, width_px = crops[0].shape[:2]
    batch = np.empty((len(crops), 3, height_px, width_px), dtype=np.float32)
    for planes, crop in zip(batch, crops, strict=True):
        for plane, channel in zip(planes, cv2.split(crop), strict=True):
            np.multiply(channel, np.float32(scale), out=plane)
    if shift:
        batch += np.float32(shift)
    return batch


def to_picture(points: Floats, rois: Rois, side_px: int) -> Floats:
    """Points (n, p, 2 or 3) in pixels of n crops into pixels of the pictures they were cut out of. A depth is scaled as
    widths are.
    """
    cos, sin = np.cos(rois[:, 4:5]), np.sin(rois[:, 4:5])
    right = (points[..., 0] / side_px - 0.5) * rois[:, 2:3]
    down = (points[..., 1] / side_px - 0.5) * rois[:, 3:4]
    placed = np.empty_like(points)
    placed[..., 0] = cos * right - sin * down + rois[:, 0:1]
    placed[..., 1] = sin * right + cos * down + rois[:, 1:2]
    if points.shape[-1] > 2:
        placed[..., 2] = points[..., 2] / side_px * rois[:, 2:3]
    return placed


def overlap(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union of each of `boxes` (n, 4: left, top, right, bottom) with each of `others`: (n, m)."""
    left, top, right, bottom = boxes.T[:, :, None]
    lefts, tops, rights, bottoms = others.T[:, None]
    wide = np.maximum(np.minimum(right, rights) - np.maximum(left, lefts), 0.0)
    high = np.maximum(np.minimum(bottom, bottoms) - np.maximum(top, tops), 0.0)
    shared = wide * high
    either = (right - left) * (bottom - top) + (rights - lefts) * (bottoms - tops) - shared
    return np.asarray(shared / np.maximum(either, 1e-9), dtype=np.float32)

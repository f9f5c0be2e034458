"""Rotated squares of a picture: cut out for a model, and its points put back.

As MediaPipe does it: a pixel of the crop lies where it falls in the picture, without the shift by half a pixel that
resizing has, and between pixels of the picture it is bilinear. cv2.warpAffine would round positions to 1/32 of a pixel,
which moves landmarks of a small face by several percent; cv2.warpPerspective computes each.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def cut_out(image: Image, roi: Floats, side_px: int, *, border: int = cv2.BORDER_REPLICATE) -> Image:
    """The region as (side_px, side_px, 3). What lies outside the picture repeats its edge, or with
    `cv2.BORDER_CONSTANT` is black.
    """
    x, y, width, height, turn = (float(value) for value in roi)
    cos, sin = np.cos(turn), np.sin(turn)
    right, down = width / side_px, height / side_px
    to_picture = np.array(
        [
            [cos * right, -sin * down, x - cos * width / 2 + sin * height / 2],
            [sin * right, cos * down, y - sin * width / 2 - cos * height / 2],
            [0.0, 0.0, 1.0],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpPerspective(image, to_picture, (side_px, side_px), flags=flags, borderMode=border)
    return np.asarray(crop, dtype=np.uint8)


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
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:4], others[None, :, 2:4])
    shared = np.prod(np.clip(high - low, 0.0, None), axis=2)
    areas = [np.prod(np.clip(some[:, 2:4] - some[:, :2], 0.0, None), axis=1) for some in (boxes, others)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9), dtype=np.float32)

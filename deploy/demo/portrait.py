"""The demo candidate's raw material: a public-domain portrait, cut out, and an empty room to put it in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from proto.errors import FeatureMissing

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

ZOOM = 1.5
"""Cut-out pixels per pixel of the 512x512 portrait."""
ROWS = 360
"""How much of the portrait is used, from the top: below it there is a helmet in front of the person."""

# Places in the portrait, in its own pixels.
EYES = ((203.0, 100.0), (246.0, 103.0))
MOUTH = (224.0, 146.0)
NOSE = (226.0, 122.0)
AXIS_X = 226.0
"""What the head turns about."""
OUTLINE = (
    (16, 225, 235), (30, 192, 272), (45, 168, 287), (60, 157, 295), (75, 153, 299), (90, 154, 301), (105, 158, 297),
    (115, 167, 290), (122, 172, 283), (130, 178, 278), (136, 181, 268), (145, 183, 265), (155, 185, 260),
    (165, 186, 257), (178, 187, 255), (190, 190, 253),
)  # fmt: skip
"""The head from the hair to the collar: y, its left edge, its right edge."""
NECK_Y = (168.0, 192.0)
"""From here the neck follows the head less and less; from there not at all."""

# Hints for finding the person: outlines that surely and maybe hold it. The edge itself is found by GrabCut.
_MAYBE = [
    [10, 360],
    [25, 270],
    [85, 190],
    [110, 160],
    [130, 140],
    [300, 140],
    [315, 225],
    [350, 255],
    [372, 300],
    [372, 360],
]
_SURE = [
    [45, 360],
    [60, 270],
    [110, 205],
    [130, 172],
    [180, 165],
    [258, 172],
    [300, 225],
    [335, 262],
    [350, 300],
    [350, 360],
]


@dataclass(frozen=True)
class Portrait:
    """`person` is the cut-out (height, width, 4) in BGR and opacity, ZOOM times the portrait's size, its colours
    multiplied by opacity; `room` (480, 640, 3) is the empty picture behind it.
    """

    person: Pixels
    room: Pixels


def load(width_px: int = 640, height_px: int = 480) -> Portrait:
    """The astronaut Eileen Collins (NASA, public domain), as scikit-image carries it in its package: no download.

    Raises:
        FeatureMissing: scikit-image is not installed.
    """
    try:
        from skimage import data  # noqa: PLC0415 - in the extra `demo`
    except ImportError as error:
        raise FeatureMissing("demo candidate", "scikit-image is not installed", "uv sync --extra demo") from error
    picture = np.ascontiguousarray(data.astronaut()[:ROWS, :, ::-1])  # type: ignore[no-untyped-call]
    opacity = _opacity(picture)
    return Portrait(person=_cut(picture, opacity), room=_room(picture, opacity, width_px, height_px))


def recoloured(person: Pixels) -> Pixels:
    """Another person, in a suit of another colour: the orange made blue."""
    hsv = cv2.cvtColor(np.ascontiguousarray(person[..., :3]), cv2.COLOR_BGR2HSV)
    suit = ((hsv[..., 0] < 18) | (hsv[..., 0] > 170)) & (hsv[..., 1] > 110)
    suit[: int(NECK_Y[1] * ZOOM)] = False
    hsv[..., 0][suit] = 108
    hsv[..., 1][suit] = (hsv[..., 1][suit] * 0.75).astype(np.uint8)
    hsv[..., 2][suit] = (hsv[..., 2][suit] * 0.7).astype(np.uint8)
    return np.dstack([cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), person[..., 3:]])


def _opacity(picture: Pixels) -> Floats:
    """Which pixels are the person, 0-1, with a soft edge."""
    mask: Pixels = np.full(picture.shape[:2], cv2.GC_BGD, np.uint8)
    cv2.ellipse(mask, (228, 85), (92, 95), 0, 0, 360, (cv2.GC_PR_BGD,), -1)
    cv2.fillPoly(mask, [np.array(_MAYBE, np.int32)], (cv2.GC_PR_FGD,))
    cv2.ellipse(mask, (228, 75), (66, 56), 0, 0, 360, (cv2.GC_PR_FGD,), -1)
    cv2.ellipse(mask, (226, 110), (44, 62), 0, 0, 360, (cv2.GC_FGD,), -1)
    cv2.ellipse(mask, (226, 50), (45, 25), 0, 0, 360, (cv2.GC_FGD,), -1)
    cv2.fillPoly(mask, [np.array(_SURE, np.int32)], (cv2.GC_FGD,))
    cv2.setRNGSeed(1)
    cv2.grabCut(picture, mask, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    person = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(person)
    largest = 1 + int(np.argmax(stats[1:count, cv2.CC_STAT_AREA]))
    inside = cv2.erode((labels == largest).astype(np.float32), np.ones((3, 3)))
    return cv2.GaussianBlur(inside, (0, 0), 1.0).astype(np.float32)


def _cut(picture: Pixels, opacity: Floats) -> Pixels:
    size = (round(picture.shape[1] * ZOOM), round(picture.shape[0] * ZOOM))
    large = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    soft = np.clip(cv2.resize(opacity, size, interpolation=cv2.INTER_CUBIC), 0, 1)[..., None]
    return np.dstack([large * soft, soft * 255]).round().astype(np.uint8)


def _room(picture: Pixels, opacity: Floats, width_px: int, height_px: int) -> Pixels:
    """The portrait's own background out of focus: where the person was, the colours around it spread inwards."""
    behind = (cv2.dilate(opacity, np.ones((9, 9))) < 0.01).astype(np.float32)
    spread = np.zeros(picture.shape, np.float32)
    known = np.zeros(picture.shape[:2], np.float32)
    for sigma, trust in ((9, 1.0), (25, 0.05), (70, 0.002)):
        spread += trust * cv2.GaussianBlur(picture * behind[..., None], (0, 0), sigma)
        known += trust * cv2.GaussianBlur(behind, (0, 0), sigma)
    room = cv2.resize(spread / known[..., None], (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    return np.clip(room, 0, 255).astype(np.uint8)

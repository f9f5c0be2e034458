"""Moving a still portrait: turning the head, nodding, blinking, looking aside, speaking. Pure geometry.

A picture is warped by saying, for every pixel of the result, where in the still its colour comes from. All lengths here
are in pixels of the 512x512 portrait.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deploy.demo.portrait import AXIS_X, EYES, MOUTH, NECK_Y, NOSE, OUTLINE, ZOOM, Floats, Pixels

Mask = NDArray[np.bool_]

NAPE_Y = 140.0
"""Down to here the back of the head is hair, below it is neck."""
SMALL_TURN_DEG = 8.0
"""Up to here the edge of the head moves so little that nothing has to be put in its place."""
EDGE_RAD = 1.1
"""From this angle on the still shows the head so aslant that its picture is only streaks."""
SHADOW = 0.82
NOSE_PX = 22.0
"""How far the middle of the face stands out of the cylinder that the head is taken for."""


@dataclass(frozen=True)
class Look:
    """The head: `yaw_deg` positive towards the image's right, `nod_px` positive downwards, `blink` and `mouth` 0 to 1,
    `gaze` -1 (towards the image's left) to 1.
    """

    yaw_deg: float = 0.0
    nod_px: float = 0.0
    blink: float = 0.0
    gaze: float = 0.0
    mouth: float = 0.0


class Head:
    """The part of a cut-out that moves by itself."""

    def __init__(self, person: Pixels) -> None:
        self._person = person
        rows, left, right = np.array(OUTLINE, np.float32).T
        self._x0, self._x1 = int((left.min() - 4) * ZOOM), int((right.max() + 4) * ZOOM)
        self._height = int(NECK_Y[1] * ZOOM)
        columns = np.arange(self._x0, self._x1, dtype=np.float32) / np.float32(ZOOM)
        self._x, self._y = np.meshgrid(columns, np.arange(self._height, dtype=np.float32) / np.float32(ZOOM))
        self._left = np.interp(self._y, rows, left).astype(np.float32)
        self._right = np.interp(self._y, rows, right).astype(np.float32)
        self._edges = {1: (rows, left), -1: (rows, right)}
        self._radius = np.interp(self._y, (16, 30, 60, 115, 178), (30, 50, 60, 60, 56)).astype(np.float32)
        reach = np.interp(self._y, (120, 145), (90, 50)) - np.abs(self._x - AXIS_X)
        self._nods = (_fade(self._y) * np.clip(reach / 12, 0, 1)).astype(np.float32)

    def turned(self, look: Look) -> Pixels:
        """The whole cut-out with its head as in `look`."""
        x, y, unseen = self._turn(look.yaw_deg)
        y = y - look.nod_px * self._nods
        x, y = _eyes(x, y, look.blink, look.gaze)
        y = _mouth(x, y, look.mouth)
        map_x, map_y = ((places * ZOOM).astype(np.float32) for places in (x, y))
        result = self._person.copy()
        head = np.asarray(cv2.remap(self._person, map_x, map_y, cv2.INTER_LINEAR), np.uint8)
        result[: self._height, self._x0 : self._x1] = _in_shadow(head, unseen) if unseen.any() else head
        return result

    def _turn(self, yaw_deg: float) -> tuple[Floats, Floats, Mask]:
        """A cylinder turned about its axis, with a face standing out of it.

        Returns where each colour comes from, x and y, and which of them are on the side that comes into view: that was
        never photographed and is given the hair beside it. On the other side the face covers what was beside the head,
        and beyond it the still is as it was.
        """
        x, y, radius = self._x, self._y, self._radius
        if not yaw_deg:
            return x, y, np.zeros(x.shape, bool)
        yaw = np.radians(yaw_deg) * _fade(y)
        across = np.clip((x - AXIS_X) / radius, -1, 1)
        height = NOSE_PX * np.exp(-(((y - NOSE[1]) / 34) ** 2))
        from_middle = np.arcsin(across) - yaw
        for _ in range(3):
            bump = height * np.exp(-((np.sin(from_middle) * radius / 24) ** 2))
            from_middle = np.arcsin(np.clip(across - bump * np.sin(yaw) / radius, -1, 1)) - yaw
        source = AXIS_X + radius * np.sin(from_middle)
        side = 1 if yaw_deg > 0 else -1
        behind, ahead = (self._left, self._right) if side > 0 else (self._right, self._left)
        still = (np.abs(x - AXIS_X) >= radius) | (side * (behind - x) > 0) | (side * (source - ahead) > 2)
        hidden = side * (behind + 2 * side - source)
        unseen = ~still & (hidden > 0) & (abs(yaw_deg) > SMALL_TURN_DEG)
        hair = unseen & (y < NAPE_Y)
        hair_y = np.where(y < 70, y, 70 + (y - 70) * 0.45)
        hair_x = np.interp(hair_y, *self._edges[side]) + side * (6 + np.where(y < 90, 0.8, 0.5) * hidden)
        source = np.where(hair, hair_x, np.where(unseen, behind + 5 * side, source))
        edge = ~still & (side * from_middle < -EDGE_RAD) & (abs(yaw_deg) > SMALL_TURN_DEG)
        return np.where(still, x, source), np.where(hair, hair_y, y), unseen | edge


def _in_shadow(head: Pixels, unseen: Mask) -> Pixels:
    """The head with its unseen side out of focus and a little darker, as the side away from a lamp is."""
    depth = cv2.GaussianBlur(unseen.astype(np.float32), (0, 0), 4.0)[..., None]
    soft = cv2.GaussianBlur(head, (0, 0), 7.0).astype(np.float32)
    soft[..., :3] *= SHADOW
    return np.asarray(head * (1 - depth) + soft * depth, np.uint8)


def _fade(y: Floats) -> Floats:
    """1 on the head, 0 from the collar down."""
    x = np.clip((NECK_Y[1] - y) / (NECK_Y[1] - NECK_Y[0]), 0, 1)
    return x * x * (3 - 2 * x)


def _spot(x: Floats, y: Floats, centre: tuple[float, float], width: float, height: float) -> Floats:
    return np.exp(-(((x - centre[0]) / width) ** 2) - ((y - centre[1]) / height) ** 2)


def _eyes(x: Floats, y: Floats, blink: float, gaze: float) -> tuple[Floats, Floats]:
    """A blink squeezes the eye to a line; a glance slides the iris within it."""
    for eye in EYES:
        near = _spot(x, y, eye, 15, 7.5)
        y = y + (y - eye[1]) * near * blink * 2.2
        x = x - 5.0 * gaze * _spot(x, y, eye, 8, 5)
    return x, y


def _mouth(x: Floats, y: Floats, opening: float) -> Floats:
    """Everything below the lips moves down a little."""
    return y - 5.0 * opening * _spot(x, y, (MOUTH[0], MOUTH[1] + 8), 24, 10)

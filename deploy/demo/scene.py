"""One picture of the demo candidate at any moment: the script's acts as places, looks and light, in a room."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from deploy.demo import portrait
from deploy.demo.portrait import AXIS_X, ZOOM, Pixels
from deploy.demo.script import Act, Script
from deploy.demo.warp import Head, Look

WIDTH_PX, HEIGHT_PX = 640, 480
SIZE = 0.93
"""Frame pixels per cut-out pixel: the face is a quarter of the picture's height."""
TURN_DEG = 50.0
"""How far the warp turns the head; a pose estimate of the result reads about 40."""
DARKNESS = 0.05
CHANGE_S = 0.8
"""How long the candidate takes to move from one act to the next."""
BLINK_EVERY_S, BLINK_S = 3.7, 0.28


@dataclass(frozen=True)
class Figure:
    """A person in the picture: where the head's axis is (0-1 of the width), how large, which way leaning."""

    x: float
    scale: float = 1.0
    lean_deg: float = 0.0
    drop: float = 0.0


class Scene:
    """Pictures of a script."""

    def __init__(self, script: Script) -> None:
        """Raises FeatureMissing without scikit-image."""
        material = portrait.load(WIDTH_PX, HEIGHT_PX)
        self._script = script
        self._room = material.room
        self._candidate = Head(material.person)
        self._visitor = Head(portrait.recoloured(material.person))

    def picture(self, t_s: float, speaking: float = 0.0) -> Pixels:
        """BGR picture (480, 640, 3) at `t_s` seconds; `speaking` 0-1 opens the mouth."""
        away, gone, company, dark = (
            self._share(doing, t_s) for doing in ("turns_away", "leaves", "has_company", "sits_in_the_dark")
        )
        image = self._room.copy()
        sway = Figure(
            x=0.5 + 0.006 * math.sin(t_s * 0.9) + 0.75 * gone - 0.11 * company,
            scale=1 + 0.008 * math.sin(t_s * 0.6),
            lean_deg=0.8 * math.sin(t_s * 0.7) + 6 * math.sin(math.pi * gone),
            drop=0.03,
        )
        if gone < 1:
            yaw_deg = 2.0 * math.sin(t_s * 0.8) * (1 - away) + TURN_DEG * away
            look = replace(_alive(t_s), yaw_deg=yaw_deg, mouth=speaking)
            _place(image, self._candidate.turned(look), sway)
        if company > 0:
            look = replace(_alive(t_s + 1.3), yaw_deg=3.0 * math.sin(t_s * 1.1))
            visitor = Figure(x=1.2 - 0.44 * company, scale=0.92, lean_deg=-4.0 * (1 - company), drop=0.04)
            _place(image, self._visitor.turned(look), visitor, mirrored=True)
        light = 1 + 0.01 * math.sin(t_s * 1.7) - (1 - DARKNESS) * dark
        return np.asarray(cv2.convertScaleAbs(image, alpha=light), np.uint8)

    def _share(self, doing: str, t_s: float) -> float:
        """How much of `doing` is going on, 0-1: acts fade into each other. The act starts when its change starts."""
        return max((_ramp(act, t_s) for act in self._script.acts if act.doing == doing), default=0.0)


def _ramp(act: Act, t_s: float) -> float:
    rising = (t_s - act.start_s) / CHANGE_S
    falling = 1 - (t_s - act.end_s) / CHANGE_S
    share = min(max(min(rising, falling), 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _alive(t_s: float) -> Look:
    """What a face does when it does nothing: blinks, small nods, eyes that wander a little."""
    since_blink = t_s % BLINK_EVERY_S
    blink = math.sin(math.pi * since_blink / BLINK_S) if since_blink < BLINK_S else 0.0
    return Look(blink=blink, nod_px=1.5 * math.sin(t_s * 1.3), gaze=0.1 * math.sin(t_s * 0.5))


def _place(image: Pixels, person: Pixels, figure: Figure, *, mirrored: bool = False) -> None:
    """Draw a cut-out over `image`, its foot on the lower edge."""
    size = SIZE * figure.scale
    turn = math.radians(figure.lean_deg)
    axis, foot = AXIS_X * ZOOM, float(person.shape[0])
    flip = -1.0 if mirrored else 1.0
    a, b = size * math.cos(turn), size * math.sin(turn)
    to_x, to_y = figure.x * WIDTH_PX, HEIGHT_PX * (1 + figure.drop) + foot * SIZE - HEIGHT_PX
    matrix = np.array(
        [[flip * a, -b, to_x - flip * a * axis + b * foot], [flip * b, a, to_y - flip * b * axis - a * foot]],
        np.float64,
    )
    layer = cv2.warpAffine(person, matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR)
    cover = cv2.cvtColor(255 - layer[..., 3], cv2.COLOR_GRAY2BGR)
    behind = cv2.multiply(image, cover, scale=1 / 255)
    cv2.add(behind, np.ascontiguousarray(layer[..., :3]), dst=image)

"""What mouth, brows and lids do, as lengths of the face turned to the front. Movements, not emotions.

All lengths are shares of the distance between the outer corners of the eyes, which no expression changes, unless said
otherwise. They differ as much between people as between expressions: see `expressions.py` for what can be made of that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inference.signals import eyes
from inference.signals.landmarks import (
    CHIN,
    FOREHEAD_TOP,
    LEFT_BROW,
    LEFT_BROW_INNER,
    LEFT_BROW_OUTER,
    LEFT_EYE,
    LOWER_LIP_INNER,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    RIGHT_BROW,
    RIGHT_BROW_INNER,
    RIGHT_BROW_OUTER,
    RIGHT_EYE,
    UPPER_LIP_INNER,
    Points,
)


class Movements(NamedTuple):
    """One face. `openness` is the mean of both eyes (`eyes.openness`), `mouth_opening` and `smile` as below.

    `corners` is how far the corners of the mouth stand above the middle of the lips, `brow_raise` as below.
    `brow_inner` is the height of the brows' inner ends above the eyes' inner corners, `brow_slope` how much higher
    those stand than the outer ends, `brow_asymmetry` the difference of the two, `brow_gap` the distance between them.
    """

    openness: float
    mouth_opening: float
    smile: float
    corners: float
    brow_raise: float
    brow_inner: float
    brow_slope: float
    brow_asymmetry: float
    brow_gap: float


def read(frontal_cm: Points) -> Movements:
    """All movements of a mesh (468 or more, 3) turned to the front, centimetres of the standard face."""
    span = _eye_span(frontal_cm)
    left, right = (
        (_mean_y(frontal_cm, inner) - frontal_cm[corner, 1]) / span
        for inner, corner in ((LEFT_BROW_INNER, LEFT_EYE.right), (RIGHT_BROW_INNER, RIGHT_EYE.left))
    )
    outer = [
        (_mean_y(frontal_cm, end) - frontal_cm[corner, 1]) / span
        for end, corner in ((LEFT_BROW_OUTER, LEFT_EYE.left), (RIGHT_BROW_OUTER, RIGHT_EYE.right))
    ]
    gap = np.linalg.norm(frontal_cm[LEFT_BROW_INNER[0], :2] - frontal_cm[RIGHT_BROW_INNER[0], :2]) / span
    return Movements(
        openness=(eyes.openness(frontal_cm, LEFT_EYE) + eyes.openness(frontal_cm, RIGHT_EYE)) / 2.0,
        mouth_opening=mouth_opening(frontal_cm),
        smile=smile(frontal_cm),
        corners=(_mean_y(frontal_cm, (MOUTH_LEFT, MOUTH_RIGHT)) - _mean_y(frontal_cm, _LIPS)) / span,
        brow_raise=brow_raise(frontal_cm),
        brow_inner=float(left + right) / 2.0,
        brow_slope=float(left + right - sum(outer)) / 2.0,
        brow_asymmetry=float(abs(left - right)),
        brow_gap=float(gap),
    )


def mouth_opening(frontal_cm: Points) -> float:
    """Gap between the inner lips over the height of the face: 0 closed, about 0.05 speaking, 0.2 and more a yawn."""
    gap = float(frontal_cm[UPPER_LIP_INNER, 1] - frontal_cm[LOWER_LIP_INNER, 1])
    return max(0.0, gap / _height(frontal_cm))


def smile(frontal_cm: Points) -> float:
    """Width of the mouth over the distance of the outer eye corners: 0.5 to 0.6 at rest, 0.75 a broad smile."""
    mouth = float(np.linalg.norm(frontal_cm[MOUTH_LEFT, :2] - frontal_cm[MOUTH_RIGHT, :2]))
    return mouth / _eye_span(frontal_cm)


def brow_raise(frontal_cm: Points) -> float:
    """Mean height of the brows above the eyes' corners over the distance of the outer eye corners."""
    heights: list[float] = []
    for brow, eye in ((LEFT_BROW, LEFT_EYE), (RIGHT_BROW, RIGHT_EYE)):
        eye_y = (frontal_cm[eye.left, 1] + frontal_cm[eye.right, 1]) / 2.0
        heights.extend(float(frontal_cm[point, 1] - eye_y) for point in brow)
    return sum(heights) / len(heights) / _eye_span(frontal_cm)


_LIPS = (UPPER_LIP_INNER, LOWER_LIP_INNER)


def _mean_y(frontal_cm: Points, points: tuple[int, ...]) -> float:
    return sum(float(frontal_cm[point, 1]) for point in points) / len(points)


def _height(frontal_cm: Points) -> float:
    return max(1e-6, float(np.linalg.norm(frontal_cm[FOREHEAD_TOP, :2] - frontal_cm[CHIN, :2])))


def _eye_span(frontal_cm: Points) -> float:
    return max(1e-6, float(np.linalg.norm(frontal_cm[LEFT_EYE.left, :2] - frontal_cm[RIGHT_EYE.right, :2])))

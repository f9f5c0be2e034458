"""What mouth and brows do, as lengths of the face turned to the front. Movements, not emotions."""

from __future__ import annotations

import numpy as np

from inference.signals.landmarks import (
    CHIN,
    FOREHEAD_TOP,
    LEFT_BROW,
    LEFT_EYE,
    LOWER_LIP_INNER,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    RIGHT_BROW,
    RIGHT_EYE,
    UPPER_LIP_INNER,
    Points,
)


def mouth_opening(frontal_cm: Points) -> float:
    """Gap between the inner lips over the height of the face: 0 closed, about 0.05 speaking, 0.2 and more a yawn."""
    gap = float(frontal_cm[UPPER_LIP_INNER, 1] - frontal_cm[LOWER_LIP_INNER, 1])
    return max(0.0, gap / _height(frontal_cm))


def smile(frontal_cm: Points) -> float:
    """Width of the mouth over the distance of the outer eye corners."""
    mouth = float(np.linalg.norm(frontal_cm[MOUTH_LEFT, :2] - frontal_cm[MOUTH_RIGHT, :2]))
    return mouth / _eye_span(frontal_cm)


def brow_raise(frontal_cm: Points) -> float:
    """Mean height of the brows above the eyes' corners over the distance of the outer eye corners."""
    heights: list[float] = []
    for brow, eye in ((LEFT_BROW, LEFT_EYE), (RIGHT_BROW, RIGHT_EYE)):
        eye_y = (frontal_cm[eye.left, 1] + frontal_cm[eye.right, 1]) / 2.0
        heights.extend(float(frontal_cm[point, 1] - eye_y) for point in brow)
    return sum(heights) / len(heights) / _eye_span(frontal_cm)


def _height(frontal_cm: Points) -> float:
    return max(1e-6, float(np.linalg.norm(frontal_cm[FOREHEAD_TOP, :2] - frontal_cm[CHIN, :2])))


def _eye_span(frontal_cm: Points) -> float:
    return max(1e-6, float(np.linalg.norm(frontal_cm[LEFT_EYE.left, :2] - frontal_cm[RIGHT_EYE.right, :2])))

"""How far the eyes are open."""

from __future__ import annotations

import numpy as np

from inference.signals.landmarks import EyePoints, Points

CLOSED_BELOW = 0.12
"""Openness below which an eye is taken as closed: the iris is guessed there, not seen."""


def openness(frontal_cm: Points, eye: EyePoints) -> float:
    """Mean gap between the lids over the eye's width, 0 (closed) to about 0.4 (wide), head turned to the front.

    The eye aspect ratio of Soukupová and Čech (2016) with three pairs of lid points.
    """
    width = float(np.linalg.norm(frontal_cm[eye.left, :2] - frontal_cm[eye.right, :2]))
    if width <= 0.0:
        return 0.0
    gaps = [float(frontal_cm[upper, 1] - frontal_cm[lower, 1]) for upper, lower in eye.lids]
    return max(0.0, sum(gaps) / len(gaps) / width)

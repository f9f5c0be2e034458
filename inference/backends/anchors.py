"""MediaPipe's single-shot detectors, of faces and of palms: which anchors they have, and what their numbers mean."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.backends.regions import overlap

Floats = npt.NDArray[np.float32]

SAME_ABOVE = 0.3
"""Boxes whose intersection over union is larger show the same thing."""

_LAYERS = ((8, 2), (16, 6))
"""Pixels between anchors, and how many there are at each place."""

_MAX_LOGIT = 100.0


class Finds(NamedTuple):
    """What was found in one picture, best first, in fractions of the square around it."""

    boxes: Floats
    """(n, 4): left, top, right, bottom."""
    points: Floats
    """(n, key points, 2)."""
    scores: Floats
    """(n,), 0-1."""


class Anchors:
    """Of a detector whose input is `side_px` square: all of size 1, at the middle of each cell."""

    def __init__(self, side_px: int) -> None:
        self._side_px = side_px
        places = []
        for stride, count in _LAYERS:
            middles = (np.arange(side_px // stride, dtype=np.float32) + 0.5) * stride / side_px
            across, down = np.meshgrid(middles, middles)
            places.append(np.repeat(np.stack([across.ravel(), down.ravel()], axis=1), count, axis=0))
        self._middles = np.concatenate(places)

    def finds(self, boxes: Floats, scores: Floats, min_score: float) -> Finds:
        """Of one picture: `boxes` (anchors, 4 + 2 * key points) in pixels from each anchor, as centre, size and points;
        `scores` (anchors,) as logits.
        """
        kept = np.flatnonzero(scores >= np.log(min_score / (1.0 - min_score)))
        numbers = boxes[kept] / np.float32(self._side_px)
        middles = self._middles[kept]
        centres, half = numbers[:, :2] + middles, numbers[:, 2:4] / 2
        return merged(
            Finds(
                np.concatenate([centres - half, centres + half], axis=1),
                numbers[:, 4:].reshape(len(kept), (numbers.shape[1] - 4) // 2, 2) + middles[:, None],
                1.0 / (1.0 + np.exp(-np.clip(scores[kept], -_MAX_LOGIT, _MAX_LOGIT))),
            )
        )


def merged(finds: Finds) -> Finds:
    """Finds of the same thing become one, weighted by their scores, that has the best of these.

    Weighted non-maximum suppression, as in BlazeFace (Bazarevsky et al. 2019).
    """
    if not len(finds.scores):
        return finds
    left = np.argsort(-finds.scores, kind="stable")
    numbers = np.concatenate([finds.boxes, finds.points.reshape(len(left), -1)], axis=1)
    together, best = [], []
    while left.size:
        same = overlap(finds.boxes[left[:1]], finds.boxes[left])[0] > SAME_ABOVE
        same[0] = True
        group = left[same]
        weights = finds.scores[group]
        together.append(weights @ numbers[group] / weights.sum())
        best.append(left[0])
        left = left[~same]
    joined = np.array(together, dtype=np.float32).reshape(len(best), numbers.shape[1])
    return Finds(joined[:, :4], joined[:, 4:].reshape(len(best), -1, 2), finds.scores[best])

"""What cosine parts one person's faces from two people's: the points of a card's `similarity`, from a set of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.signals.identity import THRESHOLD_PCT
from proto.errors import BadInput

FALSE_ACCEPTS = 0.001
"""Share of the pairs of two people that may be taken for one: no more than this lies above the lowest threshold."""
FALSE_REJECTS = 0.01
"""Share of the pairs of one person that may be taken for two, where that can be had as well."""
STRANGERS_PCT, SAME_PCT = 20.0, 95.0
FEW = 1000
"""Pairs of two people below which one false accept in a thousand cannot be seen."""


class Calibration(NamedTuple):
    """`points` for a card; how many pairs of one person (`refused` of `genuine`) fall below the threshold, and how many
    of two people (`accepted` of `impostors`) reach it.
    """

    points: tuple[tuple[float, float], ...]
    genuine: int
    impostors: int
    refused: int
    accepted: int


def calibrate(genuine: Sequence[float], impostors: Sequence[float]) -> Calibration:
    """Points that put the threshold, 80 %, half way between what all but `FALSE_ACCEPTS` of the impostors stay under
    and what all but `FALSE_REJECTS` of the genuine pairs reach; where the two overlap, at the former. The medians of
    impostors and genuine pairs become 20 % and 95 %. Cosines are -1 to 1.

    Raises:
        BadInput: no pairs of one of the kinds, or the model does not tell people apart.
    """
    for kind, cosines in (("one person", genuine), ("two people", impostors)):
        if not cosines:
            raise BadInput(f"there is no pair of usable pictures of {kind}", field="folder")
    low, high = float(np.quantile(impostors, 1.0 - FALSE_ACCEPTS)), float(np.quantile(genuine, FALSE_REJECTS))
    threshold = (low + high) / 2.0 if low < high else low
    points = (
        (-1.0, 0.0),
        (_rounded(float(np.median(impostors))), STRANGERS_PCT),
        (_rounded(threshold), THRESHOLD_PCT),
        (_rounded(float(np.median(genuine))), SAME_PCT),
        (1.0, 100.0),
    )
    if any(cosine >= further for (cosine, _), (further, _) in pairwise(points)):
        raise BadInput("does not tell these people apart: pairs of one person are no more alike than pairs of two")
    return Calibration(
        points,
        len(genuine),
        len(impostors),
        sum(1 for cosine in genuine if cosine < points[2][0]),
        sum(1 for cosine in impostors if cosine >= points[2][0]),
    )


def pairs(people: Sequence[str], embeddings: npt.NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Cosines of all pairs of one person's pictures, and of all pairs of two people's. `embeddings` (n, d) are of
    length 1; `people` says whose each is.
    """
    cosines = embeddings @ embeddings.T
    rows, columns = np.triu_indices(len(people), 1)
    same = np.asarray(people)[rows] == np.asarray(people)[columns]
    found = cosines[rows, columns]
    return [float(one) for one in found[same]], [float(one) for one in found[~same]]


def _rounded(cosine: float) -> float:
    return round(cosine, 3)

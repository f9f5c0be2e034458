"""How much alike two faces are, on a scale that means the same for every model; and which faces may be compared.

A model gives each face a direction; the cosine of the angle between two of them says how much alike the faces are. What
cosine parts one person from two differs from model to model, so each model's card carries a mapping of its own from
cosine to percent, on which the threshold is 80 for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.signals.head_pose import Angles
from proto.errors import BadSettings
from proto.observations import Face

Embedding = npt.NDArray[np.float32]
"""(d,), of length 1."""

Mapping = Sequence[tuple[float, float]]
"""Rising points (cosine, percent), joined by straight lines; level beyond the first and the last."""

LENGTH_WITHIN = 0.01
"""How far from 1 the length of an embedding may be, by rounding."""

THRESHOLD_PCT = 80.0
"""From here on two faces are taken for one person's, whatever the model."""

SEVERAL_FROM = 0.5
"""A second face of at least this share of the largest one's height leaves open who is meant."""


class Limits(NamedTuple):
    """Which faces may be used. Heights in pixels of the picture as it came; angles either way."""

    min_face_px: float
    max_yaw_deg: float
    max_pitch_deg: float
    problems: frozenset[str] = frozenset({"dark", "bright", "blurred", "occluded"})
    """What of `Quality.problems` stands in the way."""


LIVE = Limits(min_face_px=64.0, max_yaw_deg=25.0, max_pitch_deg=20.0)
"""A face of a frame. Wider than what was tested, an impostor is no more certain, and a candidate no safer."""

PHOTO = Limits(min_face_px=96.0, max_yaw_deg=25.0, max_pitch_deg=20.0)
"""The face that is registered: everything later is measured by it."""

DOCUMENT = Limits(min_face_px=40.0, max_yaw_deg=35.0, max_pitch_deg=35.0, problems=frozenset({"dark", "bright"}))
"""A printed portrait: small, soft, often under a pattern."""


def check_mapping(points: Mapping, model: str) -> None:
    """See that a card's `similarity` can be used.

    Raises:
        BadSettings: naming the model: fewer than two points, out of range, not rising, or the threshold is not reached.
    """
    field = f"similarity of {model}"
    if len(points) < 2:
        raise BadSettings(
            "must have at least two points (cosine, percent); `candor models calibrate` finds them", field=field
        )
    for cosine, percent in points:
        if not (-1.0 <= cosine <= 1.0 and 0.0 <= percent <= 100.0):
            raise BadSettings("must be cosines of -1 to 1 and percents of 0 to 100", field=field)
    for (cosine, percent), (next_cosine, next_percent) in pairwise(points):
        if next_cosine <= cosine or next_percent < percent:
            raise BadSettings("must rise from point to point", field=field)
    if not points[0][1] < THRESHOLD_PCT <= points[-1][1]:
        raise BadSettings(f"must cross {THRESHOLD_PCT:g} %", field=field)


def percent(cosine: float, points: Mapping) -> float:
    """0-100 of a cosine by a card's mapping."""
    cosines, percents = zip(*points, strict=True)
    return float(np.interp(cosine, cosines, percents))


def is_direction(embedding: Embedding) -> bool:
    """Whether an embedding says anything. All zeros, or what is no number, is a model that failed: it would be alike to
    nobody.
    """
    return abs(float(np.linalg.norm(embedding)) - 1.0) < LENGTH_WITHIN


def similarity_pct(one: Embedding, other: Embedding, points: Mapping) -> float:
    """How much alike two faces are, 0-100 in tenths, cut off; both embeddings of the mapping's own model."""
    # Cut off, so that a shown 80 has reached 80.
    return math.floor(percent(float(one @ other), points) * 10.0) / 10.0


def matches(similarity: float) -> bool:
    """Whether a similarity in percent says that it is one person."""
    return similarity >= THRESHOLD_PCT


def unfit(angles: Angles, face_px: float, problems: Sequence[str], limits: Limits) -> str:
    """Why a face may not be compared: small, turned, dark, bright, blurred, occluded; empty where it may be.

    `face_px` is its height in pixels, `problems` what is wrong with its part of the picture.
    """
    if face_px < limits.min_face_px:
        return "small"
    if abs(angles.yaw_deg) > limits.max_yaw_deg or abs(angles.pitch_deg) > limits.max_pitch_deg:
        return "turned"
    return next((problem for problem in problems if problem in limits.problems), "")


def abstention(faces: Sequence[Face]) -> str:
    """Why the main face of a frame cannot be compared; empty where it can. `faces` has the largest first.

    no_face, several_faces, or what the face itself says of "identity".
    """
    if not faces:
        return "no_face"
    if any(other.height >= SEVERAL_FROM * faces[0].height for other in faces[1:]):
        return "several_faces"
    return faces[0].abstains.get("identity", "")

"""Eight expressions in percent, from a model's seven classes or, without a model, from the mesh alone.

What a face shows is not what a person feels, and the same face is read differently by different people: this is a
description of a picture, and computed only where a policy allows it.

No model has a class CONFUSED. It is taken from CALM's share by what brows and lids do: a frown (lowered, knitted or
uneven brows: action unit 4 of the Facial Action Coding System, Ekman and Friesen 1978) with tightened lids (unit 7),
the two units that McDaniel et al. 2007 ("Facial features for affective state detection in learning environments") saw
with confusion. Many people's brows are low at rest, so the ramps begin outside what the calm faces of the test
material show. No picture of that material is labelled as confused: how often this is right has not been measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.signals import movements
from inference.signals.eyes import CLOSED_BELOW
from inference.signals.landmarks import Points
from inference.signals.movements import Movements

HAPPY, CALM, CONFUSED, SURPRISED = "HAPPY", "CALM", "CONFUSED", "SURPRISED"
SAD, ANGRY, DISGUSTED, FEAR = "SAD", "ANGRY", "DISGUSTED", "FEAR"
NAMES = (HAPPY, CALM, CONFUSED, SURPRISED, SAD, ANGRY, DISGUSTED, FEAR)
GEOMETRY = "geometry"
"""What `frame.seen` names as the model of an estimate that was made without one."""

OF_LABEL = {
    "neutral": CALM, "calm": CALM,
    "happy": HAPPY, "happiness": HAPPY,
    "sad": SAD, "sadness": SAD,
    "angry": ANGRY, "anger": ANGRY,
    "fear": FEAR, "fearful": FEAR,
    "disgust": DISGUSTED, "disgusted": DISGUSTED,
    "surprise": SURPRISED, "surprised": SURPRISED,
}  # fmt: skip
"""A model's classes, in lower case, to ours. A model with any other class is not used."""

CALM_AT_LEAST = 0.05
"""Evidence for CALM that always remains in the estimate without a model: it is never sure."""


def of_model(probabilities: npt.ArrayLike, labels: Sequence[str], frontal_cm: Points) -> dict[str, float] | None:
    """Eight percentages that sum to 100, from the probabilities (k,) of a model's classes and the face's mesh
    (468 or more, 3) turned to the front. None where the probabilities are no numbers.

    Raises:
        KeyError: a label that `OF_LABEL` does not have.
    """
    shares = dict.fromkeys(NAMES, 0.0)
    for label, probability in zip(labels, np.asarray(probabilities, dtype=np.float64), strict=True):
        shares[OF_LABEL[label.lower()]] += float(probability)
    confused = confusion(movements.read(frontal_cm))
    shares[CONFUSED] = shares[CALM] * confused
    shares[CALM] -= shares[CONFUSED]
    return percentages(shares)


def of_geometry(frontal_cm: Points) -> dict[str, float] | None:
    """The same without a model: an estimate, of one face in one picture, by how many of an expression's movements are
    there at once. None where the mesh has no numbers.

    The prototypes are those of the Facial Action Coding System as far as the mesh shows them; the weakest movement of
    each counts. Without knowing how a face looks at rest, ANGRY and DISGUSTED are seen only where they are strong.
    """
    m = movements.read(frontal_cm)
    jaw_drop = ramp(m.mouth_opening, 0.08, 0.16)
    wide_eyes = ramp(m.openness, 0.34, 0.42)
    raised_brows = ramp(m.brow_raise, 0.31, 0.38)
    raised_inner_ends = ramp(m.brow_slope, 0.085, 0.11)
    lowered_brows = ramp(m.brow_inner, 0.18, 0.13)
    tight_lids = narrowed(m)
    shares = {
        HAPPY: min(ramp(m.smile, 0.62, 0.74), ramp(m.corners, 0.0, 0.06)),
        SURPRISED: min(jaw_drop, wide_eyes, raised_brows),
        FEAR: min(wide_eyes, raised_inner_ends, ramp(m.smile, 0.58, 0.68)),
        SAD: min(ramp(m.corners, -0.03, -0.06), raised_inner_ends),
        ANGRY: min(lowered_brows, ramp(m.mouth_opening, 0.02, 0.0)),
        DISGUSTED: min(lowered_brows, tight_lids, ramp(m.smile, 0.58, 0.68)),
    }
    calm = max(CALM_AT_LEAST, 1.0 - max(shares.values()))
    shares[CONFUSED] = calm * confusion(m)
    shares[CALM] = calm - shares[CONFUSED]
    return percentages(shares)


def confusion(m: Movements) -> float:
    """How much of CALM is CONFUSED, 0-1: the strongest sign of a frown, half of it if the lids are at rest."""
    frown = max(ramp(m.brow_inner, 0.17, 0.12), ramp(m.brow_gap, 0.25, 0.20), ramp(m.brow_asymmetry, 0.04, 0.09))
    return frown * (0.5 + 0.5 * narrowed(m))


def narrowed(m: Movements) -> float:
    """How far the lids are tightened, 0-1; closed eyes are not."""
    return ramp(m.openness, 0.24, 0.16) if m.openness >= CLOSED_BELOW else 0.0


def ramp(value: float, begins: float, full: float) -> float:
    """0 up to `begins`, 1 from `full` on, straight between them; `full` may be the lower one. No number stays none."""
    if math.isnan(value):
        return value
    return min(1.0, max(0.0, (value - begins) / (full - begins)))


def percentages(shares: dict[str, float]) -> dict[str, float] | None:
    """Whole percentages that sum to exactly 100: what rounding down leaves over goes to the largest remainders
    (Hamilton's method), in the order of `NAMES` where those are equal. None without a positive finite sum.
    """
    total = sum(shares.values())
    if not (math.isfinite(total) and total > 0.0 and min(shares.values()) >= 0.0):
        return None
    exact = {name: shares.get(name, 0.0) / total * 100.0 for name in NAMES}
    whole = {name: math.floor(value) for name, value in exact.items()}
    left_over = 100 - sum(whole.values())
    for name in sorted(NAMES, key=lambda name: whole[name] - exact[name])[:left_over]:
        whole[name] += 1
    return {name: float(value) for name, value in whole.items()}

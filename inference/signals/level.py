"""How loud sound is: RMS level and the share of clipped samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32768.0
SILENCE_DBFS = -100.0
"""Level given to digital silence, and the floor of all levels: 16 bits reach down to about -96 dBFS."""
CLIPPED_AT = 32_700
"""A sample at or beyond this magnitude counts as clipped: a codec cuts what overshoots a little below full scale."""


def square_sum(samples: NDArray[np.int16]) -> float:
    """Sum of squares of the samples, with full scale as 1."""
    scaled = samples.astype(np.float64) / FULL_SCALE
    # Not np.dot: for a second of sound BLAS starts threads, and they cost ten times what they save.
    return float(np.square(scaled).sum())


def clipped_count(samples: NDArray[np.int16]) -> int:
    """How many samples are at full scale."""
    return int(np.count_nonzero(np.abs(samples.astype(np.int32)) >= CLIPPED_AT))


def dbfs(squares: float, count: int) -> float:
    """RMS level in decibels relative to full scale, from a sum of squares over `count` samples; at least SILENCE_DBFS.

    20 log10(rms), so a full-scale square wave is 0 and a full-scale sine is -3.01.
    """
    if count <= 0 or squares <= 0.0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 10.0 * math.log10(squares / count))

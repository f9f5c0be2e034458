"""How long a worker hesitates before it asks for a session, so that the one with the most room gets it. Pure."""

from __future__ import annotations

FULL_S = 1.0
"""A worker whose places are all but taken hesitates so long: with 20 places 50 ms for each, which is more than two
workers need to see who was first.
"""
SATURATED = 0.8
"""Real-time factor of decoding from which a worker is better left alone."""
SATURATED_S = 3.0
BEHIND_S = 5.0
"""A worker so far behind its sound is saturated, whatever its decoders say."""


def delay_s(held: int, places: int, realtime_factor: float, behind_s: float) -> float:
    """How long to leave a session to others. A saturated worker takes it only if nobody else has by then.

    `held` of `places` sessions are ours; `realtime_factor` is the share of time spent decoding, `behind_s` how far the
    session that is furthest behind lags.
    """
    wanted_s = FULL_S * min(1.0, held / places)
    if realtime_factor >= SATURATED or behind_s >= BEHIND_S:
        return wanted_s + SATURATED_S
    return wanted_s + FULL_S * max(0.0, realtime_factor)

"""Single signals that could not be told of a face that was otherwise fit to be judged: how often, and why mostly."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from proto.views import Abstention

POSE, GAZE, EXPRESSION, IDENTITY = "pose", "gaze", "expression", "identity"
EYES_CLOSED = "eyes_closed"
SIGNALS = (POSE, GAZE, EXPRESSION, IDENTITY)
REASONS = ("small", "turned", "blurred", "dark", "bright", "occluded", EYES_CLOSED)
"""What a worker may give as a signal and as a reason; anything else that came over the wire is not counted."""


class Abstentions(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`faces` counts the faces that were judged; `counts` maps `signal.reason` to how often that was so."""

    faces: int = 0
    counts: dict[str, int] = {}


def count(abstentions: Abstentions, abstains: Mapping[str, str]) -> Abstentions:
    """Abstentions after one more face. No more than `SIGNALS` times `REASONS` are kept apart."""
    counts = abstentions.counts
    for signal in SIGNALS:
        reason = abstains.get(signal)
        if reason in REASONS:
            name = f"{signal}.{reason}"
            counts = {**counts, name: counts.get(name, 0) + 1}
    return Abstentions(faces=abstentions.faces + 1, counts=counts)


def told(abstentions: Abstentions, signals: tuple[str, ...] = SIGNALS) -> tuple[Abstention, ...]:
    """Those of `signals` that abstained, the share of the judged faces, and the most frequent reason."""
    found = []
    for signal in signals:
        times = {reason: abstentions.counts.get(f"{signal}.{reason}", 0) for reason in REASONS}
        total = sum(times.values())
        if total:
            most = max(REASONS, key=lambda reason: times[reason])
            found.append(Abstention(signal=signal, share=round(min(1.0, total / abstentions.faces), 3), reason=most))
    return tuple(found)

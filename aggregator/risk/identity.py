"""Is it still the person whose face was registered? What one comparison lets us say, and what all of them were."""

from __future__ import annotations

import msgspec

from aggregator.risk.abstention import IDENTITY
from aggregator.risk.look import Picture, alone
from proto.observations import IdentityCheck

SETTLE_S = 6.0
"""Workers remember a reference face for five seconds."""

MAX_AHEAD_S = 60.0
"""A registration may be ahead of the newest frame that was folded, but not by more than this."""


class Identity(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`references` counts registrations; `checks` comparisons that could tell, `failures` those of them that did not
    match, `undecided` those that could not tell; `total_pct` is the sum of the similarities. Until `settled_s` a
    comparison may still be with the reference before the newest one.
    """

    references: int = 0
    checks: int = 0
    failures: int = 0
    undecided: int = 0
    total_pct: float = 0.0
    settled_s: float = 0.0


class Likeness(msgspec.Struct, frozen=True):
    """A comparison that can be relied on: 0-100 %, and whether that is the same person."""

    similarity_pct: float
    matches: bool


def likeness(check: IdentityCheck, picture: Picture, *, doubted: bool) -> Likeness | None:
    """What a comparison says; None where it says nothing, because the face cannot be judged."""
    if check.matches is None or check.similarity_pct is None or not 0.0 <= check.similarity_pct <= 100.0:
        return None
    if doubted or picture.unfit or picture.hidden or picture.main is None or not alone(picture):
        return None
    if IDENTITY in picture.main.abstains:
        return None
    return Likeness(check.similarity_pct, check.matches)


def register(identity: Identity, t_s: float, clock_s: float) -> Identity:
    """Identity after a reference face was stored at `t_s`."""
    settled_s = min(t_s, clock_s + MAX_AHEAD_S) + SETTLE_S if identity.references else identity.settled_s
    return msgspec.structs.replace(identity, references=identity.references + 1, settled_s=settled_s)


def count(identity: Identity, found: Likeness | None) -> Identity:
    """Identity after one comparison."""
    if found is None:
        return msgspec.structs.replace(identity, undecided=identity.undecided + 1)
    return msgspec.structs.replace(
        identity,
        checks=identity.checks + 1,
        failures=identity.failures + (not found.matches),
        total_pct=identity.total_pct + found.similarity_pct,
    )

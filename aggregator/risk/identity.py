"""Is it still the person whose face was registered? What one comparison lets us say, and what all of them were."""

from __future__ import annotations

import msgspec

from aggregator.risk.look import Picture, alone
from proto.observations import IdentityCheck

SIGNAL = "identity"


class Identity(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`references` counts registrations; `checks` comparisons that could tell, `failures` those of them that did not
    match, `undecided` those that could not tell; `total_pct` is the sum of the similarities.
    """

    references: int = 0
    checks: int = 0
    failures: int = 0
    undecided: int = 0
    total_pct: float = 0.0


class Likeness(msgspec.Struct, frozen=True):
    """A comparison that can be relied on: 0-100 %, and whether that is the same person."""

    similarity_pct: float
    matches: bool


def likeness(check: IdentityCheck, picture: Picture, *, poor: bool) -> Likeness | None:
    """What a comparison says; None where it says nothing, because the face cannot be judged."""
    if check.matches is None or check.similarity_pct is None or not 0.0 <= check.similarity_pct <= 100.0:
        return None
    if poor or picture.unfit or picture.hidden or picture.main is None or not alone(picture):
        return None
    if SIGNAL in picture.main.abstains:
        return None
    return Likeness(check.similarity_pct, check.matches)


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

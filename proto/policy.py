"""A policy: what is analysed, which rules may raise the score, and when a human is asked to look.

Written in TOML, versioned by hash, carried whole in `session.created`. What a rule *means* lives in `aggregator/risk/`;
here is only its shape.
"""

from __future__ import annotations

import hashlib
import math
from typing import Annotated

import msgspec

from proto.errors import BadPolicy
from proto.views import Severity

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=30)]


class Analysis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ingest and the workers do for a session. `emotion` allows expression and stress to be inferred at all.

    `..._per_s` is how often a frame is looked at for that, 0 never; faces are compared once one is registered.
    `voices` says whether the voices of a session are told apart by their sound. `keep_text` keeps the words read in the
    picture; otherwise only that there is text, and where.
    """

    fps: Annotated[float, msgspec.Meta(gt=0, le=30)] = 5.0
    width_px: Annotated[int, msgspec.Meta(ge=160, le=1920)] = 640
    jpeg_quality: Annotated[int, msgspec.Meta(ge=30, le=100)] = 80
    audio: bool = True
    transcript: bool = True
    voices: bool = True
    emotion: bool = False
    evidence: bool = True
    objects_per_s: Rate = 2.0
    identity_per_s: Rate = 0.5
    expression_per_s: Rate = 1.0
    text_per_s: Rate = 0.1
    keep_text: bool = False


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: its condition must hold for `hold_s` to fire, be gone for `release_s` to end, and `cooldown_s` must
    pass between two firings. `weight` points decay by half every `half_life_s` (None: the policy's). `enter` and
    `exit` are the thresholds of conditions that have one, in the condition's own unit; `exit` easier than `enter` is
    the hysteresis.
    """

    severity: Severity
    weight: Annotated[float, msgspec.Meta(ge=0, le=100)]
    hold_s: NotNegative = 0.0
    release_s: NotNegative = 1.0
    cooldown_s: NotNegative = 10.0
    half_life_s: Positive | None = None
    enter: float | None = None
    exit: float | None = None
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    labels: tuple[str, ...] = ()
    enabled: bool = True


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`half_life_s` of a ledger line; `review_at` is the score that asks for a human; levels are lower bounds of the
    score.
    """

    name: str
    description: str = ""
    half_life_s: Positive = 120.0
    review_at: Annotated[float, msgspec.Meta(ge=0, le=100)] = 50.0
    medium_at: NotNegative = 20.0
    high_at: NotNegative = 50.0
    critical_at: NotNegative = 75.0
    idle_limit_s: Positive = 900.0
    analysis: Analysis = Analysis()
    rules: dict[str, Rule] = {}


MAX_POLICY_BYTES = 64 * 1024

RULE_NAMES = frozenset(
    {
        "EYES_OFF_SCREEN",
        "IDENTITY_MISMATCH",
        "LOOKING_AWAY",
        "MULTIPLE_FACES",
        "NO_FACE",
        "PHONE_DETECTED",
        "PHONE_PARTIAL_DETECTED",
        "READING_PATTERN",
        "SECOND_VOICE",
        "SOURCE_LOST",
        "STRESS_HIGH",
        "SUSPICIOUS_OBJECT",
        "TEXT_IN_VIEW",
        "VOICE_NOT_FROM_FACE",
        "WHISPERING",
    }
)
"""The rules the fold knows. A policy already in a log may name others, of an older or newer fold: those are idle."""


def parse(text: str, *, known_rules_only: bool = False) -> Policy:
    """Policy from TOML. `known_rules_only` is for a policy that somebody is about to use: a typo must not idle a rule.

    Raises:
        BadPolicy: naming the field and the limit.
    """
    if len(text.encode()) > MAX_POLICY_BYTES:
        raise BadPolicy(f"is larger than {MAX_POLICY_BYTES} bytes", field="policy")
    try:
        policy = msgspec.toml.decode(text, type=Policy)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadPolicy(str(error), field="policy") from error
    if (endless := _not_finite(msgspec.to_builtins(policy))) is not None:
        raise BadPolicy("must be a finite number", field=endless)
    if known_rules_only and (unknown := sorted(set(policy.rules) - RULE_NAMES)):
        raise BadPolicy(
            f"is no rule; the rules are {', '.join(sorted(RULE_NAMES))}", field=f"policy.rules.{unknown[0]}"
        )
    if not policy.medium_at <= policy.high_at <= policy.critical_at:
        raise BadPolicy("medium_at, high_at and critical_at must not decrease", field="policy")
    return policy


def _not_finite(value: object, path: str = "policy") -> str | None:
    """Where a number stands that is infinite or none: TOML can write both, JSON and a sum of points hold neither."""
    if isinstance(value, float) and not math.isfinite(value):
        return path
    if isinstance(value, dict):
        found = (_not_finite(item, f"{path}.{key}") for key, item in value.items())
        return next((where for where in found if where is not None), None)
    return None


def digest(text: str) -> str:
    """Version of a policy: the first 16 hex digits of the SHA-256 of its text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""The shape of a session's report; `api.report` fills it."""

from __future__ import annotations

from typing import Literal

import msgspec

from api.models import EvidenceItem, Segment
from api.speaking import Interpreted
from proto.views import Level, Severity, Status


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over the whole session; `value` is null and `text` says so where it was not measured."""

    name: str
    value: float | None
    unit: str
    text: str


class Expressed(msgspec.Struct, frozen=True, kw_only=True):
    """The expression over the whole session, only where the policy allows emotion and it was measured.

    `percentages` sum to 100, `dominant` names the largest. `estimate`: from the face's geometry, without a model.
    """

    dominant: str
    percentages: dict[str, float]
    model: str
    estimate: bool
    text: str


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """One voice that was told apart: its `share` (0-1) of the speech whose voice could be told.

    `voice` counts the voices of the session from 0; `role` is `interviewer` or empty. A voice is no name: whose it is
    nobody can say from it.
    """

    voice: int
    role: Literal["", "interviewer"]
    share: float
    speech_s: float
    text: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One ledger line in words: `points` when added, `points_now` what is left of them. `seq` is its observation."""

    seq: int
    t_s: float
    at: str
    rule: str
    severity: Severity
    points: float
    points_now: float
    text: str


class RuleState(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rule. One that was not measured did not stay silent because nothing was there."""

    rule: str
    severity: Severity
    state: Literal["watched", "off", "not_measured"]
    fired: int
    text: str


class AlertClaim(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that was raised, caused by observation `seq`."""

    id: str
    seq: int
    t_s: float
    at: str
    rule: str
    severity: Severity
    text: str


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the timeline in words; `duration_s` of an open one is up to now."""

    kind: str
    severity: Severity
    start_s: float
    end_s: float | None
    duration_s: float
    text: str


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A feature that did not work in this session, why, and what an operator runs to have it next time."""

    feature: str
    reason: str
    command: str
    text: str


class Uncertainty(msgspec.Struct, frozen=True, kw_only=True):
    """For how long nothing could be judged, and what single signals could not be told of. It never raises the score.

    `sound` says for how long the sound could not be judged, and why; the picture was judged all the same.
    """

    signals: tuple[str, ...]
    sound: tuple[str, ...]
    total_s: float
    share: float | None
    active: bool
    reasons: tuple[str, ...]
    text: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A session in words and figures, as of log sequence `seq`. Nothing in it is a decision about a person."""

    session: str
    label: str
    status: Status
    seq: int
    generated_at: str
    created_unix_s: float
    duration_s: float
    policy: str
    policy_hash: str
    summary: str
    score: float
    peak_score: float
    level: Level
    review_recommended: bool
    review_s: float | None
    recommendation: str
    could_not_tell: Uncertainty
    measures: tuple[Measure, ...]
    speaking: tuple[Interpreted, ...]
    voices: tuple[Voice, ...]
    voices_text: str
    expression: Expressed | None
    rules: tuple[RuleState, ...]
    unavailable: tuple[Missing, ...]
    ledger: tuple[Claim, ...]
    ledger_dropped: int
    alerts: tuple[AlertClaim, ...]
    alerts_dropped: int
    timeline: tuple[Stretch, ...]
    timeline_dropped: int
    rejected: int
    evidence: tuple[EvidenceItem, ...]
    transcript: tuple[Segment, ...]
    transcript_text: str
    transcript_complete: bool

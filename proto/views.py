"""A session as people see it: made by the aggregator, read by the api and the pages."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["info", "low", "medium", "high", "critical"]
Status = Literal["created", "live", "stalled", "ended", "expired"]
Level = Literal["low", "medium", "high", "critical"]


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the score: `weight` points at `t_s`, halved every `half_life_s`, caused by observation `seq` of
    the log.

    `why` says it in plain words ("No face for 4.2 s.").
    """

    seq: int
    t_s: float
    rule: str
    severity: Severity
    weight: float
    half_life_s: float
    why: str


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the timeline. `kind` is a rule's name, `COULD_NOT_TELL`, `SOURCE_LOST`...; open while `end_s` is
    None.
    """

    kind: str
    severity: Severity
    start_s: float
    end_s: float | None
    detail: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A rule fired. `id` is stable across a replay; `message` asks for a look, it does not accuse."""

    id: str
    session: str
    rule: str
    severity: Severity
    t_s: float
    seq: int
    message: str


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    available: bool
    reason: str = ""
    command: str = ""


class CouldNotTell(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing can be judged right now, and for how long that was so altogether. Never raises the score."""

    active: bool
    reasons: tuple[str, ...]
    total_s: float


class Abstention(msgspec.Struct, frozen=True, kw_only=True):
    """A signal (pose, gaze, expression, identity) that could not be told of a `share` (0-1) of the faces that were
    otherwise fit to be judged, mostly for `reason`: small, turned, blurred, dark, bright, occluded, eyes_closed.
    """

    signal: str
    share: float
    reason: str


class VoiceShare(msgspec.Struct, frozen=True, kw_only=True):
    """One voice of a session and its `share` (0-1) of the speech whose voice could be told."""

    voice: int
    share: float
    speech_s: float
    role: Literal["", "interviewer"] = ""


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures over the whole session so far; a share is 0-1, None is "not measured".

    `identity_pct` is the mean similarity to the registered face over `identity_checks` that could tell;
    `identity_undecided` counts those that could not. `expression` is the smoothed expression now in percent,
    `expression_mean` that of the whole session, both only there where the policy allows it; `expression_model` is
    "geometry" where it is an estimate without a model. `text_looks` counts searches for readable text (None: there was
    none), `text_found` those that found some.

    `pauses` counts the pauses between stretches of speech that lasted half a second or longer, `pause_mean_s` their
    mean. `speech_dbfs` and `noise_dbfs` are mean levels of speech and of what is left without it, `voiced_share` how
    much of the speech had a pitch. `sound_problems` gives the seconds of sound for each thing that kept it from being
    judged (lost, muted, quiet, clipped, noisy, music). `voices` are those that were told apart, the longest first
    (None: nothing looked); `voice_silhouette` (-1 to 1) says how well they stand apart, `voice_unknown_s` how much
    speech was nobody's for certain, `overlap_s` how long candidate and interviewer spoke at once (None: the interviewer
    has no source of its own). `mouth_still_share` is the share of the speech during which the face in view had a still
    mouth, of what could be compared.
    """

    frames_seen: int = 0
    frames_skipped: int = 0
    face_share: float | None = None
    eyes_off_share: float | None = None
    blinks_per_min: float | None = None
    speech_share: float | None = None
    speech_s: float = 0.0
    longest_pause_s: float = 0.0
    words: int = 0
    words_per_min: float | None = None
    identity_pct: float | None = None
    identity_checks: int = 0
    identity_failures: int = 0
    expression: dict[str, float] | None = None
    expression_model: str = ""
    identity_undecided: int = 0
    expression_mean: dict[str, float] | None = None
    text_looks: int | None = None
    text_found: int = 0
    pauses: int = 0
    pause_mean_s: float | None = None
    speech_dbfs: float | None = None
    noise_dbfs: float | None = None
    voiced_share: float | None = None
    sound_problems: dict[str, float] = {}
    voices: tuple[VoiceShare, ...] | None = None
    voice_silhouette: float | None = None
    voice_unknown_s: float = 0.0
    overlap_s: float | None = None
    mouth_still_share: float | None = None
    abstained: tuple[Abstention, ...] = ()


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one rule of the policy: `watched`, `off` (the policy says so) or `not_measured`, with the reason.

    A watched rule has a reason where it was watched less than it should have been. `fired` counts its ledger lines. A
    rule that was not measured did not fire because nothing looked, not because nothing was there.
    """

    rule: str
    severity: Severity
    weight: float
    state: Literal["watched", "off", "not_measured"]
    reason: str = ""
    fired: int = 0


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """All that is shown of a session. `clock_s` is session time; `score` (0-100) is the decayed ledger at `clock_s`.

    `review_recommended` asks a human to look, and stays once the score has reached the policy's `review_at` (at
    `review_s`); nothing here is a decision about a person. `peak_score` is the highest the score ever was. The
    `..._dropped` counts say how many old entries were let go, `rejected` how many observations could not be true.
    """

    session: str
    seq: int
    status: Status
    label: str
    policy: str
    policy_hash: str
    created_unix_s: float
    clock_s: float
    score: float
    level: Level
    review_recommended: bool
    could_not_tell: CouldNotTell
    active: tuple[Episode, ...]
    ledger: tuple[LedgerLine, ...]
    timeline: tuple[Episode, ...]
    alerts: tuple[Alert, ...]
    features: tuple[Feature, ...]
    measures: Measures
    evidence: tuple[str, ...] = ()
    ledger_dropped: int = 0
    metadata: dict[str, str] = {}
    peak_score: float = 0.0
    review_s: float | None = None
    review_at: float | None = None
    end_reason: str = ""
    rules: tuple[Watch, ...] = ()
    timeline_dropped: int = 0
    alerts_dropped: int = 0
    rejected: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Value of KV `sessions`: the fold's state after log sequence `seq`, its hash, and the view of it, in one put."""

    session: str
    seq: int
    state_hash: str
    view: SessionView
    state: bytes


class Deleted(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="deleted"):
    """live.<session>: the session was erased."""

    session: str


class Changed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="changed"):
    """live.<session>: the state after log sequence `seq` (stored before this is sent).

    `view` has only the ledger lines, timeline episodes and alerts that are new or changed since the change before.
    """

    session: str
    seq: int
    view: SessionView


class Tentative(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="tentative"):
    """live.<session>: words that may still change, from `start_s`. Empty text withdraws them."""

    session: str
    utterance: int
    start_s: float
    text: str


class Committed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="committed"):
    """live.<session>: words that were just committed to the log."""

    session: str
    utterance: int
    start_s: float
    end_s: float
    text: str


Live = Changed | Tentative | Committed | Deleted

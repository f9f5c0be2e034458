"""The fold: (state, observation, policy) -> (state, alerts). No clock, no chance, no opinion elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from aggregator.risk import hearing, life, sight
from aggregator.risk.draft import Draft
from aggregator.risk.state import State
from proto.observations import (
    EARLIEST_S,
    AnyObservation,
    DocumentCompared,
    EvidenceStored,
    FaceRegistered,
    FeatureStatus,
    FrameSeen,
    FrameSkipped,
    Observation,
    SessionCreated,
    SessionEnded,
    SessionExpired,
    SourceLost,
    SourceStalled,
    SourceStats,
    SourceUp,
    SpeechHeard,
    TextSeen,
    VoiceHeard,
    WordsCommitted,
    WordsTranslated,
)
from proto.policy import Policy
from proto.views import Alert

MAX_JUMP_S = 120.0
"""Beyond a policy's idle limit and this much slack no observation can lie ahead of the one before."""

_HANDLERS: dict[type[Observation], Callable[[Draft, Any], None]] = {
    SessionCreated: life.created_again,
    SessionEnded: life.ended,
    SessionExpired: life.expired,
    SourceStalled: life.stalled,
    SourceUp: life.source_up,
    SourceLost: life.source_lost,
    SourceStats: life.source_stats,
    EvidenceStored: life.evidence_stored,
    FeatureStatus: life.feature_status,
    FrameSeen: sight.frame_seen,
    FrameSkipped: sight.frame_skipped,
    TextSeen: sight.text_seen,
    FaceRegistered: life.face_registered,
    DocumentCompared: life.document_compared,
    SpeechHeard: hearing.speech_heard,
    VoiceHeard: hearing.voice_heard,
    WordsCommitted: hearing.words_committed,
    WordsTranslated: hearing.words_translated,
}


def apply(
    state: State, observation: AnyObservation, policy: Policy, seq: int, logged_unix_s: float
) -> tuple[State, tuple[Alert, ...]]:
    """State after `observation`, which has log sequence `seq`, and the alerts of the rules it made fire.

    An observation whose time cannot be right (`logged_unix_s`, when the log stored it, is the measure) is counted as
    rejected and changes nothing else. A sequence the state already holds must not come again: the caller skips it.
    """
    draft = Draft(state, policy, seq)
    if not plausible(state, observation.t_s, policy, logged_unix_s):
        life.count(draft, "rejected")
        return draft.freeze(), ()
    _HANDLERS[type(observation)](draft, observation)
    return draft.freeze(), draft.fired


def plausible(state: State, t_s: float, policy: Policy, logged_unix_s: float) -> bool:
    """Whether session time `t_s` can be true: no number, a negative or a far one would poison the clock for good.

    It may run ahead of the session's clock by the idle limit (whoever is silent for longer is expired), and it may
    always be as late as the moment at which it was logged.
    """
    if not math.isfinite(t_s) or t_s < EARLIEST_S:
        return False
    ahead_s = state.clock_s + policy.idle_limit_s + MAX_JUMP_S
    return t_s <= ahead_s or t_s <= logged_unix_s - state.head.created_unix_s + MAX_JUMP_S

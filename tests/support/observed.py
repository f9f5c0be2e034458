"""Observations as the workers make them, for tests of the fold: a script of moments, not a model of a person."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from aggregator.risk import fold, state
from aggregator.risk.state import State
from proto import policy
from proto.observations import (
    AnyObservation,
    DocumentCompared,
    Face,
    FaceRegistered,
    FrameSeen,
    IdentityCheck,
    Quality,
    SeenObject,
    SessionCreated,
    SourceStats,
    SourceUp,
    SpeechHeard,
    TextRegion,
    TextSeen,
    VoiceHeard,
)
from proto.policy import Policy
from proto.views import Alert

POLICIES = Path(__file__).resolve().parents[2] / "deploy" / "policies"
STANDARD = (POLICIES / "standard.toml").read_text("utf-8")
FULL = (POLICIES / "full.toml").read_text("utf-8")
CREATED_UNIX_S = 1_700_000_000.0
FPS = 5.0
SESSION = "s1"


def created(
    session: str = SESSION, policy_toml: str = STANDARD, created_unix_s: float = CREATED_UNIX_S
) -> SessionCreated:
    return SessionCreated(
        session=session,
        source="api",
        seq=1,
        t_s=0.0,
        created_unix_s=created_unix_s,
        policy_name="standard",
        policy_toml=policy_toml,
        token_sha256="0" * 64,
        label="candidate 7",
    )


def face(**changes: Any) -> Face:
    """A face that looks about at the camera."""
    looks: dict[str, Any] = {
        "x": 0.35, "y": 0.2, "width": 0.3, "height": 0.5, "yaw_deg": 1.0, "pitch_deg": 2.0, "roll_deg": 0.0,
        "left_eye_openness": 0.3, "right_eye_openness": 0.3, "mouth_opening": 0.05, "smile": 0.1, "brow_raise": 0.1,
        "eye_yaw_deg": -0.5, "eye_pitch_deg": 1.0, "gaze_yaw_deg": 0.5, "gaze_pitch_deg": 3.0,
    }  # fmt: skip
    return Face(**(looks | changes))


def numbered(t_s: float) -> int:
    """A sequence number for a time that may be no number."""
    return abs(round(t_s * 1000)) if math.isfinite(t_s) else 0


def frame(t_s: float, *faces: Face, session: str = SESSION, source: str = "cam", **changes: Any) -> FrameSeen:
    """A well-lit frame; without faces nobody is in it unless `person_present` says otherwise."""
    changes.setdefault("quality", Quality(brightness=120.0, sharpness=300.0))
    if not faces:
        changes.setdefault("person_present", False)
    return FrameSeen(session=session, source=source, seq=numbered(t_s), t_s=float(t_s), faces=faces, **changes)


def unfit(*problems: str) -> Quality:
    return Quality(brightness=20.0, sharpness=5.0, problems=problems)


def thing(label: str, score: float = 0.9, *, partial: bool = False) -> SeenObject:
    return SeenObject(label=label, score=score, x=0.1, y=0.1, width=0.2, height=0.2, partial=partial)


def alike(similarity_pct: float) -> IdentityCheck:
    """A comparison that could tell."""
    return IdentityCheck(similarity_pct=similarity_pct, matches=similarity_pct >= 80.0)


def registered(t_s: float = 0.0, origin: str = "photo", session: str = SESSION) -> FaceRegistered:
    return FaceRegistered(
        session=session, source="vision", seq=numbered(t_s), t_s=t_s, model="m", origin=origin, face_px=200.0
    )


def document(t_s: float, similarity_pct: float, session: str = SESSION, **changes: Any) -> DocumentCompared:
    compared: dict[str, Any] = {"model": "m", "document_type": "passport", "matches": similarity_pct >= 80.0}
    return DocumentCompared(
        session=session,
        source="vision",
        seq=numbered(t_s),
        t_s=t_s,
        similarity_pct=similarity_pct,
        **(compared | changes),
    )


def region(x: float = 0.1, y: float = 0.1, confidence: float = 0.9, **changes: Any) -> TextRegion:
    sized: dict[str, Any] = {"width": 0.2, "height": 0.05, "characters": 12}
    return TextRegion(x=x, y=y, confidence=confidence, **(sized | changes))


def read(t_s: float, *regions: TextRegion, session: str = SESSION, source: str = "cam") -> TextSeen:
    """A frame that was searched for text."""
    return TextSeen(session=session, source=source, seq=numbered(t_s), t_s=float(t_s), regions=regions)


def second(t_s: float, session: str = SESSION, **changes: Any) -> SpeechHeard:
    heard: dict[str, Any] = {"duration_s": 1.0, "speech_s": 0.5, "level_dbfs": -30.0, "pause_s": 0.2}
    return SpeechHeard(session=session, source="speech", seq=numbered(t_s), t_s=float(t_s), **(heard | changes))


def piece(t_s: float, voice: int | None, session: str = SESSION, **changes: Any) -> VoiceHeard:
    """Speech whose voice was told, where voices that were told apart stand well apart."""
    told: dict[str, Any] = {"duration_s": 0.8, "model": "m", "similarity": 0.9, "silhouette": 0.5 if voice else None}
    return VoiceHeard(
        session=session, source="speech", seq=max(0, round(t_s * 100)), t_s=float(t_s), voice=voice, **(told | changes)
    )


def up(t_s: float = 0.0, session: str = SESSION, source: str = "cam") -> SourceUp:
    return SourceUp(session=session, source=source, seq=1, t_s=float(t_s), node="node-1", video=True, audio=True)


def stats(t_s: float, session: str = SESSION, source: str = "cam", **changes: Any) -> SourceStats:
    counts: dict[str, Any] = {
        "frames_sent": 10,
        "frames_dropped": 0,
        "audio_chunks": 10,
        "packets_received": 1000,
        "packets_lost": 0,
        "lag_s": 0.0,
    }
    return SourceStats(session=session, source=source, seq=numbered(t_s), t_s=float(t_s), **(counts | changes))


def span(start_s: float, end_s: float, step_s: float = 1 / FPS) -> list[float]:
    """Moments from `start_s` up to, not including, `end_s`."""
    return [start_s + i * step_s for i in range(round((end_s - start_s) / step_s))]


def calm(start_s: float, end_s: float) -> list[FrameSeen]:
    """Somebody looks at the screen: what a baseline is learnt from."""
    return [frame(t_s, face()) for t_s in span(start_s, end_s)]


class Folded:
    """A session folded in one go, each observation through its own bytes, as it comes off the log."""

    def __init__(self, observations: Iterable[AnyObservation] = (), policy_toml: str = STANDARD) -> None:
        self.policy: Policy = policy.parse(policy_toml)
        self.state: State = state.initial(
            created(policy_toml=policy_toml), self.policy, policy.digest(policy_toml), seq=1
        )
        self.alerts: list[Alert] = []
        self.add(observations)

    def add(self, observations: Iterable[AnyObservation]) -> Folded:
        for observation in observations:
            wire = msgspec.msgpack.decode(msgspec.msgpack.encode(observation), type=AnyObservation)
            logged_unix_s = CREATED_UNIX_S + self.state.clock_s + 1.0
            self.state, alerts = fold.apply(self.state, wire, self.policy, self.state.seq + 1, logged_unix_s)
            self.alerts += alerts
        return self

    @property
    def rules(self) -> list[str]:
        """Rules in the ledger, in order."""
        return [line.rule for line in self.state.ledger]

    @property
    def hash(self) -> str:
        return state.state_hash(state.pack(self.state))

    def lines(self, rule: str) -> list[float]:
        """When a rule fired."""
        return [line.t_s for line in self.state.ledger if line.rule == rule]

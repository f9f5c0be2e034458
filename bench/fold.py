"""How fast observations become state: the pure fold alone, and through NATS with snapshots."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec

from aggregator.risk import fold, state
from bench.figures import Report
from bench.stack import Stack
from proto import codec, policy, subjects
from proto.observations import AnyObservation, Face, FrameSeen, Observation, Quality, SessionCreated
from proto.views import Snapshot
from runtime.bus import Bus
from runtime.settings import RuntimeSettings

FACE = Face(
    x=0.4, y=0.3, width=0.2, height=0.3, yaw_deg=2.0, pitch_deg=1.0, roll_deg=0.0, left_eye_openness=0.3,
    right_eye_openness=0.3, mouth_opening=0.02, smile=0.1, brow_raise=0.1, eye_yaw_deg=0.5, eye_pitch_deg=0.2,
    gaze_yaw_deg=2.5, gaze_pitch_deg=1.2,
)  # fmt: skip


def observations(session: str, count: int, policy_toml: str) -> list[Observation]:
    """A session of `count` frames at 5 fps in which now and then nobody is there."""
    first = SessionCreated(
        session=session, source="api", seq=0, t_s=0.0, created_unix_s=time.time(), policy_name="standard",
        policy_toml=policy_toml, token_sha256="",
    )  # fmt: skip
    frames = [
        FrameSeen(
            session=session, source="peer", seq=seq, t_s=seq / 5, quality=Quality(brightness=120.0, sharpness=200.0),
            faces=() if seq % 100 > 80 else (msgspec.structs.replace(FACE, yaw_deg=float(seq % 7)),),
            person_present=False if seq % 100 > 80 else None, models={"face": "mesh"}, timings_ms={"mesh": 2.5},
        )
        for seq in range(count)
    ]  # fmt: skip
    return [first, *frames]

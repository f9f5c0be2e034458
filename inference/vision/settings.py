"""Settings of a vision worker."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from runtime.settings import ServiceSettings


class VisionSettings(ServiceSettings, section="vision"):
    """One vision worker."""

    batch_frames: int = Field(
        32, ge=1, le=256, description="Most frames looked at together, of as many sessions; fewer where time is short."
    )
    deadline_ms: float = Field(
        150.0, gt=0, le=60_000, description="Age by which a frame should be done: batches are kept small enough for it."
    )
    fetch_wait_s: float = Field(1.0, gt=0, le=30, description="Longest wait for a frame before asking again.")
    max_publishing: int = Field(
        64, ge=1, description="Observations on their way to the log; above it the worker waits."
    )
    publish_timeout_s: float = Field(5.0, gt=0, description="How long an observation is tried before it is given up.")
    stuck_after_s: float = Field(
        10.0, gt=0, description="Time a batch may take before the worker reports itself not ready."
    )
    stale_after_s: float = Field(1.0, gt=0, description="Age at which a frame counts as stale.")
    stale: Literal["process", "skip"] = Field(
        "process",
        description="What becomes of a stale frame: process looks at it all the same, skip logs it as skipped.",
    )
    max_jpeg_bytes: int = Field(1_000_000, ge=1024, description="Largest picture that is decoded, in bytes.")
    max_pixels: int = Field(4_000_000, ge=4096, description="Largest picture that is decoded, in pixels.")
    max_faces: int = Field(4, ge=1, le=16, description="Most faces looked for in a frame.")
    min_face_confidence: float = Field(0.65, gt=0, lt=1, description="Score from which the detector's find is a face.")
    person: bool = Field(True, description="Look for a person where no face is found (about 3 ms a frame).")
    hands: bool = Field(
        True,
        description="Look for hands before a face whose halves differ (about 10 ms a frame), to know it is covered.",
    )
    hands_rest_s: float = Field(
        1.0, ge=0, le=10, description="How long a session's face is not searched again after a search found no hand."
    )
    objects_model: str = Field(
        "yolox-nano", description="Object detector: a name from `candor models list`; empty looks for no objects."
    )
    identity_model: str = Field(
        "sface", description="Face embedding: a name from `candor models list`; empty compares no faces."
    )
    expression_model: str = Field(
        "fer-mobilefacenet",
        description="Expression model: a name from `candor models list`; without it, a geometric estimate.",
    )
    text: bool = Field(True, description="Search for readable text where a session's policy asks for it.")
    text_min_confidence: float = Field(0.8, ge=0, le=1, description="Confidence from which a line of text is reported.")
    text_waiting: int = Field(
        16,
        ge=1,
        le=1024,
        description="Sessions that wait for their picture to be searched for text; the oldest is left out.",
    )
    identity_key: SecretStr = Field(
        SecretStr(""), description="Key that encrypts reference faces: 32 bytes as base64; all workers need the same."
    )
    identity_key_file: Path | None = Field(None, description="File with that key, instead of identity_key.")

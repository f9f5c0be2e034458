"""Requests the api makes to a vision worker about faces, and the answers. Pictures are upright or not; JPEG only."""

from __future__ import annotations

from typing import Literal

import msgspec

Code = Literal[
    "unreadable",
    "no_face",
    "several_faces",
    "face_too_small",
    "face_turned",
    "face_unclear",
    "already_registered",
    "no_session",
    "unavailable",
]
"""Why a face could not be used: for programs; `Unusable.detail` is the sentence for people."""


class RegisterFace(msgspec.Struct, frozen=True, kw_only=True):
    """Store the only face in `jpeg` as the session's reference. `created_unix_s` is the session's zero of time.

    Without `replace` only where there is none yet.
    """

    session: str
    created_unix_s: float
    jpeg: bytes
    replace: bool = True


class CompareDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Compare the portrait in `document_jpeg` with the only face in `live_jpeg`; with `register`, a match makes the
    live face the session's reference: without `replace` only where there is none yet.
    """

    session: str
    created_unix_s: float
    document_jpeg: bytes
    live_jpeg: bytes
    document_type: str = "other"
    register: bool = True
    replace: bool = True


class Registered(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="registered"):
    """`face_px` is the height of the face that was registered; `confidence` (0-1) is the detector's."""

    model: str
    face_px: float
    confidence: float


class Compared(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="compared"):
    """`similarity_pct` 0-100 against a threshold of `threshold_pct`; `rotation_deg` is how the document was turned."""

    model: str
    similarity_pct: float
    threshold_pct: float
    matches: bool
    registered: bool
    rotation_deg: int
    document_confidence: float
    live_confidence: float


class Unusable(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="unusable"):
    """`picture` says which one: photo, document or live. `command` is what an operator runs where a model is absent."""

    code: Code
    picture: str
    detail: str
    command: str = ""


RegisterReply = Registered | Unusable
CompareReply = Compared | Unusable

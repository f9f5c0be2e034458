"""Requests the api makes to an ingest node, and the answers: WHIP carried over NATS."""

from __future__ import annotations

from typing import Literal

import msgspec

from proto.observations import INTERVIEWER
from proto.policy import Analysis

MAX_SDP_BYTES = 128 * 1024

Role = Literal["candidate", "interviewer"]
"""Whose source a peer is. Of the interviewer's only the sound is taken."""


def role_of(source: str) -> Role:
    """Whose source this is, by its name; a peer is the source of what it sends, and has the same name."""
    return "interviewer" if source.startswith(INTERVIEWER) else "candidate"


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """SDP offer of a peer for a session. `created_unix_s` is the session's zero of time.

    A peer whose `role` is interviewer is named `interviewer-...`: who asked for it must look whether the answer's peer
    is, because a node older than the field takes everybody for the candidate.
    """

    session: str
    sdp: str
    created_unix_s: float
    analysis: Analysis
    role: Role = "candidate"


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="answer"):
    """SDP answer, and who to talk to about this peer from now on. `etag` names the ICE session (RFC 9725, 4.3)."""

    sdp: str
    node: str
    peer: str
    etag: str


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """Trickle ICE: an `application/trickle-ice-sdpfrag` body (RFC 8840). `etag` is If-Match, "" if absent."""

    session: str
    sdpfrag: str
    etag: str


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    session: str


class Done(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="done"):
    """The patch or delete was carried out."""


class Declined(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="declined"):
    """Refused with an HTTP status (400, 404, 406, 412, 422, 503) and a sentence for the caller."""

    status: int
    detail: str
    retry_after_s: int = 0


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """Broadcast: this session is over."""

    session: str


OfferReply = Answer | Declined
PeerReply = Done | Declined

"""Every subject, stream and bucket name, built in one place.

A session id is one subject token: letters, digits, `_` and `-`, at most 64 characters.
"""

from __future__ import annotations

import re
import zlib

from proto.errors import BadInput

PARTITIONS = 16

FRAMES = "FRAMES"
RECORDED = "RECORDED"
AUDIO = "AUDIO"
LOG = "LOG"
ALERTS = "ALERTS"
DEAD = "DEAD"

KV_SESSIONS = "sessions"
KV_LEASES = "leases"
KV_IDENTITIES = "identities"
"""Reference faces of sessions, encrypted by the vision workers' key."""

OBJECTS_EVIDENCE = "evidence"

VISION_CONSUMER = "vision"
"""The one durable work-queue consumer on FRAMES that all vision workers share."""

VISION_REGISTER = "vision.register"
VISION_DOCUMENT = "vision.document"
VISION_QUEUE = "vision"
"""Request/reply: register a face, compare a document's portrait; any worker answers."""

HEALTH_ASK = "health"
"""Broadcast: every process answers with its parts (`proto/health.py`)."""

INGEST_OFFER = "ingest.offer"
INGEST_QUEUE = "ingest"
INGEST_CLOSE = "ingest.close"
"""Broadcast to every ingest node: the session is over, close its peers."""

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_session(session: str) -> str:
    """Return `session`, or raise BadInput if it cannot be one token of a subject."""
    if not _SESSION.fullmatch(session):
        raise BadInput("must be 1-64 letters, digits, '_' or '-'", field="session")
    return session


def partition(session: str) -> int:
    """Stable partition of a session, 0 to PARTITIONS - 1. Must never change: the log is addressed by it."""
    return zlib.crc32(session.encode()) % PARTITIONS


def frames(session: str) -> str:
    return f"frames.{session}"


def recorded(session: str) -> str:
    return f"recorded.{session}"


def audio(session: str) -> str:
    return f"audio.{session}"


def log(session: str, kind: str) -> str:
    """Subject of one kind of observation of one session, e.g. `log.7.s1.frame.seen`."""
    return f"log.{partition(session)}.{session}.{kind}"


def log_session(session: str) -> str:
    """All observations of one session."""
    return f"log.{partition(session)}.{session}.>"


def log_kind(kind: str) -> str:
    """One kind of observation of all sessions."""
    return f"log.*.*.{kind}"


def log_partition(number: int) -> str:
    """All observations of one partition."""
    return f"log.{number}.>"


def fold_consumer(number: int) -> str:
    """Durable consumer that folds one partition of the log."""
    return f"fold-{number}"


def session_of(subject: str) -> str:
    """Session id in a subject of FRAMES, RECORDED, AUDIO, LOG, ALERTS or live."""
    tokens = subject.split(".")
    position = 2 if tokens[0] == "log" else 1
    if len(tokens) <= position:
        raise BadInput(f"subject {subject!r} names no session")
    return tokens[position]


def alerts(session: str) -> str:
    return f"alerts.{session}"


def live(session: str) -> str:
    return f"live.{session}"


LIVE_ALL = "live.*"


def dead(room: str, session: str = "*") -> str:
    """Where a room puts what it cannot decode; of every session where none is given. A session's are erased by this."""
    return f"dead.{room}.{session}"


def dead_of(room: str, subject: str) -> str:
    """Where a room puts a message that came on `subject`; `_` stands for a session that has no proper name."""
    tokens = subject.split(".")[2 if subject.startswith("log.") else 1 :]
    return dead(room, tokens[0] if tokens and _SESSION.fullmatch(tokens[0]) else "_")


def ingest_peer(node: str, peer: str, verb: str) -> str:
    """Signalling for one peer connection: verb is `patch` or `delete`."""
    return f"ingest.{node}.{peer}.{verb}"


def lease_partition(number: int) -> str:
    """Key in the lease bucket: who folds this partition."""
    return f"partition.{number}"


def lease_audio(session: str) -> str:
    """Key in the lease bucket: who transcribes this session."""
    return f"audio.{session}"


def evidence(session: str, name: str) -> str:
    """Object name of one piece of evidence; `name` is letters, digits, '.', '_' and '-'."""
    return f"{session}/{name}"

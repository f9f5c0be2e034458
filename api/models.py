"""What the api takes and gives beside `proto.views`: bodies are checked by pydantic, answers are plain structs."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from proto.languages import LANGUAGES
from proto.observations import MAX_HOTWORD, MAX_HOTWORDS, Word
from proto.views import CouldNotTell, Episode, LedgerLine, Level, SessionView, Status

MAX_LABEL_CHARS = 200
MAX_METADATA_ITEMS = 32
MAX_METADATA_KEY_CHARS = 64
MAX_METADATA_VALUE_CHARS = 512

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class CreateSession(BaseModel):
    """A new session. Nothing is required."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "label": "Interview 4711",
                    "policy": "standard",
                    "metadata": {"job": "backend engineer"},
                    "language": "de",
                    "hotwords": ["Kubernetes", "Anneliese Kowalczyk"],
                    "translate": True,
                }
            ]
        },
    )

    label: Annotated[str, Field(max_length=MAX_LABEL_CHARS, description="The platform's own name for the session.")] = (
        ""
    )
    policy: Annotated[
        str, Field(min_length=1, max_length=64, description="What is analysed and which rules may raise the score.")
    ] = "standard"
    metadata: Annotated[
        dict[str, str],
        Field(
            max_length=MAX_METADATA_ITEMS,
            description=f"Kept and given back as it is: at most {MAX_METADATA_ITEMS} entries, "
            f"keys of 1-{MAX_METADATA_KEY_CHARS} and values of at most {MAX_METADATA_VALUE_CHARS} characters.",
        ),
    ] = {}
    language: Annotated[
        str,
        Field(
            description="What is spoken, as Whisper's code: en, de, hi. Empty: it is found out from the sound.",
            json_schema_extra={"enum": ["", *sorted(LANGUAGES)]},
        ),
    ] = ""
    hotwords: Annotated[
        tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_HOTWORD)], ...],
        Field(
            max_length=MAX_HOTWORDS,
            description="Names and terms that are likely to be said, so that the transcript spells them right: at most "
            f"{MAX_HOTWORDS} of 1-{MAX_HOTWORD} characters. They are kept with the session and erased with it.",
        ),
    ] = ()
    translate: Annotated[
        bool, Field(strict=True, description="Translate what is said in another language into English, too.")
    ] = False

    @field_validator("label")
    @classmethod
    def _printable(cls, value: str) -> str:
        if _CONTROL.search(value):
            raise ValueError("must have no control characters")
        return value

    @field_validator("language")
    @classmethod
    def _spoken(cls, value: str) -> str:
        if value and value not in LANGUAGES:
            raise ValueError(
                f"must be empty or one of Whisper's {len(LANGUAGES)} codes, such as en, de or hi (without a region)"
            )
        return value

    @field_validator("hotwords")
    @classmethod
    def _spelled(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(_CONTROL.search(word) for word in value):
            raise ValueError(f"each must be 1-{MAX_HOTWORD} printable characters")
        return tuple(dict.fromkeys(value))

    @field_validator("metadata")
    @classmethod
    def _bounded(cls, value: dict[str, str]) -> dict[str, str]:
        for key, item in value.items():
            if not 1 <= len(key) <= MAX_METADATA_KEY_CHARS or _CONTROL.search(key):
                raise ValueError(f"keys must be 1-{MAX_METADATA_KEY_CHARS} printable characters")
            if len(item) > MAX_METADATA_VALUE_CHARS or _CONTROL.search(item):
                raise ValueError(f"values must be at most {MAX_METADATA_VALUE_CHARS} printable characters")
        return value


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the answers below."""


class CreatedSession(Answered, frozen=True, kw_only=True):
    """A session and where everything of it is. `token` is shown once: it publishes to this session and nothing else.

    `candidate_url` carries the token in its fragment, which browsers do not send to any server.
    """

    id: str
    token: str
    whip_url: str
    candidate_url: str
    feed_url: str
    ws_url: str
    state_url: str


class Analysed(Answered, frozen=True, kw_only=True):
    """What is analysed: `fps` pictures a second at most; `evidence` keeps a still and a clip for each alert.

    `objects`, `identity` and `text` are looked for where a detector for them is available; `identity` only once a
    reference face is registered. `keep_text` keeps the words that are read in the picture. `voices` are told apart by
    their sound, where an encoder for them is available.
    """

    fps: float
    audio: bool
    transcript: bool
    emotion: bool
    evidence: bool
    objects: bool = False
    identity: bool = False
    text: bool = False
    keep_text: bool = False
    voices: bool = False


class Notice(Answered, frozen=True, kw_only=True):
    """What the candidate of a session is told before they agree. `rules`: what may be noted, in plain words.

    `retention_days` is how long anything of the session is kept at most; erasing the session erases it sooner.
    """

    session: str
    status: Status
    policy: str
    description: str
    analysis: Analysed
    rules: tuple[str, ...]
    retention_days: float


class SessionSummary(Answered, frozen=True, kw_only=True):
    """One row of the list: the fields of SessionView that stay small, under their names there."""

    session: str
    seq: int
    status: Status
    label: str
    policy: str
    created_unix_s: float
    clock_s: float
    score: float
    level: Level
    review_recommended: bool
    could_not_tell: CouldNotTell
    active: tuple[Episode, ...] = ()
    peak_score: float = 0.0
    alert_count: int = 0


class SessionList(Answered, frozen=True, kw_only=True):
    """A page of sessions. `next_cursor` gives the next page; null on the last."""

    sessions: tuple[SessionSummary, ...]
    next_cursor: str | None


class Segment(Answered, frozen=True, kw_only=True):
    """Words committed at once: observation `seq` of the log. Times are session seconds, probabilities 0-1."""

    seq: int
    utterance: int
    start_s: float
    end_s: float
    text: str
    language: str
    model: str
    final: bool
    words: tuple[Word, ...]


class Translation(Answered, frozen=True, kw_only=True):
    """English for an utterance spoken in `language`; `utterance` is that of its segments."""

    seq: int
    utterance: int
    start_s: float
    end_s: float
    text: str
    language: str
    model: str


class Transcript(Answered, frozen=True, kw_only=True):
    """What was said, as far as it is certain. `available` is false where no speech recognition ran: `reason` says why.

    `translations` are those of the page's utterances, where the session asked for them; the last ones of a live session
    follow a little later. `next_after_seq` asks for the next page; null on the last.
    """

    session: str
    available: bool
    reason: str
    text: str
    segments: tuple[Segment, ...]
    translations: tuple[Translation, ...]
    next_after_seq: int | None


class EvidenceItem(Answered, frozen=True, kw_only=True):
    """A still or clip: observation `seq` of the log, made for the alert `alert_id` at session second `t_s`."""

    name: str
    alert_id: str
    media_type: str
    sha256: str
    size_bytes: int
    t_s: float
    seq: int
    url: str


class EvidenceList(Answered, frozen=True, kw_only=True):
    session: str
    evidence: tuple[EvidenceItem, ...]


class Ledger(Answered, frozen=True, kw_only=True):
    """Every change of the score, oldest first; `dropped` older ones are no longer shown (they are still in the log)."""

    session: str
    seq: int
    clock_s: float
    score: float
    ledger: tuple[LedgerLine, ...]
    dropped: int


class Timeline(Answered, frozen=True, kw_only=True):
    """Stretches of the session, oldest first; `active` are those that go on now."""

    session: str
    seq: int
    clock_s: float
    timeline: tuple[Episode, ...]
    active: tuple[Episode, ...]


class Receipt(Answered, frozen=True, kw_only=True):
    """What an erasure removed; `snapshot` and `identity` (a registered face) say whether there was one. `deleted_at` is
    UTC, ISO 8601.
    """

    id: str
    deleted_at: str
    log_messages: int
    audio_messages: int
    evidence_objects: int
    alerts: int
    dead_letters: int
    snapshot: bool
    identity: bool = False


class Identity(Answered, frozen=True, kw_only=True):
    """Whether a face is registered for a session: with which model, of what (photo or live picture), and when (UTC, ISO
    8601, and session seconds).
    """

    session: str
    registered: bool
    model: str = ""
    origin: str = ""
    registered_at: str | None = None
    t_s: float | None = None


class DocumentResult(Answered, frozen=True, kw_only=True):
    """An ID document's portrait beside a live face. `similarity_pct` is 0-100, `matches` from `threshold_pct` on;
    `registered`: the live face is now the session's reference. `rotation_deg`: the document was turned clockwise by it.
    """

    session: str
    document_type: str
    model: str
    similarity_pct: float
    threshold_pct: float
    matches: bool
    registered: bool
    rotation_deg: int
    document_confidence: float
    live_confidence: float


def summarise(view: SessionView) -> SessionSummary:
    """Row of the list for a view."""
    return SessionSummary(
        session=view.session,
        seq=view.seq,
        status=view.status,
        label=view.label,
        policy=view.policy,
        created_unix_s=view.created_unix_s,
        clock_s=view.clock_s,
        score=view.score,
        level=view.level,
        review_recommended=view.review_recommended,
        could_not_tell=view.could_not_tell,
        active=view.active,
        peak_score=view.peak_score,
        alert_count=len(view.alerts) + view.alerts_dropped,
    )

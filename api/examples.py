"""One consistent example of every answer, shown in the OpenAPI document."""

from __future__ import annotations

from api import report
from api.models import (
    Analysed,
    CreatedSession,
    DocumentResult,
    EvidenceItem,
    EvidenceList,
    Identity,
    Ledger,
    Notice,
    Receipt,
    Segment,
    SessionList,
    Timeline,
    Transcript,
    summarise,
)
from proto.observations import Word
from proto.views import Alert, CouldNotTell, Episode, Feature, LedgerLine, Measures, SessionView, VoiceShare, Watch

ID = "1qx4z7mk3v9r2t8w"
_STILL = "a-0001.jpg"
_TOKEN = "uQ2rJ7c0yH5o1fXw3kT9vB6nM8sD4aEzGpLiWqYxRtU"  # noqa: S105 - an example

LINE = LedgerLine(
    seq=412,
    t_s=61.2,
    rule="MULTIPLE_FACES",
    severity="critical",
    weight=25.0,
    half_life_s=120.0,
    why="A second face for 1.2 s.",
)
EPISODE = Episode(kind="MULTIPLE_FACES", severity="critical", start_s=60.0, end_s=None, detail="2 faces")

VIEW = SessionView(
    session=ID,
    seq=418,
    status="live",
    label="Interview 4711",
    policy="standard",
    policy_hash="0f3a9c1e5b7d2468",
    created_unix_s=1_767_225_600.0,
    clock_s=62.4,
    score=24.8,
    level="medium",
    review_recommended=False,
    could_not_tell=CouldNotTell(active=False, reasons=(), total_s=3.4),
    active=(EPISODE,),
    ledger=(LINE,),
    timeline=(EPISODE,),
    alerts=(
        Alert(
            id="a-0001",
            session=ID,
            rule="MULTIPLE_FACES",
            severity="critical",
            t_s=61.2,
            seq=412,
            message="A second face is in the picture. Please have a look.",
        ),
    ),
    features=(
        Feature(name="face", available=True),
        Feature(name="transcript", available=False, reason="no model", command="candor models pull whisper-tiny"),
    ),
    measures=Measures(
        frames_seen=310,
        face_share=0.97,
        speech_share=0.4,
        speech_s=24.0,
        longest_pause_s=4.1,
        words=58,
        words_per_min=145.0,
        pauses=9,
        pause_mean_s=1.4,
        speech_dbfs=-24.0,
        noise_dbfs=-58.0,
        voiced_share=0.7,
        sound_problems={"noisy": 3.0},
        voices=(VoiceShare(voice=0, share=1.0, speech_s=20.8),),
        voice_unknown_s=3.2,
        mouth_still_share=0.0,
    ),
    evidence=(_STILL,),
    metadata={"job": "backend engineer"},
    peak_score=25.0,
    rules=(
        Watch(rule="MULTIPLE_FACES", severity="critical", weight=25.0, state="watched", fired=1),
        Watch(rule="PHONE_DETECTED", severity="critical", weight=30.0, state="not_measured", reason="no detector"),
    ),
)

CREATED = CreatedSession(
    id=ID,
    token=_TOKEN,
    whip_url=f"https://candor.example/v1/whip/{ID}",
    candidate_url=f"https://candor.example/candidate?session={ID}#token={_TOKEN}",
    feed_url=f"https://candor.example/v1/sessions/{ID}/feed",
    ws_url=f"wss://candor.example/v1/sessions/{ID}/feed/ws",
    state_url=f"https://candor.example/v1/sessions/{ID}",
)

NOTICE = Notice(
    session=ID,
    status="created",
    policy="standard",
    description="Presence, attention, other people and forbidden objects. No emotion is inferred.",
    analysis=Analysed(
        fps=5.0,
        audio=True,
        transcript=True,
        emotion=False,
        evidence=True,
        objects=True,
        identity=True,
        text=True,
        keep_text=False,
        voices=True,
    ),
    rules=("a phone in view", "more than one face in view", "a lost connection (noted, never counted)"),
    retention_days=30.0,
)

LIST = SessionList(sessions=(summarise(VIEW),), next_cursor=None)

LEDGER = Ledger(session=ID, seq=418, clock_s=62.4, score=24.8, ledger=(LINE,), dropped=0)
TIMELINE = Timeline(session=ID, seq=418, clock_s=62.4, timeline=(EPISODE,), active=(EPISODE,))

_WORDS = (
    Word(text="Good", start_s=12.1, end_s=12.4, probability=0.98),
    Word(text="morning.", start_s=12.4, end_s=12.9, probability=0.95),
)

TRANSCRIPT = Transcript(
    session=ID,
    available=True,
    reason="",
    text="Good morning.",
    segments=(
        Segment(
            seq=91,
            utterance=0,
            start_s=12.1,
            end_s=12.9,
            text="Good morning.",
            language="en",
            model="whisper-tiny",
            final=True,
            words=_WORDS,
        ),
    ),
    translations=(),
    next_after_seq=None,
)

EVIDENCE = EvidenceItem(
    name=_STILL,
    alert_id="a-0001",
    media_type="image/jpeg",
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    size_bytes=25_480,
    t_s=61.2,
    seq=415,
    url=f"https://candor.example/v1/sessions/{ID}/evidence/{_STILL}",
)
EVIDENCE_LIST = EvidenceList(session=ID, evidence=(EVIDENCE,))

RECEIPT = Receipt(
    id=ID,
    deleted_at="2026-01-01T00:10:00.000+00:00",
    log_messages=1840,
    audio_messages=600,
    evidence_objects=1,
    alerts=1,
    dead_letters=0,
    snapshot=True,
    identity=True,
)

IDENTITY = Identity(
    session=ID,
    registered=True,
    model="sface",
    origin="photo",
    registered_at="2026-01-01T00:00:04.200+00:00",
    t_s=4.2,
)

DOCUMENT = DocumentResult(
    session=ID,
    document_type="passport",
    model="sface",
    similarity_pct=88.4,
    threshold_pct=80.0,
    matches=True,
    registered=True,
    rotation_deg=90,
    document_confidence=0.93,
    live_confidence=0.97,
)

REPORT = report.build(VIEW, TRANSCRIPT.segments, (EVIDENCE,), generated_at="2026-01-01T00:01:03+00:00")

"""Folding a session's life: sources come and go, the session ends, features report, evidence is filed.

A source of the interviewer is not a candidate who is there: it comes, goes and loses packets without a word here but
that time passes, and is not among the state's sources.
"""

from __future__ import annotations

import msgspec

from aggregator.risk import identity, matching, quality, voices
from aggregator.risk.conditions import Drive, Moment
from aggregator.risk.draft import COULD_NOT_TELL, SOUND_UNCLEAR, Draft
from aggregator.risk.state import MAX_EVIDENCE, MAX_FEATURES, MAX_SOURCES, Source
from proto.observations import (
    DocumentCompared,
    EvidenceStored,
    FaceRegistered,
    FeatureStatus,
    SessionCreated,
    SessionEnded,
    SessionExpired,
    SourceLost,
    SourceStalled,
    SourceStats,
    SourceUp,
)
from proto.signalling import role_of
from proto.views import Feature

MAX_TEXT = 300
MAX_NAME = 64

LOSS_WORDS = {
    "closed": "the candidate's side hung up",
    "failed": "the network path failed",
    "behind": "the video could not be decoded as fast as it came",
    "drained": "the node it came through was shut down",
    "stalled": "nothing arrived any more",
}

DRIVEN_BY_SOURCE: tuple[Drive, ...] = ("frame", "objects", "identity", "text", "sound", "voice", "mouth")
IDENTITY_MISMATCH = "IDENTITY_MISMATCH"
FACE_REGISTERED = "FACE_REGISTERED"
DOCUMENT_COMPARED = "DOCUMENT_COMPARED"
ORIGINS = {"photo": "a photo", "document": "an ID document", "live": "the live picture"}
DOCUMENTS = {
    "aadhaar": "an Aadhaar card",
    "pan": "a PAN card",
    "passport": "a passport",
    "driving_license": "a driving licence",
    "voter_id": "a voter ID",
}


def count(draft: Draft, *names: str) -> None:
    """Add one to these tallies."""
    draft.tally = msgspec.structs.replace(draft.tally, **{name: getattr(draft.tally, name) + 1 for name in names})


def alive(draft: Draft, source: str, t_s: float) -> None:
    """Something was seen of `source` at `t_s`: it is up, unless it said farewell or this is older than its silence."""
    if _interviewer(source):
        return
    known = draft.sources.get(source)
    if known is None:
        _put(draft, source, Source(up=True, video=True, since_s=t_s))
    elif known.up or known.farewell or t_s < known.since_s:
        return
    else:
        _put(draft, source, msgspec.structs.replace(known, up=True, since_s=t_s))
    _connected(draft, t_s)


def created_again(draft: Draft, _created: SessionCreated) -> None:
    """A second creation changes nothing: what a session is judged by is fixed at its first."""
    count(draft, "rejected")


def source_up(draft: Draft, up: SourceUp) -> None:
    if draft.state.final:
        count(draft, "after_end")
        return
    draft.clock_s = max(draft.clock_s, up.t_s)
    if _interviewer(up.source):
        draft.voices = voices.joined(draft.voices)
        return
    _put(draft, up.source, Source(up=True, announced=True, video=up.video, since_s=up.t_s))
    _connected(draft, up.t_s)


def source_lost(draft: Draft, lost: SourceLost) -> None:
    """The source is gone for good; the session waits for another until its idle limit."""
    if draft.state.final:
        count(draft, "after_end")
        return
    draft.clock_s = max(draft.clock_s, lost.t_s)
    if _interviewer(lost.source):
        return
    known = draft.sources.get(lost.source) or Source(up=True, video=True, since_s=lost.t_s)
    _put(draft, lost.source, msgspec.structs.replace(known, up=False, farewell=True, since_s=lost.t_s, poor=False))
    _disconnected(draft, lost.reason, lost.t_s)


def stalled(draft: Draft, stall: SourceStalled) -> None:
    """Every source has fallen silent without a farewell."""
    if draft.state.final:
        count(draft, "after_end")
        return
    count(draft, "stalls")
    if draft.status != "live":
        return
    draft.clock_s = max(draft.clock_s, stall.t_s)
    draft.sources = {
        name: msgspec.structs.replace(source, up=False, since_s=stall.t_s, poor=False) if source.up else source
        for name, source in draft.sources.items()
    }
    _disconnected(draft, "stalled", stall.t_s)


def source_stats(draft: Draft, stats: SourceStats) -> None:
    """How the source fares. It is also how we learn that frames are sent and nobody judges them."""
    if draft.state.final:
        count(draft, "after_end")
        return
    alive(draft, stats.source, stats.t_s)
    draft.clock_s = max(draft.clock_s, stats.t_s)
    if _interviewer(stats.source):
        return
    known = draft.sources[stats.source]
    received = stats.packets_received - known.packets_received
    lost = stats.packets_lost - known.packets_lost
    poor = quality.lossy(received, lost) if received >= 0 and lost >= 0 else known.poor
    _put(
        draft,
        stats.source,
        msgspec.structs.replace(
            known, packets_received=stats.packets_received, packets_lost=stats.packets_lost, poor=poor
        ),
    )
    if not known.up or not known.video:
        return
    seen_s = known.since_s if draft.frame_s is None else max(known.since_s, draft.frame_s)
    if draft.clock_s - seen_s > quality.NO_FRAMES_AFTER_S:
        before = draft.blind
        draft.blind = quality.silent(before, seen_s)
        draft.judge_blind(before.open, draft.clock_s)


def ended(draft: Draft, end: SessionEnded) -> None:
    _finish(draft, "ended", end.reason, end.t_s)


def expired(draft: Draft, expiry: SessionExpired) -> None:
    _finish(draft, "expired", "nothing was observed for too long", expiry.t_s)


def evidence_stored(draft: Draft, stored: EvidenceStored) -> None:
    """A still or clip is in the object store; it may be filed after the end."""
    name = stored.name[: 2 * MAX_NAME]
    if name not in draft.evidence and len(draft.evidence) < MAX_EVIDENCE:
        draft.evidence = (*draft.evidence, name)


def feature_status(draft: Draft, status: FeatureStatus) -> None:
    """Whether a feature works for this session; the newest report counts."""
    name = status.feature[:MAX_NAME]
    if name in draft.features or len(draft.features) < MAX_FEATURES:
        feature = Feature(
            name=name,
            available=status.available,
            reason=status.reason[:MAX_TEXT],
            command=status.command[:MAX_TEXT],
        )
        draft.features = {**draft.features, name: feature}


def face_registered(draft: Draft, registered: FaceRegistered) -> None:
    """From now on faces are compared with this one: what was held against the one before is forgotten."""
    if draft.state.final:
        count(draft, "after_end")
        return
    draft.identity = identity.register(draft.identity, registered.t_s, draft.clock_s)
    draft.forget(IDENTITY_MISMATCH, registered.t_s)
    origin = ORIGINS.get(registered.origin, "a picture")
    draft.note(FACE_REGISTERED, registered.t_s, f"The reference face was taken from {origin}.")


def document_compared(draft: Draft, compared: DocumentCompared) -> None:
    """For the record: no rule weighs it, because documents are old and small, and a person should look."""
    if draft.state.final:
        count(draft, "after_end")
        return
    if not 0.0 <= compared.similarity_pct <= 100.0:
        count(draft, "rejected")
        return
    what = DOCUMENTS.get(compared.document_type, "an ID document")
    result = "which counts as the same person" if compared.matches else "which does not count as the same person"
    draft.note(
        DOCUMENT_COMPARED,
        compared.t_s,
        f"The portrait of {what} and the live face are {int(compared.similarity_pct)} % alike, {result}.",
    )


def _interviewer(source: str) -> bool:
    return role_of(source) == "interviewer"


def _put(draft: Draft, name: str, source: Source) -> None:
    sources = {**draft.sources, name: source}
    if len(sources) > MAX_SOURCES:
        oldest = min(
            (key for key in sources if key != name), key=lambda key: (sources[key].up, sources[key].since_s, key)
        )
        del sources[oldest]
    draft.sources = sources


def _connected(draft: Draft, t_s: float) -> None:
    draft.status = "live"
    draft.loss_reason = ""
    draft.judge("source", Moment(t_s=t_s, connected=True))


def _disconnected(draft: Draft, reason: str, t_s: float) -> None:
    count(draft, "losses")
    if any(source.up for source in draft.sources.values()):
        return
    draft.status = "stalled"
    draft.loss_reason = LOSS_WORDS.get(reason, reason[:MAX_TEXT])
    matching.settle(draft, final=True)
    draft.close_all(t_s, drives=DRIVEN_BY_SOURCE)
    clear_blind(draft, t_s)
    draft.judge("source", Moment(t_s=t_s, connected=False, loss_reason=draft.loss_reason))


def _finish(draft: Draft, status: str, reason: str, t_s: float) -> None:
    if draft.state.final:
        count(draft, "after_end")
        return
    draft.clock_s = max(draft.clock_s, t_s)
    draft.status = "expired" if status == "expired" else "ended"
    draft.end_reason = reason[:MAX_TEXT]
    matching.settle(draft, final=True)
    draft.close_all(t_s, drives=(*DRIVEN_BY_SOURCE, "source"))
    clear_blind(draft, t_s)


def clear_blind(draft: Draft, t_s: float) -> None:
    """End a spell of "could not tell", of the picture and of the sound: what could not be judged is gone."""
    blind, deaf = draft.blind, draft.deaf
    blind_end_s = t_s if blind.clear_s is None else blind.clear_s
    deaf_end_s = t_s if deaf.clear_s is None else deaf.clear_s
    draft.blind = quality.close(blind, blind_end_s)
    draft.deaf = quality.close(deaf, deaf_end_s)
    draft.close_episode(COULD_NOT_TELL, blind_end_s)
    draft.close_episode(SOUND_UNCLEAR, deaf_end_s)

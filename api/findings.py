"""A session's transcript, evidence and report, put together from its log and its state."""

from __future__ import annotations

from datetime import UTC, datetime

from api import report
from api.models import EvidenceItem, Segment, Transcript, Translation
from api.reported import Report
from api.sessions import Sessions
from proto import subjects
from proto.observations import EvidenceStored, WordsCommitted, WordsTranslated
from proto.views import SessionView
from runtime.bus import Bus

MAX_EVIDENCE = 1000
MAX_REPORT_SEGMENTS = 10_000
TRANSCRIPT = "transcript"


class Findings:
    """Reads what was found. Every method raises NotFound for an unknown session, BusUnavailable while NATS is away."""

    def __init__(self, bus: Bus, sessions: Sessions) -> None:
        self._bus = bus
        self._sessions = sessions

    async def transcript(self, session: str, *, from_s: float, after_seq: int, limit: int) -> Transcript:
        """A page of what was said: at most `limit` commits after log sequence `after_seq` that end after `from_s`."""
        view = await self._sessions.view(session)
        found = await self._sessions.words(session, after_seq, limit + 1, from_s=from_s)
        segments = tuple(segment_of(words, seq) for words, seq in found[:limit])
        spoken = {segment.utterance for segment in segments}
        translated = await self._sessions.translations(session, spoken) if spoken else []
        reason = _text_missing(view)
        return Transcript(
            session=session,
            available=not reason or bool(segments),
            reason=reason,
            text=" ".join(segment.text for segment in segments if segment.text),
            segments=segments,
            translations=tuple(translation_of(observation, seq) for observation, seq in translated),
            next_after_seq=segments[-1].seq if len(found) > limit else None,
        )

    async def evidence(self, session: str, base_url: str) -> tuple[EvidenceItem, ...]:
        """Stills and clips of a session, with URLs under `base_url`."""
        await self._sessions.view(session)
        found = await self._sessions.evidence(session, MAX_EVIDENCE)
        return tuple(evidence_of(stored, seq, base_url) for stored, seq in found)

    async def object(self, session: str, name: str) -> bytes:
        """Bytes of one still or clip. Raises NotFound."""
        objects = await self._bus.objects(subjects.OBJECTS_EVIDENCE)
        return await objects.get(subjects.evidence(session, name))

    async def report(self, session: str, base_url: str) -> Report:
        """The session's report as of now."""
        view = await self._sessions.view(session)
        words = await self._sessions.words(session, 0, MAX_REPORT_SEGMENTS + 1)
        stored = await self._sessions.evidence(session, MAX_EVIDENCE)
        return report.build(
            view,
            [segment_of(observation, seq) for observation, seq in words[:MAX_REPORT_SEGMENTS]],
            [evidence_of(observation, seq, base_url) for observation, seq in stored],
            generated_at=datetime.now(UTC).isoformat(timespec="seconds"),
            transcript_complete=len(words) <= MAX_REPORT_SEGMENTS,
        )


def segment_of(observation: WordsCommitted, seq: int) -> Segment:
    """One commit as a segment; a commit without words (an utterance that only ends) has an empty text."""
    words = observation.words
    return Segment(
        seq=seq,
        utterance=observation.utterance,
        start_s=words[0].start_s if words else observation.t_s,
        end_s=words[-1].end_s if words else observation.t_s,
        text=" ".join(text for word in words if (text := word.text.strip())),
        language=observation.language,
        model=observation.model,
        final=observation.final,
        words=words,
    )


def translation_of(observation: WordsTranslated, seq: int) -> Translation:
    """The English of one utterance."""
    return Translation(
        seq=seq,
        utterance=observation.utterance,
        start_s=observation.start_s,
        end_s=observation.end_s,
        text=observation.text,
        language=observation.language,
        model=observation.model,
    )


def evidence_of(observation: EvidenceStored, seq: int, base_url: str) -> EvidenceItem:
    """One stored still or clip, and where to get it."""
    name = observation.name.removeprefix(subjects.evidence(observation.session, ""))
    return EvidenceItem(
        name=name,
        alert_id=observation.alert_id,
        media_type=observation.media_type,
        sha256=observation.sha256,
        size_bytes=observation.size_bytes,
        t_s=observation.t_s,
        seq=seq,
        url=f"{base_url}/v1/sessions/{observation.session}/evidence/{name}",
    )


def _text_missing(view: SessionView) -> str:
    for feature in view.features:
        if feature.name == TRANSCRIPT and not feature.available:
            return (
                f"{feature.reason} (run: {feature.command})" if feature.command else feature.reason or "not available"
            )
    return ""

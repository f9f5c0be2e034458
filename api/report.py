"""The report of a session: what was found, said so that a person can check it. Pure: view and transcript in, words out.

Every claim names the observation of the log (`seq`) that caused it. What was not measured is said to be not measured.
The report asks for a look where there is a reason; it never decides about a person.
"""

from __future__ import annotations

from collections.abc import Sequence

from api import figures, speaking
from api.figures import NOT_MEASURED
from api.models import EvidenceItem, Segment
from api.reported import AlertClaim, Claim, Missing, Report, RuleState, Stretch, Uncertainty
from proto.views import Episode, SessionView, Watch

REVIEW = (
    "A human review is recommended: the score reached the policy's limit{limit}{when}. The score is no verdict; a "
    "human decides, with the pictures and the circumstances in view."
)
NOTHING_RECEIVED = "Neither picture nor sound was received: nothing can be said about this session."
PARTLY_JUDGED = "At every moment that was received something could be judged, though not {lacking}."
ALL_JUDGED = "Everything that was received could be judged."
LACKING = {"signals": "every signal of every face", "sound": "all of the sound"}
# Rules whose own names would say more than was seen.
NAMES = {
    "IDENTITY_MISMATCH": "Face unlike the reference picture",
    "SUSPICIOUS_OBJECT": "Object worth a look",
    "TEXT_IN_VIEW": "Readable text in view",
    "DOCUMENT_COMPARED": "ID document compared",
    "SECOND_VOICE": "A second voice",
    "VOICE_NOT_FROM_FACE": "Voice while the mouth in view is still",
    "SOUND_UNCLEAR": "Sound that could not be judged",
}
# What a feature is in words, and what becomes of a session without it.
FEATURES = {
    "face": "finding faces",
    "person": "telling a hidden face from an empty chair",
    "hands": "telling a covered face from an uneven light",
    "objects": "finding phones and other objects",
    "identity": "comparing the face with a reference",
    "expression": "a model for expressions",
    "text": "finding readable text",
    "voices": "telling voices apart",
}
INSTEAD = {"expression": "Expressions were estimated from the shape of the face instead."}
NO_REVIEW = "No review is recommended by the policy. The score is no verdict either way; a human decides."


def build(
    view: SessionView,
    transcript: Sequence[Segment],
    evidence: Sequence[EvidenceItem],
    *,
    generated_at: str,
    transcript_complete: bool = True,
) -> Report:
    """Report of a view. `generated_at` is UTC, ISO 8601; `transcript_complete` is false where the text was cut."""
    return Report(
        session=view.session,
        label=view.label,
        status=view.status,
        seq=view.seq,
        generated_at=generated_at,
        created_unix_s=view.created_unix_s,
        duration_s=view.clock_s,
        policy=view.policy,
        policy_hash=view.policy_hash,
        summary=_summary(view),
        score=view.score,
        peak_score=view.peak_score,
        level=view.level,
        review_recommended=view.review_recommended,
        review_s=view.review_s,
        recommendation=_recommendation(view),
        could_not_tell=_uncertainty(view),
        measures=figures.measures(view.measures),
        speaking=speaking.interpret(view.measures),
        voices=figures.voices(view.measures),
        voices_text=figures.voices_told(view.measures),
        expression=figures.expression(view.measures),
        rules=tuple(_rule(watch) for watch in view.rules),
        unavailable=_unavailable(view),
        ledger=_ledger(view),
        ledger_dropped=view.ledger_dropped,
        alerts=_alerts(view),
        alerts_dropped=view.alerts_dropped,
        timeline=tuple(_stretch(episode, view.clock_s) for episode in view.timeline),
        timeline_dropped=view.timeline_dropped,
        rejected=view.rejected,
        evidence=tuple(evidence),
        transcript=tuple(transcript),
        transcript_text=" ".join(segment.text for segment in transcript if segment.text),
        transcript_complete=transcript_complete,
    )


def clock(t_s: float) -> str:
    """Session seconds as m:ss, or h:mm:ss from an hour on."""
    minutes, seconds = divmod(int(max(0.0, t_s)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _summary(view: SessionView) -> str:
    if not _received(view):
        return NOTHING_RECEIVED
    lines = sum(line.weight > 0 for line in view.ledger) + view.ledger_dropped
    found = "nothing raised the score" if not lines else f"{_count(lines, 'finding')} raised the score"
    state = {"created": "has not begun", "live": "is going on", "stalled": "is interrupted"}.get(view.status, "is over")
    uncertain_s = view.could_not_tell.total_s
    uncertain = f"; for {uncertain_s:.1f} s nothing could be judged" if uncertain_s >= 0.05 else ""
    unmeasured = sum(watch.state == "not_measured" for watch in view.rules)
    blind = f" {_count(unmeasured, 'rule')} could not be measured at all." if unmeasured else ""
    return (
        f"The session {state} after {clock(view.clock_s)}: {found}, which stands at {int(view.score)} of 100 "
        f"({view.level}; at most {int(max(view.peak_score, view.score))}){uncertain}.{blind}"
    )


def _recommendation(view: SessionView) -> str:
    if not view.review_recommended:
        return NO_REVIEW if _received(view) else NOTHING_RECEIVED
    return REVIEW.format(
        limit="" if view.review_at is None else f" of {view.review_at:g}",
        when="" if view.review_s is None else f" at {clock(view.review_s)}",
    )


def _received(view: SessionView) -> bool:
    """Whether anything came of the session: a picture, or sound that was listened to."""
    measures = view.measures
    return bool(measures.frames_seen or measures.frames_skipped) or measures.speech_share is not None


def _rule(watch: Watch) -> RuleState:
    name = _plain(watch.rule)
    because = f": {watch.reason}" if watch.reason else ""
    if watch.state == "watched":
        fired = "did not fire" if not watch.fired else f"fired {_count(watch.fired, 'time')}"
        text = f"{name} was watched and {fired}{f'; {watch.reason}' if watch.reason else ''}."
    elif watch.state == "off":
        text = f"{name} was off{because or ' by the policy'}."
    else:
        text = f"{name} was {NOT_MEASURED}{because}. That it did not fire says nothing."
    return RuleState(rule=watch.rule, severity=watch.severity, state=watch.state, fired=watch.fired, text=text)


def _uncertainty(view: SessionView) -> Uncertainty:
    told = view.could_not_tell
    share = min(1.0, told.total_s / view.clock_s) if view.clock_s > 0 else None
    signals, sound = figures.abstentions(view.measures), figures.sound_problems(view.measures)
    if not _received(view):
        text = NOTHING_RECEIVED
    elif told.total_s < 0.05:
        lacking = [LACKING[name] for name, told in (("signals", signals), ("sound", sound)) if told]
        text = PARTLY_JUDGED.format(lacking=" and ".join(lacking)) if lacking else ALL_JUDGED
    else:
        part = "" if share is None else f" ({share:.0%} of the session)"
        text = f"For {told.total_s:.1f} s{part} nothing could be judged. This did not raise the score."
    return Uncertainty(
        signals=signals,
        sound=sound,
        total_s=told.total_s,
        share=share,
        active=told.active,
        reasons=told.reasons,
        text=text,
    )


def _unavailable(view: SessionView) -> tuple[Missing, ...]:
    return tuple(
        Missing(
            feature=feature.name,
            reason=feature.reason,
            command=feature.command,
            text=f"{FEATURES.get(feature.name, feature.name).capitalize()} was not available"
            + (f": {feature.reason}" if feature.reason else "")
            + (f" (to have it: {feature.command})" if feature.command else "")
            + ". "
            + INSTEAD.get(feature.name, "What it would have seen or heard was not measured."),
        )
        for feature in view.features
        if not feature.available
    )


def _ledger(view: SessionView) -> tuple[Claim, ...]:
    claims = []
    for line in view.ledger:
        age_s = max(0.0, view.clock_s - line.t_s)
        # Decay by half every half-life: the same sum that makes the score.
        left = line.weight * 0.5 ** (age_s / line.half_life_s) if line.half_life_s > 0 else 0.0
        claims.append(
            Claim(
                seq=line.seq,
                t_s=line.t_s,
                at=clock(line.t_s),
                rule=line.rule,
                severity=line.severity,
                points=line.weight,
                points_now=round(left, 2),
                text=f"At {clock(line.t_s)}: {line.why} {_worth(line.weight, left)}",
            )
        )
    return tuple(claims)


def _worth(weight: float, left: float) -> str:
    if weight <= 0:
        return "For the record: this carries no points."
    return f"This added {weight:g} points; {left:.1f} are left."


def _alerts(view: SessionView) -> tuple[AlertClaim, ...]:
    return tuple(
        AlertClaim(
            id=alert.id,
            seq=alert.seq,
            t_s=alert.t_s,
            at=clock(alert.t_s),
            rule=alert.rule,
            severity=alert.severity,
            text=alert.message,
        )
        for alert in view.alerts
    )


def _stretch(episode: Episode, clock_s: float) -> Stretch:
    end_s = episode.end_s if episode.end_s is not None else max(clock_s, episode.start_s)
    duration_s = max(0.0, end_s - episode.start_s)
    until = f"to {clock(end_s)}" if episode.end_s is not None else "and still so"
    name = _plain(episode.kind).lower()
    detail = f": {episode.detail}" if episode.detail else ""
    return Stretch(
        kind=episode.kind,
        severity=episode.severity,
        start_s=episode.start_s,
        end_s=episode.end_s,
        duration_s=round(duration_s, 3),
        text=f"{clock(episode.start_s)} {until} ({duration_s:.1f} s): {name}{detail}",
    )


def _plain(rule: str) -> str:
    return NAMES.get(rule) or rule.replace("_", " ").capitalize()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

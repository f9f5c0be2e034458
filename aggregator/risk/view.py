"""State to what people see. A view has all that a report needs, and says what was not measured."""

from __future__ import annotations

import msgspec

from aggregator.risk import abstention, expression, ledger, sound, voices, watching
from aggregator.risk.state import State
from proto.policy import Analysis
from proto.views import CouldNotTell, Episode, Measures, SessionView

MIN_EYES_S = 10.0
"""Eyes watched for less than this give no blink rate."""

MIN_SPEECH_S = 5.0
"""Speech shorter than this gives no speaking rate."""

PERCENT_DIGITS = DBFS_DIGITS = 1


def view(state: State) -> SessionView:
    """The session as it is shown."""
    head, policy = state.head, state.head.policy
    points = ledger.score(state.ledger, state.clock_s)
    active = tuple(sorted(state.open.values(), key=lambda episode: (episode.start_s, episode.kind)))
    return SessionView(
        session=head.session,
        seq=state.seq,
        status=state.status,
        label=head.label,
        policy=policy.name,
        policy_hash=head.policy_hash,
        created_unix_s=head.created_unix_s,
        clock_s=state.clock_s,
        score=points,
        level=ledger.level(points, policy),
        review_recommended=state.review_s is not None,
        could_not_tell=could_not_tell(state),
        active=active,
        ledger=state.ledger,
        timeline=tuple(sorted((*state.timeline, *active), key=lambda episode: (episode.start_s, episode.kind))),
        alerts=state.alerts,
        features=tuple(state.features[name] for name in sorted(state.features) if _wanted(name, policy.analysis)),
        measures=measures(state),
        evidence=state.evidence,
        ledger_dropped=state.ledger_dropped,
        metadata=head.metadata,
        peak_score=state.peak_score,
        review_s=state.review_s,
        review_at=state.head.policy.review_at,
        end_reason=state.end_reason,
        rules=tuple(watching.watch(state, name, policy.rules[name]) for name in watching.in_order(policy)),
        timeline_dropped=state.timeline_dropped,
        alerts_dropped=state.alerts_dropped,
        rejected=state.tally.rejected,
    )


def could_not_tell(state: State) -> CouldNotTell:
    """Whether, why and for how long altogether nothing could be judged, the present spell included."""
    blind = state.blind
    spell_s = max(0.0, state.clock_s - blind.since_s) if blind.open and blind.since_s is not None else 0.0
    return CouldNotTell(
        active=blind.open, reasons=blind.reasons if blind.open else (), total_s=round(blind.total_s + spell_s, 3)
    )


def measures(state: State) -> Measures:
    """Shares and rates; None where too little was measured to say."""
    tally, eyes, likeness, heard = state.tally, state.eyes, state.identity, state.sound
    enough_speech = tally.words > 0 and tally.speech_s >= MIN_SPEECH_S
    mean_pct = likeness.total_pct / likeness.checks if likeness.checks else None
    # A second lock: the fold keeps no expression where the policy does not allow it.
    felt = state.expression if state.head.policy.analysis.emotion else None
    return Measures(
        frames_seen=tally.frames_seen,
        frames_skipped=tally.frames_skipped,
        face_share=_share(tally.frames_with_face, tally.frames_judged),
        eyes_off_share=_share(tally.frames_eyes_off, tally.frames_with_gaze),
        blinks_per_min=eyes.blinks / (eyes.measured_s / 60) if eyes.measured_s >= MIN_EYES_S else None,
        speech_share=_share(tally.speech_s, tally.sound_s),
        speech_s=tally.speech_s,
        longest_pause_s=tally.longest_pause_s,
        words=tally.words,
        words_per_min=tally.words / (tally.speech_s / 60) if enough_speech else None,
        identity_pct=None if mean_pct is None else round(mean_pct, PERCENT_DIGITS),
        identity_checks=likeness.checks,
        identity_failures=likeness.failures,
        identity_undecided=likeness.undecided,
        expression=expression.shown_now(felt, state.clock_s),
        expression_mean=expression.shown_mean(felt),
        expression_model="" if felt is None else felt.model,
        text_looks=state.text.looks or None,
        text_found=state.text.found,
        pauses=heard.pauses,
        pause_mean_s=heard.pauses_s / heard.pauses if heard.pauses else None,
        speech_dbfs=_level(heard.speech_dbfs),
        noise_dbfs=_level(heard.noise_dbfs),
        voiced_share=sound.mean(heard.voiced),
        sound_problems=heard.problems,
        voices=voices.shown(state.voices),
        voice_silhouette=state.voices.silhouette,
        voice_unknown_s=state.voices.unknown_s,
        overlap_s=state.voices.overlap_s if state.voices.interviewer else None,
        mouth_still_share=_share(state.mouth.still_s, state.mouth.compared_s),
        abstained=abstention.told(state.abstentions, _judged_signals(state)),
    )


def changes(before: SessionView | None, after: SessionView) -> SessionView:
    """`after` with only the ledger lines, timeline episodes and alerts that are new or different since `before`."""
    if before is None:
        return after
    lines = {(line.seq, line.rule) for line in before.ledger}
    episodes = {(episode.kind, episode.start_s): episode for episode in before.timeline}
    alerts = {alert.id for alert in before.alerts}
    return msgspec.structs.replace(
        after,
        ledger=tuple(line for line in after.ledger if (line.seq, line.rule) not in lines),
        timeline=tuple(episode for episode in after.timeline if _differs(episodes, episode)),
        alerts=tuple(alert for alert in after.alerts if alert.id not in alerts),
    )


def visibly_different(before: SessionView | None, after: SessionView) -> bool:
    """Whether a watcher should know at once: more changed than the clock, the decay and the running figures."""
    if before is None:
        return True
    return (
        before.status != after.status
        or before.level != after.level
        or before.could_not_tell.active != after.could_not_tell.active
        or before.could_not_tell.reasons != after.could_not_tell.reasons
        or before.active != after.active
        or before.timeline != after.timeline
        or before.ledger != after.ledger
        or before.features != after.features
        or before.evidence != after.evidence
    )


def _differs(known: dict[tuple[str, float], Episode], episode: Episode) -> bool:
    return known.get((episode.kind, episode.start_s)) != episode


def _level(taken: sound.Mean) -> float | None:
    dbfs = sound.mean(taken)
    return None if dbfs is None else round(dbfs, DBFS_DIGITS)


def _share(part: float, whole: float) -> float | None:
    return min(1.0, part / whole) if whole > 0 else None


def _wanted(feature: str, analysis: Analysis) -> bool:
    """Whether the policy asks for a feature at all: what nobody asked for is not missed."""
    return {
        "objects": analysis.objects_per_s > 0,
        "identity": analysis.identity_per_s > 0,
        "text": analysis.text_per_s > 0,
        "expression": analysis.emotion and analysis.expression_per_s > 0,
        "transcript": analysis.audio and analysis.transcript,
        "translation": analysis.audio and analysis.transcript,
        "voices": analysis.audio and analysis.voices,
    }.get(feature, True)


def _judged_signals(state: State) -> tuple[str, ...]:
    """Signals that somebody wanted to know in this session."""
    wanted = {
        abstention.EXPRESSION: state.head.policy.analysis.emotion,
        abstention.IDENTITY: state.identity.references > 0,
    }
    return tuple(signal for signal in abstention.SIGNALS if wanted.get(signal, True))

"""State to what people see. A view has all that a report needs, and says what was not measured."""

from __future__ import annotations

from typing import Literal

import msgspec

from aggregator.risk import abstention, expression, ledger
from aggregator.risk.conditions import RULES, Drive
from aggregator.risk.state import State
from proto.policy import Analysis, Policy, Rule
from proto.views import CouldNotTell, Episode, Measures, SessionView, Watch

MIN_EYES_S = 10.0
"""Eyes watched for less than this give no blink rate."""

MIN_SPEECH_S = 5.0
"""Speech shorter than this gives no speaking rate."""

PERCENT_DIGITS = 1
MOSTLY = 0.5
EYES_UNREAD = {
    "small": "the face was too small",
    "turned": "the face was turned too far",
    "blurred": "the face was too blurred",
    "dark": "the face was too dark",
    "bright": "the face was too bright",
    "occluded": "the face was covered too much",
    "eyes_closed": "the eyes were closed too long",
}
SELDOM_SHARE = 0.5
MIN_DUE = 10
"""Fewer looks than this half of those that were due, of at least so many, are said to be few."""

GAZE_RULES = frozenset({"EYES_OFF_SCREEN", "READING_PATTERN"})


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
        rules=tuple(_watch(state, name, policy.rules[name]) for name in _in_order(policy)),
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
    tally, eyes, likeness = state.tally, state.eyes, state.identity
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


def _share(part: float, whole: float) -> float | None:
    return min(1.0, part / whole) if whole > 0 else None


def _in_order(policy: Policy) -> list[str]:
    """Rules in the table's order, those it does not know at the end."""
    return [name for name in RULES if name in policy.rules] + sorted(set(policy.rules) - set(RULES))


def _watch(state: State, name: str, rule: Rule) -> Watch:
    status, reason = _watched(state, name, rule)
    tracker = state.trackers.get(name)
    return Watch(
        rule=name,
        severity=rule.severity,
        weight=rule.weight,
        state=status,
        reason=reason,
        fired=tracker.fired if tracker else 0,
    )


def _watched(state: State, name: str, rule: Rule) -> tuple[Literal["watched", "off", "not_measured"], str]:
    spec, analysis = RULES.get(name), state.head.policy.analysis
    if not rule.enabled:
        return "off", "the policy has this rule disabled"
    if spec is None:
        return "not_measured", "this version does not know the rule"
    if spec.needs == "emotion" and not analysis.emotion:
        return "off", "the policy does not allow emotion to be inferred"
    if spec.drive in RATES and not getattr(analysis, RATES[spec.drive]):
        return "off", f"the policy's {RATES[spec.drive]} is 0"
    missing = _not_measured(state, spec.drive)
    if not missing and name in GAZE_RULES and state.gaze.baseline is None:
        missing = _no_baseline(state)
    return ("not_measured", missing) if missing else ("watched", _seldom(state, spec.drive))


def _seldom(state: State, drive: Drive) -> str:
    """Says so where busy workers left out most looks: a rule that seldom looked has missed things."""
    if drive != "objects":
        return ""
    analysis, tally = state.head.policy.analysis, state.tally
    due = int(tally.frames_seen * min(1.0, analysis.objects_per_s / analysis.fps))
    if due < MIN_DUE or tally.objects_looked >= SELDOM_SHARE * due:
        return ""
    return f"only {tally.objects_looked} of about {due} looks were made, the workers were too busy"


def _wanted(feature: str, analysis: Analysis) -> bool:
    """Whether the policy asks for a feature at all: what nobody asked for is not missed."""
    return {
        "objects": analysis.objects_per_s > 0,
        "identity": analysis.identity_per_s > 0,
        "text": analysis.text_per_s > 0,
        "expression": analysis.emotion and analysis.expression_per_s > 0,
        "transcript": analysis.audio and analysis.transcript,
    }.get(feature, True)


RATES: dict[Drive, str] = {"objects": "objects_per_s", "identity": "identity_per_s", "text": "text_per_s"}
"""What is looked at only at a rate of its own, and where the policy says how often."""


def _not_measured(state: State, drive: Drive) -> str:
    """Why nothing that drives a rule was measured; empty where it was."""
    tally, likeness = state.tally, state.identity
    unknown = likeness.references or likeness.undecided
    measured, why = {
        "nothing": (0, "this version has no detector for it"),
        "objects": (tally.objects_looked, "no object detector looked at any frame"),
        "identity": (
            likeness.checks,
            "no look at the face could tell whose it is" if unknown else "no reference face is registered",
        ),
        "text": (state.text.looks, "no frame was searched for text"),
        "sound": (tally.whisper_heard, "this version has no detector for it"),
        "frame": (tally.frames_judged, "no frame could be judged"),
        "source": (1, ""),
    }[drive]
    return "" if measured else _lacking(state, drive) or why


def _judged_signals(state: State) -> tuple[str, ...]:
    """Signals that somebody wanted to know in this session."""
    wanted = {
        abstention.EXPRESSION: state.head.policy.analysis.emotion,
        abstention.IDENTITY: state.identity.references > 0,
    }
    return tuple(signal for signal in abstention.SIGNALS if wanted.get(signal, True))


def _no_baseline(state: State) -> str:
    """Why nothing is known of where the eyes look; said precisely where they could not be read most of the time."""
    for shy in abstention.told(state.abstentions, (abstention.GAZE,)):
        if shy.share > MOSTLY:
            return f"{EYES_UNREAD[shy.reason]} for the eyes to be read"
    return "the eyes were not seen steadily enough for a baseline"


def _lacking(state: State, feature: str) -> str:
    """Why a feature does not work here and what an operator runs to have it, if a worker said so."""
    told = state.features.get(feature)
    if told is None or told.available:
        return ""
    reason = told.reason or "not available here"
    return f"{reason} (to have it: {told.command})" if told.command else reason

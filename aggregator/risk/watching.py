"""What became of each rule: watched, off, or not measured, and why."""

from __future__ import annotations

from typing import Literal

from aggregator.risk import abstention, sound
from aggregator.risk.conditions import RULES, Drive, Spec
from aggregator.risk.state import State
from proto.policy import Analysis, Policy, Rule
from proto.views import Watch

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


RATES: dict[Drive, str] = {"objects": "objects_per_s", "identity": "identity_per_s", "text": "text_per_s"}
"""What is looked at only at a rate of its own, and where the policy says how often."""

HEARD: frozenset[Drive] = frozenset({"sound", "voice", "mouth"})
FEATURES: dict[Drive, str] = {"voice": "voices"}
"""The feature that a worker reports as missing, where it has another name than the drive."""


def in_order(policy: Policy) -> list[str]:
    """Rules in the table's order, those it does not know at the end."""
    return [name for name in RULES if name in policy.rules] + sorted(set(policy.rules) - set(RULES))


def watch(state: State, name: str, rule: Rule) -> Watch:
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
    if why := _switched_off(spec, analysis):
        return "off", why
    missing = _not_measured(state, spec.drive)
    if not missing and name in GAZE_RULES and state.gaze.baseline is None:
        missing = _no_baseline(state)
    return ("not_measured", missing) if missing else ("watched", _seldom(state, spec.drive))


def _switched_off(spec: Spec, analysis: Analysis) -> str:
    """Which part of the policy keeps a rule from being watched; empty where none does."""
    if spec.needs == "emotion" and not analysis.emotion:
        return "the policy does not allow emotion to be inferred"
    if spec.drive in RATES and not getattr(analysis, RATES[spec.drive]):
        return f"the policy's {RATES[spec.drive]} is 0"
    if spec.drive in HEARD and not analysis.audio:
        return "the policy's audio is off"
    return "the policy's voices is off" if spec.drive == "voice" and not analysis.voices else ""


def _seldom(state: State, drive: Drive) -> str:
    """Says so where busy workers left out most looks: a rule that seldom looked has missed things."""
    if drive != "objects":
        return ""
    analysis, tally = state.head.policy.analysis, state.tally
    due = int(tally.frames_seen * min(1.0, analysis.objects_per_s / analysis.fps))
    if due < MIN_DUE or tally.objects_looked >= SELDOM_SHARE * due:
        return ""
    return f"only {tally.objects_looked} of about {due} looks were made, the workers were too busy"


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
        "sound": (tally.whisper_heard, _unheard(state) or "too little speech was heard"),
        "voice": (state.voices.told, _no_voice(state)),
        "mouth": (state.mouth.compared_s, _unheard(state) or "no mouth was in view well enough while somebody spoke"),
        "frame": (tally.frames_judged, "no frame could be judged"),
        "source": (1, ""),
    }[drive]
    return "" if measured else _lacking(state, FEATURES.get(drive, drive)) or why


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


def _no_voice(state: State) -> str:
    if state.voices.pieces:
        return "no voice could be told for certain"
    return _unheard(state) or "no voices were told apart"


def _unheard(state: State) -> str:
    """Why the sound says nothing at all; empty where it was heard."""
    tally, heard = state.tally, state.sound
    if tally.sound_s <= 0.0:
        return "sound was lost" if heard.problems else "no sound was heard"
    unfit_s = max(heard.problems.values(), default=0.0)
    return f"the sound could not be judged: {sound.mostly(heard)}" if unfit_s > MOSTLY * tally.sound_s else ""

"""What each rule means: one literal table from a rule's name to its condition, to what drives it and to its words.

A condition answers True, False or None ("could not tell") for one moment. How long it must hold, and what it weighs, is
in the policy. To change a rule, change its row and its function here, and its numbers in `deploy/policies/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import msgspec

from aggregator.risk.gaze import UNKNOWN, Offset
from aggregator.risk.look import Picture
from proto.observations import SeenObject
from proto.policy import Rule

FRONTAL_TURN_DEG = 25.0
"""With the head turned further than this, it is the head that looks away, not the eyes."""

Verdict = bool | None
Drive = Literal["frame", "objects", "sound", "source", "nothing"]


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """All that can be judged at `t_s`. `poor` says that packets were lost, so that no picture proves anything."""

    t_s: float
    poor: bool = False
    picture: Picture | None = None
    offset: Offset = UNKNOWN
    eyes_closed: bool = False
    turns: int = 0
    objects: tuple[SeenObject, ...] = ()
    whisper: float | None = None
    connected: bool = True
    loss_reason: str = ""


Condition = Callable[[Moment, Rule, bool], Verdict]
"""Verdict on a moment; the last argument says whether the episode is open, so that `exit` applies, not `enter`."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One row: `drive` says which observations ask the question, `why` begins the ledger line's sentence.

    `at_once`: a fact, not a measurement, that needs no second look. `needs` names an inference the policy must allow.
    """

    condition: Condition
    drive: Drive
    why: str
    at_once: bool = False
    needs: Literal["", "emotion"] = ""


def threshold(rule: Rule, enter: float, exit_: float, active: bool) -> float:
    """The rule's limit now: `exit` while its episode is open, else `enter`; the arguments stand in for omitted ones."""
    if not active:
        return enter if rule.enter is None else rule.enter
    if rule.exit is not None:
        return rule.exit
    return exit_ if rule.enter is None else rule.enter


def multiple_faces(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """At least `count` faces (2), each at least `enter` times as tall as the largest: posters are small."""
    picture = moment.picture
    if picture is None or picture.unfit or moment.poor:
        return None
    if picture.faces < 2:
        return False
    if not picture.heights:
        return None
    least = threshold(rule, 0.3, 0.25, active) * picture.heights[0]
    return sum(1 for height in picture.heights if height >= least) >= (rule.count or 2)


def no_face(moment: Moment, _rule: Rule, _active: bool) -> Verdict:
    """No face, and the detector says that no person is there either. A hidden face is a person who is present."""
    picture = moment.picture
    if picture is None or moment.poor:
        return None
    if picture.faces:
        return False
    return None if picture.unfit or picture.hidden else True


def looking_away(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """The head is turned by more than `enter` degrees."""
    turn_deg = moment.offset.turn_deg
    if turn_deg is None or moment.poor:
        return None
    return turn_deg > threshold(rule, 28.0, 20.0, active)


def eyes_off_screen(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """The head is roughly frontal and the gaze more than `enter` degrees from this candidate's baseline."""
    off_deg, turn_deg = moment.offset.off_deg, moment.offset.turn_deg
    if off_deg is None or turn_deg is None or moment.eyes_closed or moment.poor:
        return None
    if turn_deg > FRONTAL_TURN_DEG:
        return False
    return off_deg > threshold(rule, 10.0, 7.0, active)


def reading_pattern(moment: Moment, rule: Rule, _active: bool) -> Verdict:
    """At least `count` swings of the gaze that turned back, off centre, within the last seconds."""
    if moment.offset.off_deg is None or moment.poor:
        return None
    return moment.turns >= (rule.count or 8)


def phone(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """A whole object with one of the rule's labels, with a score of at least `enter`."""
    return _object(moment, rule, active, partial=False)


def phone_partial(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """The same, of an object that is only partly in view."""
    return _object(moment, rule, active, partial=True)


def suspicious_object(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """An object with one of the rule's labels, whole or in part."""
    return _object(moment, rule, active, partial=None)


def whispering(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """The voice is likely to be a whisper, by at least `enter`."""
    whisper = moment.whisper
    return None if whisper is None else whisper >= threshold(rule, 0.7, 0.5, active)


def source_lost(moment: Moment, _rule: Rule, _active: bool) -> Verdict:
    """No camera or recording is connected, and one was."""
    return not moment.connected


def unmeasured(_moment: Moment, _rule: Rule, _active: bool) -> Verdict:
    """No detector of this version answers the question."""
    return None


def _object(moment: Moment, rule: Rule, active: bool, *, partial: bool | None) -> Verdict:
    if moment.poor or (moment.picture is not None and moment.picture.unfit):
        return None
    least = threshold(rule, 0.5, 0.4, active)
    return any(
        found.label in rule.labels and least <= found.score <= 1.0 and (partial is None or found.partial == partial)
        for found in moment.objects
    )


RULES: dict[str, Spec] = {
    "PHONE_DETECTED": Spec(phone, "objects", "A phone in view"),
    "PHONE_PARTIAL_DETECTED": Spec(phone_partial, "objects", "Part of a phone in view"),
    "MULTIPLE_FACES": Spec(multiple_faces, "frame", "More than one face in view"),
    "EYES_OFF_SCREEN": Spec(eyes_off_screen, "frame", "Eyes off the screen"),
    "LOOKING_AWAY": Spec(looking_away, "frame", "Head turned away"),
    "NO_FACE": Spec(no_face, "frame", "Nobody in view"),
    "SUSPICIOUS_OBJECT": Spec(suspicious_object, "objects", "An object that does not belong here in view"),
    "WHISPERING": Spec(whispering, "sound", "A voice like a whisper"),
    "READING_PATTERN": Spec(reading_pattern, "frame", "Eyes moving as if reading beside the screen"),
    "STRESS_HIGH": Spec(unmeasured, "nothing", "Signs of stress", needs="emotion"),
    "SECOND_VOICE": Spec(unmeasured, "nothing", "A second voice"),
    "IDENTITY_MISMATCH": Spec(unmeasured, "nothing", "A face unlike the reference"),
    "SOURCE_LOST": Spec(source_lost, "source", "Connection over", at_once=True),
}

BY_DRIVE: dict[Drive, tuple[tuple[str, Spec], ...]] = {
    drive: tuple((name, spec) for name, spec in RULES.items() if spec.drive == drive) for drive in get_args(Drive)
}

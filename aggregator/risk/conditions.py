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
from aggregator.risk.identity import Likeness
from aggregator.risk.look import Picture
from aggregator.risk.text import Line
from aggregator.risk.voices import Told
from proto.observations import SeenObject
from proto.policy import Rule

APART, APART_STILL = 0.3, 0.2
"""Silhouette (-1 to 1) from which the voices of a session stand apart well enough to speak of two. Pairs of three
readers had 0.50 to 0.64."""

FRONTAL_TURN_DEG = 25.0
"""With the head turned further than this, it is the head that looks away, not the eyes."""

EPSILON_S = 1e-6

Verdict = bool | None
Drive = Literal["frame", "objects", "identity", "text", "sound", "voice", "mouth", "source", "nothing"]


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """All that can be judged at `t_s`. `poor` says that packets were lost, so that no picture proves anything.

    `likeness` is None where a comparison could not tell, `still` (a mouth that does not move while somebody speaks)
    where that could not be seen.
    """

    t_s: float
    poor: bool = False
    picture: Picture | None = None
    offset: Offset = UNKNOWN
    eyes_closed: bool = False
    turns: int = 0
    objects: tuple[SeenObject, ...] = ()
    likeness: Likeness | None = None
    lines: tuple[Line, ...] = ()
    whisper: float | None = None
    voice: Told | None = None
    still: bool | None = None
    connected: bool = True
    loss_reason: str = ""


Condition = Callable[[Moment, Rule, bool], Verdict]
"""Verdict on a moment; the last argument says whether the episode is open, so that `exit` applies, not `enter`."""

Tell = Callable[[Moment, Rule], str]
"""A sentence on what was seen, for the ledger line; empty where there is nothing to add."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One row: `drive` says which observations ask the question, `why` begins the ledger line's sentence.

    `at_once`: a fact, not a measurement, that needs no second look. `in_a_row`: it takes `count` (3) looks
    in a row. `needs` names an inference the policy must allow. `same_as` is a rule that may see the same thing: while
    its episode is open this one is not asked, and within the cool-down after either fired neither does.
    `measures_hold`: the condition itself sees to `hold_s`, because its moments are not evenly spread; `tell` then gives
    the whole sentence.
    """

    condition: Condition
    drive: Drive
    why: str
    at_once: bool = False
    in_a_row: bool = False
    needs: Literal["", "emotion"] = ""
    same_as: str = ""
    tell: Tell | None = None
    measures_hold: bool = False


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
    """A whole object with one of the rule's labels, with a score of at least `enter`.

    One that is only partly in view neither begins an episode nor ends it: it keeps an open one going.
    """
    found = _objects(moment, rule, active)
    if not found:
        return None if found is None else False
    return True if active or any(not thing.partial for thing in found) else None


def phone_partial(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """At least part of such an object: one that seems now whole, now partial is here all the time."""
    found = _objects(moment, rule, active)
    return None if found is None else bool(found)


def suspicious_object(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """An object with one of the rule's labels, whole or in part."""
    found = _objects(moment, rule, active)
    return None if found is None else bool(found)


def identity_mismatch(moment: Moment, _rule: Rule, _active: bool) -> Verdict:
    """The face was compared with the registered one and is not like it."""
    return None if moment.likeness is None else not moment.likeness.matches


def text_in_view(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """Text that is read with a confidence of at least `enter`, and stays where it is from look to look."""
    if moment.poor:
        return None
    least = threshold(rule, 0.6, 0.5, active)
    return any(line.steady and line.confidence >= least for line in moment.lines)


def whispering(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """The voice is likely to be a whisper, by at least `enter`."""
    whisper = moment.whisper
    return None if whisper is None else whisper >= threshold(rule, 0.7, 0.5, active)


def second_voice(moment: Moment, rule: Rule, active: bool) -> Verdict:
    """Another voice than the candidate's and the interviewer's, for `hold_s` of speech within a minute and in at least
    `count` (2) pieces, while the voices stand apart by a silhouette of at least `enter`.
    """
    told = moment.voice
    if told is None or told.other is None or moment.poor:
        return None
    if not told.other:
        return False
    if told.apart is None or told.apart < threshold(rule, APART, APART_STILL, active):
        return None
    enough = told.other_s >= rule.hold_s - EPSILON_S and told.times >= (rule.count or 2)
    return True if active or enough else None


def voice_not_from_face(moment: Moment, _rule: Rule, _active: bool) -> Verdict:
    """Somebody speaks, and the mouth of the only face in view is closed and does not move."""
    return moment.still


def source_lost(moment: Moment, _rule: Rule, _active: bool) -> Verdict:
    """No camera or recording is connected, and one was."""
    return not moment.connected


def unmeasured(_moment: Moment, _rule: Rule, _active: bool) -> Verdict:
    """No detector of this version answers the question."""
    return None


def _objects(moment: Moment, rule: Rule, active: bool) -> tuple[SeenObject, ...] | None:
    """Objects with one of the rule's labels and at least its score; None where the picture proves nothing."""
    if moment.poor or (moment.picture is not None and moment.picture.unfit):
        return None
    least = threshold(rule, 0.5, 0.4, active)
    return tuple(thing for thing in moment.objects if thing.label in rule.labels and least <= thing.score <= 1.0)


def tell_objects(moment: Moment, rule: Rule) -> str:
    """Which ones, in the model's words."""
    names = dict.fromkeys(thing.label for thing in _objects(moment, rule, True) or ())
    return f"It looks like: {', '.join(names)}." if names else ""


def tell_likeness(moment: Moment, _rule: Rule) -> str:
    """How like the last face was. Cut off, so that what is below the threshold is shown below it."""
    found = moment.likeness
    return "" if found is None else f"The last look: {int(found.similarity_pct)} % alike."


def tell_text(moment: Moment, _rule: Rule) -> str:
    """How sure the reading is and where it stands; the words only where the policy keeps them."""
    steady = [line for line in moment.lines if line.steady]
    if not steady:
        return ""
    surest = steady[0]
    words = f": “{surest.words}”" if surest.words else ""
    return f"Lines: {len(steady)}; the surest {int(100 * surest.confidence)} %, {surest.where}{words}."


def tell_voice(moment: Moment, _rule: Rule) -> str:
    """How long another voice was heard, and how often."""
    told = moment.voice
    return "" if told is None else f"Another voice than the candidate's for {told.other_s:.1f} s, {_often(told.times)}."


def _often(times: int) -> str:
    return "heard once" if times == 1 else f"heard {times} times"


RULES: dict[str, Spec] = {
    "PHONE_DETECTED": Spec(phone, "objects", "A phone in view", same_as="PHONE_PARTIAL_DETECTED"),
    "PHONE_PARTIAL_DETECTED": Spec(phone_partial, "objects", "Part of a phone in view", same_as="PHONE_DETECTED"),
    "MULTIPLE_FACES": Spec(multiple_faces, "frame", "More than one face in view"),
    "EYES_OFF_SCREEN": Spec(eyes_off_screen, "frame", "Eyes off the screen"),
    "LOOKING_AWAY": Spec(looking_away, "frame", "Head turned away"),
    "NO_FACE": Spec(no_face, "frame", "Nobody in view"),
    "SUSPICIOUS_OBJECT": Spec(suspicious_object, "objects", "An object worth a look in view", tell=tell_objects),
    "WHISPERING": Spec(whispering, "sound", "A voice like a whisper"),
    "READING_PATTERN": Spec(reading_pattern, "frame", "Eyes moving as if reading beside the screen"),
    "STRESS_HIGH": Spec(unmeasured, "nothing", "Signs of stress", needs="emotion"),
    "SECOND_VOICE": Spec(second_voice, "voice", "Another voice", tell=tell_voice, measures_hold=True),
    "IDENTITY_MISMATCH": Spec(
        identity_mismatch, "identity", "A face unlike the reference picture", in_a_row=True, tell=tell_likeness
    ),
    "TEXT_IN_VIEW": Spec(text_in_view, "text", "Readable text in view", tell=tell_text),
    "VOICE_NOT_FROM_FACE": Spec(voice_not_from_face, "mouth", "A voice while the mouth in view was still"),
    "SOURCE_LOST": Spec(source_lost, "source", "Connection over", at_once=True),
}

BY_DRIVE: dict[Drive, tuple[tuple[str, Spec], ...]] = {
    drive: tuple((name, spec) for name, spec in RULES.items() if spec.drive == drive) for drive in get_args(Drive)
}

"""How right the analysis is: what was seen and reported against what is known, as rows of one table. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from aggregator.risk.state import State
from bench.material import Clip, Expected, Head
from inference.signals.expressions import GEOMETRY
from inference.signals.fitness import EXPRESSION, GAZE, IDENTITY, POSE
from proto.observations import Face, FrameSeen

PROFILE_DEG = 60.0
EARLY_S, LATE_S = 0.5, 3.0
"""A report this much before what it reports, or after its end, is still of it: rules hold on for a while."""

AWAY = ("EYES_OFF_SCREEN", "LOOKING_AWAY")
SIDES = {"left": ("yaw", -1), "right": ("yaw", 1), "down": ("pitch", -1), "up": ("pitch", 1)}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `value` is None where it was not measured, and `note` says why. `of` names the features whose models
    it depends on; `n` says how many of what it stands on.
    """

    what: str
    value: float | None
    unit: str
    n: int
    of: tuple[str, ...] = ("face",)
    note: str = ""


class Watched(NamedTuple):
    """A clip as it went through the models and the fold of a policy."""

    clip: Clip
    seen: Sequence[FrameSeen]
    state: State

    @property
    def duration_s(self) -> float:
        return self.seen[-1].t_s - self.seen[0].t_s if self.seen else 0.0


def not_measured(what: str, unit: str, why: str, of: tuple[str, ...] = ("face",)) -> Row:
    return Row(what=what, value=None, unit=unit, n=0, of=of, note=why)


def share(what: str, right: int, total: int, of: tuple[str, ...] = ("face",), note: str = "") -> Row:
    """A row in percent; not measured where there was nothing to be right about."""
    if not total:
        return not_measured(what, "%", note or "no such material", of)
    return Row(what=what, value=100.0 * right / total, unit="%", n=total, of=of, note=note)


def presence(clips: Iterable[Watched]) -> list[Row]:
    """Frames with a face and without, told apart; and whether all faces were counted."""
    pairs = [
        (count, len(seen.faces))
        for watched in clips
        for from_s, to_s, count in watched.clip.faces
        for seen in watched.seen
        if from_s <= seen.t_s < to_s
    ]
    found = sum(1 for truth, said in pairs if truth and said)
    return [
        share("presence, precision", found, sum(1 for _, said in pairs if said), note="of frames called a face"),
        share("presence, recall", found, sum(1 for truth, _ in pairs if truth), note="of frames with a face"),
        share("number of faces right", sum(1 for truth, said in pairs if truth == said), len(pairs), note="frames"),
    ]


def gaze(clips: Iterable[Watched]) -> list[Row]:
    """Stretches in which the eyes rest somewhere: whether they were reported as away, and to which side they went."""
    right = total = 0
    for watched in clips:
        for from_s, to_s, side in watched.clip.gaze:
            total += 1
            right += _is_away(watched, from_s, to_s) == (side != "centre") and _is_side(watched, from_s, to_s, side)
    return [share("gaze, stretches right", right, total, note="reported away or not, and to the right side")]


def _is_away(watched: Watched, from_s: float, to_s: float) -> bool:
    """Whether an episode of looking away covers at least half of a stretch."""
    episodes = [*watched.state.timeline, *watched.state.open.values()]
    covered_s = sum(
        max(0.0, min(to_s, to_s if episode.end_s is None else episode.end_s) - max(from_s, episode.start_s))
        for episode in episodes
        if episode.kind in AWAY
    )
    return covered_s >= (to_s - from_s) / 2


def _is_side(watched: Watched, from_s: float, to_s: float, side: str) -> bool:
    """Whether the median gaze lies on that side of the median over the rest of the clip."""
    if side == "centre":
        return True
    axis, sign = SIDES[side]
    inside: list[float] = []
    outside: list[float] = []
    for seen in watched.seen:
        if not seen.faces:
            continue
        face = seen.faces[0]
        angle = face.gaze_yaw_deg if axis == "yaw" else face.gaze_pitch_deg
        if angle is not None and GAZE not in face.abstains:
            (inside if from_s <= seen.t_s < to_s else outside).append(angle)
    return bool(inside and outside) and sign * (float(np.median(inside)) - float(np.median(outside))) > 0


def head_pose(found: Iterable[tuple[Head, Sequence[Face]]]) -> list[Row]:
    """Mean absolute error of each angle; a head that was not found is said, and not left out quietly."""
    cases = list(found)
    pairs = [(head, faces[0]) for head, faces in cases if faces]
    lost = len(cases) - len(pairs)
    note = f"{lost} heads not found" if lost else ""
    rows = [_pose_rows(pairs, "", note)]
    rows.append(_pose_rows([pair for pair in pairs if abs(pair[0].yaw_deg) < PROFILE_DEG], ", short of profile", note))
    return list(itertools.chain.from_iterable(rows))


def _pose_rows(pairs: Sequence[tuple[Head, Face]], which: str, note: str) -> list[Row]:
    rows = []
    for angle in ("yaw", "pitch", "roll"):
        what = f"head {angle}, mean absolute error{which}"
        if not pairs:
            rows.append(not_measured(what, "degrees", note or "no such material"))
            continue
        errors = [abs(getattr(head, f"{angle}_deg") - getattr(face, f"{angle}_deg")) for head, face in pairs]
        rows.append(Row(what=what, value=float(np.mean(errors)), unit="degrees", n=len(errors), note=note))
    return rows


def delay_s(watched: Watched, expected: Expected) -> float | None:
    """How long after it began something was reported; None where it never was."""
    times = [line.t_s for line in watched.state.ledger if line.rule in expected.rules and _within(line.t_s, expected)]
    return times[0] - expected.from_s if times else None


def _within(t_s: float, expected: Expected) -> bool:
    return expected.from_s - EARLY_S <= t_s <= expected.to_s + LATE_S


def timing(clips: Iterable[Watched], missing: Mapping[str, str]) -> list[Row]:
    """When each expected thing was reported. `missing` says of a feature why it is absent."""
    rows = []
    for watched in clips:
        for expected in watched.clip.expect:
            phone = any(rule.startswith(("PHONE", "SUSPICIOUS")) for rule in expected.rules)
            of = ("objects",) if phone else ("face",)
            what = f"{expected.what}: reported after"
            why = missing.get(of[0]) or _cannot_fire(watched, expected)
            if why:
                rows.append(not_measured(what, "s", why, of))
                continue
            delay = delay_s(watched, expected)
            note = f"{' or '.join(expected.rules)}, true from {expected.from_s:g} s"
            if delay is None:
                rows.append(Row(what=what, value=None, unit="s", n=1, of=of, note=f"MISSED: {note}"))
            else:
                rows.append(Row(what=what, value=delay, unit="s", n=1, of=of, note=note))
    return rows


def _cannot_fire(watched: Watched, expected: Expected) -> str:
    """Why the policy could not report it, however well it was seen; empty if it could."""
    rules = [rule for name in expected.rules if (rule := watched.state.head.policy.rules.get(name)) and rule.enabled]
    if not rules:
        return "the policy has the rule off"
    hold_s = min(rule.hold_s for rule in rules)
    lasts_s = expected.to_s - expected.from_s
    return f"the policy waits {hold_s:g} s, it lasts {lasts_s:.1f} s" if hold_s >= lasts_s else ""


def false_alerts(watched: Watched) -> list[str]:
    """Rules that fired although nothing of theirs was there, and those that fired twice for one thing."""
    wrong = []
    told: set[int] = set()
    for line in watched.state.ledger:
        if line.rule in watched.clip.may:
            continue
        matching = [
            index
            for index, expected in enumerate(watched.clip.expect)
            if line.rule in expected.rules and _within(line.t_s, expected)
        ]
        if not matching or told.issuperset(matching):
            wrong.append(line.rule)
        told.update(matching)
    return wrong


def alerts(clips: Sequence[Watched]) -> list[Row]:
    """False alerts where nothing happens, by the hour; and anywhere."""
    clean = [watched for watched in clips if watched.clip.clean]
    clean_s = sum(watched.duration_s for watched in clean)
    everywhere = [(watched.clip.file, rule) for watched in clips for rule in false_alerts(watched)]
    told = ", ".join(f"{rule} in {file}" for file, rule in everywhere)
    rows = [
        Row(what="false alerts, all clips", value=float(len(everywhere)), unit="alerts", n=len(clips), note=told)
        if clips
        else not_measured("false alerts, all clips", "alerts", "no such material")
    ]
    what = "false alerts an hour, clean clips"
    if not clean_s:
        return [*rows, not_measured(what, "an hour", "no such material")]
    count = sum(len(watched.state.ledger) for watched in clean)
    note = f"{clean_s:.0f} s watched, which is little"
    if not count:
        # Hanley and Lippman-Hand 1983: of nothing in n tries, the upper 95 % bound is 3/n.
        note += f": up to {3 * 3600 / clean_s:.0f} an hour fit with it (95 %)"
    return [*rows, Row(what=what, value=count * 3600 / clean_s, unit="an hour", n=len(clean), note=note)]


def could_not_tell(clips: Sequence[Watched]) -> list[Row]:
    """How often each signal of a face abstained, and for which share of the time nothing could be told."""
    faces = [seen.faces[0] for watched in clips for seen in watched.seen if seen.faces]
    rows = []
    for signal in (POSE, GAZE, EXPRESSION, IDENTITY):
        reasons = [face.abstains[signal] for face in faces if signal in face.abstains]
        counts = ", ".join(f"{reason} {reasons.count(reason)}" for reason in sorted(set(reasons)))
        rows.append(share(f"could not tell: {signal}", len(reasons), len(faces), note=counts))
    for watched in clips:
        blind = watched.state.blind
        spell_s = watched.state.clock_s - blind.since_s if blind.open and blind.since_s is not None else 0.0
        if watched.duration_s and (total_s := blind.total_s + spell_s):
            rows.append(
                Row(
                    what=f"could not tell: {watched.clip.file}", value=100.0 * total_s / watched.duration_s, unit="%",
                    n=len(watched.seen), of=("face", "person", "hands"), note="of the clip's time",
                )
            )  # fmt: skip
    return rows


class Pair(NamedTuple):
    """Two pictures: of one person or of two, how alike their faces are by cosine and in percent."""

    same: bool
    cosine: float
    percent: float


def identity(pairs: Sequence[Pair], threshold_pct: float, unusable: Sequence[str]) -> list[Row]:
    """How far pictures of one person lie from pictures of two."""
    of = ("identity",)
    note = f"unusable: {', '.join(unusable)}" if unusable else ""
    genuine, impostor = ([pair for pair in pairs if pair.same == same] for same in (True, False))
    rows = []
    for what, some, best in (("one person, least alike", genuine, min), ("two people, most alike", impostor, max)):
        if not some:
            rows.append(not_measured(f"{what}, percent", "%", note or "no such material", of))
            continue
        for unit, values in (("cosine", [pair.cosine for pair in some]), ("%", [pair.percent for pair in some])):
            rows.append(Row(what=what, value=best(values), unit=unit, n=len(some), of=of, note=note))
    right = sum(1 for pair in pairs if pair.same == (pair.percent >= threshold_pct))
    return [*rows, share(f"told apart at {threshold_pct:g} %", right, len(pairs), of, note)]


def expression(model: str, found: Sequence[tuple[str, Mapping[str, float] | None]]) -> list[Row]:
    """How often the strongest of the eight is the one a picture is named after; `found` has (truth, percentages)."""
    told = [(truth, max(said, key=lambda name: said[name])) for truth, said in found if said]
    wrong = ", ".join(f"{truth} read as {said}" for truth, said in told if truth != said)
    silent = ", ".join(truth for truth, said in found if not said)
    note = "; ".join(filter(None, (wrong, f"could not tell: {silent}" if silent else "")))
    right = sum(1 for truth, said in told if truth == said)
    of = ("face",) if model == GEOMETRY else ("expression",)
    return [share(f"expression, {model}", right, len(found), of, note)]


def objects(found: Sequence[tuple[str, bool]]) -> list[Row]:
    """Pictures in which the object that is there was found."""
    lost = ", ".join(file for file, hit in found if not hit)
    return [
        share(
            "objects found in pictures", sum(1 for _, hit in found if hit), len(found), ("objects",),
            f"missed: {lost}" if lost else "",
        )
    ]  # fmt: skip

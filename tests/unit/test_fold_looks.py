"""What is looked at only now and then: phones, identity, text, expression. Fires when it should, never on doubt."""

from __future__ import annotations

import math

import msgspec
import pytest

from aggregator.risk import expression, text
from aggregator.risk.draft import gap_s
from aggregator.risk.view import view
from proto import policy
from proto.observations import Face, FrameSeen, IdentityCheck, SessionEnded, TextRegion
from proto.policy import Analysis
from tests.support.observed import (
    FULL,
    STANDARD,
    Folded,
    alike,
    calm,
    document,
    face,
    frame,
    read,
    region,
    registered,
    span,
    stats,
    thing,
    unfit,
    up,
)

PHONE, PART = thing("cell phone"), thing("cell phone", 0.3, partial=True)
PHONE_RULES = ["PHONE_DETECTED", "PHONE_PARTIAL_DETECTED"]
LOSSY = [stats(9.0), stats(9.1, packets_received=1100, packets_lost=100)]
HAPPY = dict.fromkeys(expression.NAMES, 0.0) | {"HAPPY": 100.0}
CALM = dict.fromkeys(expression.NAMES, 0.0) | {"CALM": 100.0}
KEEPS_TEXT = STANDARD.replace("keep_text = false", "keep_text = true")


def looks(start_s: float, end_s: float, every_s: float, *seen: object) -> list[FrameSeen]:
    """Frames at 5 a second, of which one every `every_s` was looked at for objects; `seen` takes turns."""
    frames, due_s, number = [], start_s, 0
    for t_s in span(start_s, end_s):
        objects = None
        if t_s >= due_s - 1e-6:
            objects = tuple(thing for thing in (seen[number % len(seen)],) if thing is not None)
            due_s, number = due_s + every_s, number + 1
        frames.append(frame(t_s, face(), objects=objects))
    return frames


# Phones.


@pytest.mark.parametrize("every_s", [0.4, 0.5, 0.6])
@pytest.mark.parametrize("first_s", [0.0, 0.2, 0.4])
def test_a_phone_is_told_within_a_second_and_once(every_s: float, first_s: float) -> None:
    folded = Folded([*calm(0.0, first_s), *looks(first_s, 10.0, every_s, None)])
    start_s = folded.state.clock_s + 0.2
    folded.add(looks(start_s, start_s + 4.0, every_s, PHONE))
    folded.add(looks(start_s + 4.0, start_s + 30.0, every_s, None))
    assert folded.rules == ["PHONE_DETECTED"]
    assert folded.lines("PHONE_DETECTED")[0] <= start_s + 1.0
    assert [episode.kind for episode in folded.state.timeline] == ["PHONE_DETECTED"]


def test_one_look_at_a_phone_proves_nothing() -> None:
    assert Folded([*looks(0.0, 4.0, 0.4, None), *looks(4.0, 4.2, 0.4, PHONE), *looks(4.4, 20.0, 0.4, None)]).rules == []


@pytest.mark.parametrize(
    "order", [(PART, PHONE), (PHONE, PART), (PART, PART, PHONE), (PHONE, PHONE, PART), (PHONE, None, PART)]
)
def test_a_phone_that_flickers_gives_one_alert(order: tuple[object, ...]) -> None:
    folded = Folded([*calm(0.0, 5.0), *looks(5.0, 25.0, 0.4, *order)])
    assert len(folded.alerts) == 1
    assert folded.rules[0] in PHONE_RULES


def test_a_phone_first_in_part_and_then_whole_gives_one_alert() -> None:
    folded = Folded([*looks(0.0, 3.0, 0.4, PART), *looks(3.0, 20.0, 0.4, PHONE), *looks(20.0, 26.0, 0.4, None)])
    assert folded.rules == ["PHONE_PARTIAL_DETECTED"]
    assert [episode.kind for episode in folded.state.timeline] == ["PHONE_PARTIAL_DETECTED"]
    assert folded.state.timeline[0].end_s == pytest.approx(20.0, abs=0.4)


def test_a_whole_phone_that_is_then_covered_in_part_goes_on() -> None:
    folded = Folded([*looks(0.0, 3.0, 0.4, PHONE), *looks(3.0, 60.0, 0.4, PART)])
    assert folded.rules == ["PHONE_DETECTED"]
    assert folded.state.open.keys() == {"PHONE_DETECTED"}


@pytest.mark.parametrize(("first", "then"), [(PHONE, PART), (PART, PHONE)])
def test_after_the_cool_down_a_phone_counts_again(first: object, then: object) -> None:
    gone = looks(4.0, 8.0, 0.4, None)
    folded = Folded([*looks(0.0, 4.0, 0.4, first), *gone, *looks(8.0, 20.0, 0.4, then)])
    assert len(folded.alerts) == 1
    assert len(folded.state.open) == 1
    assert "Not counted again" in next(iter(folded.state.open.values())).detail
    later = Folded([*looks(0.0, 4.0, 0.4, first), *gone, *looks(50.0, 60.0, 0.4, then)])
    assert len(later.alerts) == 2
    assert sorted(later.rules) == PHONE_RULES


@pytest.mark.parametrize("thing_", [PHONE, PART, thing("book")])
def test_objects_never_fire_in_the_dark_or_over_lost_packets(thing_: object) -> None:
    for doubt in ([], LOSSY):
        quality = unfit("dark") if not doubt else unfit()
        folded = Folded([up(), *calm(0.0, 9.0), *doubt])
        folded.add(frame(t, face(), objects=(thing_,), quality=quality) for t in span(10.0, 20.0))
        assert folded.rules == []
        assert "COULD_NOT_TELL" in folded.state.open


def test_a_hidden_face_does_not_hide_a_phone() -> None:
    folded = Folded(frame(t, person_present=True, objects=(PHONE,)) for t in span(0.0, 3.0))
    assert folded.rules == ["PHONE_DETECTED"]


def test_which_object_is_said() -> None:
    folded = Folded(frame(t, face(), objects=(thing("book"), thing("book"), thing("cup"))) for t in span(0.0, 3.0))
    assert folded.state.ledger[0].why == "An object worth a look in view for 1.6 s. It looks like: book."
    folded.add(frame(t, face(), objects=()) for t in span(3.0, 6.0))
    assert folded.state.timeline[0].detail == "An object worth a look in view for 3.0 s. It looks like: book."


# Identity.


def compared(start_s: float, end_s: float, *checks: IdentityCheck, every_s: float = 2.0, **changes: object) -> Folded:
    """Calm frames, then some on which the face was compared; the checks take turns."""
    return Folded(
        [registered(), *calm(0.0, start_s), *comparisons(start_s, end_s, *checks, every_s=every_s, **changes)]
    )


def comparisons(
    start_s: float, end_s: float, *checks: IdentityCheck, every_s: float = 2.0, **changes: object
) -> list[FrameSeen]:
    due_s, frames, number = start_s, [], 0
    for t_s in span(start_s, end_s):
        check = None
        if t_s >= due_s - 1e-6:
            check, due_s, number = checks[number % len(checks)], due_s + every_s, number + 1
        frames.append(frame(t_s, face(), identity=check, **changes))
    return frames


def test_three_looks_in_a_row_that_fail_are_a_mismatch() -> None:
    folded = compared(4.0, 7.9, alike(35.0))
    assert folded.rules == []
    folded.add(comparisons(8.0, 14.0, alike(35.9)))
    assert folded.lines("IDENTITY_MISMATCH") == [pytest.approx(8.0)]
    line = folded.state.ledger[0]
    assert line.why == "A face unlike the reference picture for 4.0 s. The last look: 35 % alike."
    assert [alert.rule for alert in folded.alerts] == ["IDENTITY_MISMATCH"]
    folded.add(comparisons(14.0, 24.0, alike(91.0)))
    assert folded.state.open == {}
    assert folded.state.timeline[-1].end_s == pytest.approx(14.0)


@pytest.mark.parametrize("every_s", [1.0, 2.0, 4.0, 6.0])
def test_two_failed_looks_are_none_however_far_apart(every_s: float) -> None:
    checks = (alike(30.0), alike(30.0), alike(90.0))
    folded = compared(4.0, 64.0, *checks, every_s=every_s)
    assert folded.rules == []


@pytest.mark.parametrize("reason", ["no_face", "several_faces", "turned", "dark", "other_model"])
def test_a_look_that_could_not_tell_is_no_failure(reason: str) -> None:
    folded = compared(4.0, 60.0, IdentityCheck(reason=reason))
    assert folded.rules == []
    shown = view(folded.state).measures
    assert (shown.identity_checks, shown.identity_failures, shown.identity_undecided) == (0, 0, 28)
    assert shown.identity_pct is None


@pytest.mark.parametrize(
    "changes",
    [
        {"quality": unfit("dark")},
        {"quality": unfit("blurred")},
        {"quality": unfit("occluded")},
    ],
)
def test_a_mismatch_of_a_face_that_cannot_be_judged_is_none(changes: dict[str, object]) -> None:
    folded = compared(4.0, 40.0, alike(20.0), **changes)
    assert folded.rules == []
    assert folded.state.identity.checks == 0


@pytest.mark.parametrize(
    "faces", [(face(), face(x=0.7)), (face(abstains={"identity": "turned"}),), ()], ids=["two", "abstains", "none"]
)
def test_a_mismatch_is_only_that_of_the_one_face_in_view(faces: tuple[Face, ...]) -> None:
    hidden = {"person_present": True} if not faces else {}
    folded = Folded([registered(), *calm(0.0, 4.0)])
    folded.add(frame(t, *faces, identity=alike(20.0), **hidden) for t in span(4.0, 40.0, 2.0))
    assert "IDENTITY_MISMATCH" not in folded.rules
    assert folded.state.identity.checks == 0


def test_lost_packets_are_nobodys_other_face() -> None:
    folded = Folded([up(), registered(), *calm(0.0, 9.0), *LOSSY, *comparisons(10.0, 40.0, alike(20.0))])
    assert folded.rules == []
    assert folded.state.identity.failures == 0


def test_a_new_reference_forgets_what_was_held_against_the_old_one() -> None:
    folded = compared(4.0, 8.0, alike(35.0))
    folded.add([registered(8.1, "document")])
    folded.add(comparisons(8.2, 10.4, alike(35.0)))
    assert folded.rules == []
    assert [episode.detail for episode in folded.state.timeline] == [
        "The reference face was taken from a photo.",
        "The reference face was taken from an ID document.",
    ]


def test_looks_that_may_still_be_with_the_old_reference_count_for_nothing() -> None:
    other = comparisons(10.2, 16.0, alike(35.0), every_s=0.6)
    folded = Folded([registered(), *comparisons(4.0, 10.0, alike(90.0)), registered(10.1), *other])
    assert folded.state.identity.failures == 0
    assert folded.state.identity.undecided == 10
    assert folded.rules == []
    assert folded.add(comparisons(16.2, 22.0, alike(35.0))).rules == ["IDENTITY_MISMATCH"]


def test_the_first_reference_counts_at_once_and_none_stops_the_rule_for_long() -> None:
    assert Folded([*calm(0.0, 4.0), registered(4.0), *comparisons(4.2, 12.0, alike(35.0))]).rules == [
        "IDENTITY_MISMATCH"
    ]
    folded = Folded([registered(), *calm(0.0, 4.0), registered(900.0), *comparisons(72.0, 80.0, alike(35.0))])
    assert folded.rules == ["IDENTITY_MISMATCH"]


def test_identity_is_measured_and_what_was_not_is_said() -> None:
    shown = view(compared(4.0, 12.0, alike(90.0), alike(70.0), IdentityCheck(reason="turned")).state)
    assert shown.measures.identity_pct == pytest.approx(83.3)
    assert (shown.measures.identity_checks, shown.measures.identity_failures) == (3, 1)
    assert shown.measures.identity_undecided == 1


@pytest.mark.parametrize("similarity_pct", [math.nan, math.inf, -1.0, 101.0, 1e300, None])
def test_a_similarity_that_is_none_tells_nothing(similarity_pct: float | None) -> None:
    folded = compared(4.0, 40.0, IdentityCheck(similarity_pct=similarity_pct, matches=False))
    assert folded.rules == []
    assert folded.state.identity.checks == 0


def test_a_compared_document_is_noted_and_weighs_nothing() -> None:
    folded = Folded([up(), document(3.0, 41.7), document(4.0, 88.0, document_type="<script>"), document(5.0, math.nan)])
    assert [episode.detail for episode in folded.state.timeline] == [
        "The portrait of a passport and the live face are 41 % alike, which does not count as the same person.",
        "The portrait of an ID document and the live face are 88 % alike, which counts as the same person.",
    ]
    assert folded.rules == []
    assert folded.state.tally.rejected == 1


# Text.


def test_text_that_stays_is_noted_and_weighs_nothing() -> None:
    folded = Folded([*calm(0.0, 2.0), read(1.8, region())])
    assert folded.rules == []
    folded.add([*calm(2.0, 12.0), read(11.8, region(x=0.11), region(x=0.5, y=0.8, confidence=0.7))])
    assert folded.rules == ["TEXT_IN_VIEW"]
    assert folded.alerts == []
    assert folded.state.peak_score == 0.0
    assert folded.state.ledger[0].why == (
        "Readable text in view for 10.0 s. Lines: 1; the surest 90 %, upper left."
    )  # fmt: skip
    folded.add([*calm(12.0, 22.0), read(21.8), *calm(22.0, 32.0), read(31.8)])
    assert folded.state.open == {}
    shown = view(folded.state).measures
    assert (shown.text_looks, shown.text_found) == (4, 2)


@pytest.mark.parametrize(
    "searches",
    [
        [region(x=0.1), region(x=0.35)],
        [region(), None],
        [region(confidence=0.4)],
        [region(confidence=math.nan)],
        [region(x=math.nan)],
        [region(width=-1.0)],
        [region(x=1e300, width=1e300)],
    ],
    ids=["moves", "gone", "unsure", "nan", "nowhere", "negative", "huge"],
)
def test_text_that_does_not_stay_or_cannot_be_is_not_noted(searches: list[TextRegion | None]) -> None:
    folded = Folded(calm(0.0, 2.0))
    for number in range(8):
        found = searches[number % len(searches)]
        t_s = 2.0 + 10.0 * number
        folded.add([frame(t_s, face()), read(t_s, *([found] if found else []))])
    assert folded.rules == []


@pytest.mark.parametrize("doubt", ["dark", "blurred", "lost packets"])
def test_text_is_not_noted_where_nothing_can_be_told(doubt: str) -> None:
    folded = Folded([up(), *calm(0.0, 9.0), *(LOSSY if doubt == "lost packets" else [])])
    quality = unfit() if doubt == "lost packets" else unfit(doubt)
    folded.add(frame(t, face(), quality=quality) for t in span(9.2, 11.0))
    for t_s in (11.0, 21.0, 31.0):
        folded.add([frame(t_s, face(), quality=quality), read(t_s, region())])
    assert "TEXT_IN_VIEW" not in folded.rules


@pytest.mark.parametrize("keeps", [False, True])
def test_words_are_kept_only_where_the_policy_keeps_them(keeps: bool) -> None:
    words = region(text="the secret\x00\n\u202eword " + "x" * 500)
    folded = Folded([*calm(0.0, 2.0), read(1.8, words), *calm(2.0, 12.0)], KEEPS_TEXT if keeps else STANDARD)
    folded.add([read(11.8, words)])
    told = folded.state.ledger[0].why
    assert ("the secret" in told) is keeps
    assert told.isprintable()
    assert len(told) < 250
    assert (b"secret" in msgspec.json.encode(view(folded.state))) is keeps


def test_a_search_from_a_broken_clock_stops_no_other() -> None:
    folded = Folded([*calm(0.0, 2.0), read(800.0, region()), read(1.8, region()), *calm(2.0, 12.0)])
    assert folded.add([read(11.8, region())]).rules == ["TEXT_IN_VIEW"]
    assert folded.state.clock_s < 13.0
    assert folded.state.tally.rejected == 1


def test_text_found_after_the_end_is_not_folded() -> None:
    folded = Folded([*calm(0.0, 2.0), SessionEnded(session="s1", source="api", seq=1, t_s=2.0)])
    before = folded.state
    folded.add([read(1.8, region()), registered(3.0), document(3.0, 20.0)])
    assert folded.state.text == before.text
    assert folded.state.timeline == before.timeline
    assert folded.state.tally.after_end == 3


def test_overlap_is_intersection_over_union() -> None:
    assert text.overlap((0, 0, 2, 1), (1, 0, 3, 1)) == pytest.approx(1 / 3)
    assert text.overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0.0
    assert text.overlap((0, 0, 1, 1), (0, 0, 1, 1)) == 1.0


# Expression.


def expressive(start_s: float, end_s: float, percentages: dict[str, float], **changes: object) -> list[FrameSeen]:
    models = {"expression": "geometry"}
    return [
        frame(t_s, face(expression=percentages, **changes), models=models) for t_s in span(start_s, end_s, 1.0)
    ]  # fmt: skip


def test_expression_follows_slowly_and_sums_to_a_hundred() -> None:
    folded = Folded(expressive(0.0, 10.0, CALM), FULL)
    shown = view(folded.state).measures
    assert shown.expression == CALM
    assert shown.expression_model == "geometry"
    folded.add(expressive(10.0, 11.0, HAPPY))
    after_one = view(folded.state).measures.expression
    assert after_one is not None
    assert after_one["HAPPY"] == pytest.approx(100 / 3, abs=0.1), "a second of a time constant of two"
    folded.add(expressive(11.0, 20.0, HAPPY))
    shown = view(folded.state).measures
    assert shown.expression is not None
    assert shown.expression_mean is not None
    assert shown.expression["HAPPY"] > 95.0
    assert shown.expression_mean == {**dict.fromkeys(expression.NAMES, 0.0), "CALM": 50.0, "HAPPY": 50.0}
    for told in (shown.expression, shown.expression_mean, after_one):
        assert sum(told.values()) == pytest.approx(100.0)


def test_an_old_expression_is_not_that_of_now() -> None:
    folded = Folded([*expressive(0.0, 5.0, HAPPY), *calm(5.0, 30.0)], FULL)
    assert view(folded.state).measures.expression is None
    assert view(folded.state).measures.expression_mean == HAPPY


def test_where_emotion_is_not_allowed_nothing_of_it_is_kept() -> None:
    folded = Folded(expressive(0.0, 10.0, HAPPY))
    assert folded.state.expression is None
    assert folded.hash == Folded(frame(t, face(), models={"expression": "geometry"}) for t in span(0.0, 10.0, 1.0)).hash
    # Not even a state that holds one, of whatever origin, shows it.
    other = Folded(expressive(0.0, 10.0, HAPPY), FULL).state.expression
    shown = view(msgspec.structs.replace(folded.state, expression=other)).measures
    assert (shown.expression, shown.expression_mean, shown.expression_model) == (None, None, "")


@pytest.mark.parametrize(
    "percentages",
    [
        {},
        {"HAPPY": 100.0},
        {**HAPPY, "GUILTY": 0.0},
        {**HAPPY, "SAD": math.nan},
        {**HAPPY, "HAPPY": 150.0, "SAD": -50.0},
        {**HAPPY, "HAPPY": 3.0},
    ],
    ids=["empty", "some", "more", "nan", "negative", "small"],
)
def test_percentages_that_cannot_be_are_left_out(percentages: dict[str, float]) -> None:
    assert Folded(expressive(0.0, 10.0, percentages), FULL).state.expression is None


def test_an_expression_that_cannot_be_told_is_left_out() -> None:
    assert Folded(expressive(0.0, 9.0, HAPPY, abstains={"expression": "turned"}), FULL).state.expression is None
    dark = [frame(t, face(expression=HAPPY), quality=unfit("dark")) for t in span(0.0, 9.0)]
    assert Folded(dark, FULL).state.expression is None
    two = [frame(t, face(expression=HAPPY), face(x=0.7)) for t in span(0.0, 9.0)]
    assert Folded(two, FULL).state.expression is None


# Rates.


def test_looks_vouch_for_the_time_between_them_at_the_policys_rates() -> None:
    usual = policy.parse(STANDARD).analysis
    assert gap_s("objects", usual) == pytest.approx(1.2)
    assert gap_s("identity", usual) == pytest.approx(6.0)
    assert gap_s("text", usual) == pytest.approx(30.0)
    assert gap_s("frame", usual) == 1.0
    slow = Analysis(fps=0.5, objects_per_s=2.0, text_per_s=0.0)
    assert gap_s("objects", slow) == gap_s("frame", slow) == pytest.approx(6.0)
    assert gap_s("text", slow) == 1.0

"""The demo's script, and how it is put beside what was detected."""

from __future__ import annotations

from pathlib import Path

import pytest

from aggregator.risk.conditions import RULES
from deploy.demo.compare import compare, hear
from deploy.demo.script import SHOW, Act, Line, Script
from proto.errors import BadInput
from proto.views import Episode
from tests.conftest import TEST_DATA, missing
from tests.support.views import a_line

SCRIPT = Script(
    acts=(
        Act(0.0, 10.0, "faces_camera", "is there"),
        Act(10.0, 17.0, "turns_away", "turns away", "LOOKING_AWAY", ("READING_PATTERN",)),
        Act(17.0, 25.0, "leaves", "leaves", "NO_FACE"),
        Act(25.0, 30.0, "sits_in_the_dark", "is in the dark", "COULD_NOT_TELL"),
    ),
    lines=(Line(1.0, "hello good morning"), Line(5.0, "thank you")),
)


def test_acts_follow_each_other_without_a_gap_and_lines_fit_in():
    assert SHOW.acts[0].start_s == 0.0
    assert all(one.end_s == other.start_s for one, other in zip(SHOW.acts, SHOW.acts[1:], strict=False))
    assert all(one.start_s + 1.2 <= other.start_s for one, other in zip(SHOW.lines, SHOW.lines[1:], strict=False))
    assert SHOW.lines[-1].start_s + 1.2 <= SHOW.duration_s <= 60.0


def test_every_expectation_is_a_rule_or_a_state():
    known = {*RULES, "COULD_NOT_TELL"}
    assert {act.expect for act in SHOW.acts if act.expect} <= known
    assert {name for act in SHOW.acts for name in act.also} <= known


def test_the_test_model_knows_every_word():
    words = Path(TEST_DATA / "tools" / "vocabulary.txt")
    if not words.is_file():
        missing(f"the vocabulary of the test model ({words})")
    assert {word for line in SHOW.lines for word in line.text.split()} <= set(words.read_text().split())


def test_a_cut_keeps_whole_acts_and_whole_sentences():
    cut = SCRIPT.cut(18.0)
    assert [act.doing for act in cut.acts] == ["faces_camera", "turns_away"]
    assert cut.duration_s == 17.0
    assert SCRIPT.cut(10.0).lines == SCRIPT.lines


def test_a_cut_that_leaves_nothing_is_bad_input():
    with pytest.raises(BadInput, match="at least 10 s"):
        SCRIPT.cut(9.0)


def test_what_was_expected_is_found_with_its_delay():
    ledger = (a_line(5, 13.4, "LOOKING_AWAY", 10.0), a_line(9, 20.1, "NO_FACE", 20.0))
    dark = Episode(kind="COULD_NOT_TELL", severity="info", start_s=26.0, end_s=30.0)
    result = compare(SCRIPT, ledger, (dark,), offset_s=0.5)
    assert [finding.said_s for finding in result.findings] == [None, pytest.approx(12.9), pytest.approx(19.6), 25.5]
    assert [finding.delay_s for finding in result.findings] == [None, pytest.approx(2.9), pytest.approx(2.6), 0.5]
    assert not any(finding.missed for finding in result.findings)
    assert result.unexpected == ()


def test_what_was_not_said_is_missed_and_what_nobody_did_is_unexpected():
    phone = a_line(5, 3.0, "PHONE_DETECTED", 30.0)
    result = compare(SCRIPT, (phone,), (), offset_s=0.0)
    assert [finding.missed for finding in result.findings] == [False, True, True, True]
    assert result.unexpected == (phone,)


def test_a_rule_that_fires_in_the_wrong_act_does_not_count():
    early = a_line(5, 4.0, "NO_FACE", 20.0)
    result = compare(SCRIPT, (early,), (), offset_s=0.0)
    assert result.findings[2].missed
    assert result.unexpected == (early,)


def test_what_else_is_true_of_an_act_is_told_and_not_unexpected():
    lines = (a_line(5, 13.0, "LOOKING_AWAY", 10.0), a_line(6, 14.0, "READING_PATTERN", 12.0))
    result = compare(SCRIPT, lines, (), offset_s=0.0)
    assert result.findings[1].besides == ("READING_PATTERN",)
    assert result.unexpected == ()


def test_lines_without_points_are_no_surprise():
    assert compare(SCRIPT, (a_line(5, 29.0, "SOURCE_LOST", 0.0, "info"),), (), offset_s=0.0).unexpected == ()


def test_words_are_put_to_the_sentence_they_were_spoken_in():
    words = [(1.4, " hello"), (1.8, " good"), (2.2, " morning"), (5.3, " thank"), (5.5, " you")]
    heard = hear(SCRIPT, words, offset_s=0.3)
    assert [each.text for each in heard] == ["hello good morning", "thank you"]

"""Word errors, pairs of words, and when a watcher saw a word first."""

from __future__ import annotations

import pytest

from bench.transcripts import Screen, Shown, pairs, plain, word_errors
from proto.views import Committed, Tentative


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a c", 1),
        ("a b c", "a x c", 1),
        ("a b c", "a b c d e", 2),
        ("", "a b", 2),
        ("a b", "", 2),
        ("the cat sat on the mat", "cat sat in the the mat", 3),
    ],
)
def test_word_errors_are_the_edit_distance(said, heard, errors):
    assert word_errors(said.split(), heard.split()) == errors


def test_pairs_are_in_order_and_of_the_same_word():
    said, heard = ["we", "had", "a", "good", "good", "team"], ["we", "a", "good", "great", "team"]
    found = pairs(said, heard)
    assert found == sorted(found)
    assert [said[one] for one, _ in found] == [heard[other] for _, other in found] == ["we", "a", "good", "team"]


def test_case_and_punctuation_are_no_difference():
    assert plain(["Hello,", "WORLD!", "c++"]) == plain(["hello", "world", "C++"])


def tentative(text: str, utterance: int = 0) -> Tentative:
    return Tentative(session="s", utterance=utterance, start_s=0.0, text=text)


def committed(text: str, utterance: int = 0) -> Committed:
    return Committed(session="s", utterance=utterance, start_s=0.0, end_s=1.0, text=text)


def test_a_word_is_first_seen_where_it_stood_in_grey():
    screen = Screen()
    screen.tentative(tentative("i worked has"), 1.0)
    screen.tentative(tentative("i worked as a"), 2.0)
    screen.committed(committed("i worked"), 2.1)
    screen.tentative(tentative("as a team"), 3.0)
    screen.committed(committed("as a team lead"), 4.0)
    assert screen.words == [
        Shown("i", 1.0, 2.1),
        Shown("worked", 1.0, 2.1),
        Shown("as", 2.0, 4.0),
        Shown("a", 2.0, 4.0),
        Shown("team", 3.0, 4.0),
        Shown("lead", 4.0, 4.0),
    ]


def test_another_utterance_owes_nothing_to_the_one_before():
    screen = Screen()
    screen.tentative(tentative("yes"), 1.0)
    screen.committed(committed("no"), 2.0)
    screen.tentative(tentative("", utterance=1), 2.5)
    screen.committed(committed("yes", utterance=1), 3.0)
    assert [word.tentative_at_s for word in screen.words] == [2.0, 3.0]

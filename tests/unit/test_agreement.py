"""LocalAgreement-2 as arithmetic on words."""

from __future__ import annotations

import pytest

from inference.speech.agreement import Agreement
from proto.observations import Word


def words(text: str, start_s: float = 0.0, each_s: float = 0.4) -> list[Word]:
    """Words one after another; `_` is a pause as long as a word."""
    made, t_s = [], start_s
    for token in text.split():
        if token != "_":
            made.append(Word(text=token, start_s=t_s, end_s=t_s + each_s, probability=0.9))
        t_s += each_s
    return made


def texts(found: tuple[Word, ...] | list[Word]) -> str:
    return " ".join(word.text for word in found)


def shifted(found: list[Word], by_s: float) -> list[Word]:
    return [Word(text=w.text, start_s=w.start_s + by_s, end_s=w.end_s + by_s, probability=0.9) for w in found]


def test_one_hypothesis_commits_nothing() -> None:
    agreement = Agreement()
    assert agreement.update(words("tell me about")) == ()
    assert texts(agreement.pending) == "tell me about"


def test_two_that_agree_commit_their_common_beginning() -> None:
    agreement = Agreement()
    agreement.update(words("tell me a boat"))
    assert texts(agreement.update(words("tell me about yourself"))) == "tell me"
    assert texts(agreement.pending) == "about yourself"
    assert texts(agreement.update(words("tell me about yourself please"))) == "about yourself"
    assert texts(agreement.committed) == "tell me about yourself"


def test_case_and_punctuation_are_no_disagreement_and_the_newer_spelling_counts() -> None:
    agreement = Agreement()
    agreement.update(words("well i think"))
    assert texts(agreement.update(words("Well, I think so"))) == "Well, I think"


def test_committed_words_never_change_even_when_a_later_hypothesis_rewrites_them() -> None:
    agreement = Agreement()
    agreement.update(words("two people came"))
    agreement.update(words("two people came in"))
    before = list(agreement.committed)
    assert texts(agreement.update(words("to people came in late"))) == "in"
    assert agreement.committed[:3] == before


@pytest.mark.parametrize("wobble_s", [-0.35, -0.2, 0.0, 0.2, 0.35])
def test_no_word_is_lost_or_doubled_when_times_wobble(wobble_s: float) -> None:
    agreement = Agreement()
    agreement.update(words("i had a good plan"))
    agreement.update(words("i had a good plan then"))
    assert texts(agreement.committed) == "i had a good plan"
    agreement.update(shifted(words("i had a good plan then we"), wobble_s))
    agreement.finish(shifted(words("i had a good plan then we met"), wobble_s))
    assert texts(agreement.committed) == "i had a good plan then we met"


def test_a_repeated_word_is_kept_once_for_each_time_it_was_said() -> None:
    agreement = Agreement()
    agreement.update(words("i know that that is"))
    agreement.update(words("i know that that was"))
    assert texts(agreement.committed) == "i know that that"
    agreement.finish(words("i know that that was it"))
    assert texts(agreement.committed) == "i know that that was it"


def test_a_window_that_begins_behind_the_committed_words_goes_on_after_them() -> None:
    agreement = Agreement(words("we had to support the"))
    agreement.update(words("team in berlin", start_s=2.0))
    assert texts(agreement.finish(words("team in berlin", start_s=2.0))) == "team in berlin"


def test_the_end_commits_what_is_left_even_unagreed() -> None:
    agreement = Agreement()
    agreement.update(words("my name is"))
    assert texts(agreement.finish(words("my name was ann"))) == "my name was ann"
    assert agreement.pending == ()


def test_a_full_window_commits_all_but_its_end() -> None:
    agreement = Agreement()
    agreement.update(words("a b c d e f"))
    assert texts(agreement.force(until_s=1.7)) == "a b c d"
    assert texts(agreement.pending) == "e f"


def test_times_of_committed_words_never_run_backwards() -> None:
    agreement = Agreement()
    agreement.update(words("one two"))
    agreement.update(words("one two three"))
    agreement.finish(shifted(words("one two three four"), -0.15))
    starts = [word.start_s for word in agreement.committed]
    ends = [word.end_s for word in agreement.committed]
    assert all(a <= b for a, b in zip(ends, starts[1:], strict=False))

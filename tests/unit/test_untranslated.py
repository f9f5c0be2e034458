"""What of a session's log still lacks its English, and how long utterances are divided."""

from __future__ import annotations

import itertools

import pytest

from inference.speech.translation import EDGE_S, MAX_PART_S, parts, untranslated
from proto.observations import Word, WordsCommitted, WordsTranslated


def words(*starts_s: float, length_s: float = 0.3) -> tuple[Word, ...]:
    return tuple(Word(text="wort", start_s=at_s, end_s=at_s + length_s, probability=0.9) for at_s in starts_s)


def commit(utterance: int, *starts_s: float, final: bool, resume_seq: int, language: str = "de") -> WordsCommitted:
    return WordsCommitted(
        session="s",
        source="speech",
        seq=0,
        t_s=0.0,
        utterance=utterance,
        words=words(*starts_s),
        language=language,
        model="m",
        final=final,
        heard_until_s=0.0,
        resume_s=0.0,
        resume_seq=resume_seq,
    )


def translated(utterance: int) -> WordsTranslated:
    return WordsTranslated(
        session="s",
        source="speech",
        seq=utterance,
        t_s=0.0,
        utterance=utterance,
        text="word",
        language="de",
        model="m",
        start_s=0.0,
        end_s=1.0,
    )


LOG = [
    commit(0, 1.0, 2.0, final=False, resume_seq=3),
    commit(0, 3.0, final=True, resume_seq=20),
    commit(1, 8.0, final=True, resume_seq=40),
    commit(2, 12.0, final=False, resume_seq=45),
]


def test_an_utterance_is_all_its_commits_and_its_sound_begins_at_the_safe_point_before_it() -> None:
    first, second = untranslated(LOG, [])
    assert (first.utterance, [word.start_s for word in first.words], first.from_seq) == (0, [1.0, 2.0, 3.0], 3)
    assert (second.utterance, [word.start_s for word in second.words], second.from_seq) == (1, [8.0], 20)


def test_what_is_translated_or_not_over_is_left_alone() -> None:
    (only,) = untranslated(LOG, [translated(0)])
    assert only.utterance == 1
    assert untranslated(LOG, [translated(0), translated(1)]) == []


def test_english_and_utterances_without_words_are_not_translated() -> None:
    english = [commit(0, 1.0, final=True, resume_seq=1, language="en"), commit(1, final=True, resume_seq=2)]
    assert untranslated(english, []) == []


def test_a_short_utterance_is_one_part() -> None:
    assert parts(words(1.0, 2.0, 20.0)) == [(1.0, pytest.approx(20.3))]


def test_a_long_utterance_is_cut_in_its_longest_pauses() -> None:
    starts_s = [at_s for at_s in (i * 0.5 for i in range(160)) if not 18.0 < at_s < 20.0]
    found = parts(words(*starts_s))
    assert found[0] == (0.0, pytest.approx(18.3))
    assert all(end_s - start_s <= MAX_PART_S for start_s, end_s in found)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(found))
    assert (found[0][0], found[-1][1]) == (0.0, pytest.approx(starts_s[-1] + 0.3))


def test_a_word_without_end_is_no_endless_part() -> None:
    assert parts(words(1.0, length_s=60.0)) == [(1.0, 1.0 + MAX_PART_S)]
    assert MAX_PART_S + 2 * EDGE_S <= 30.0

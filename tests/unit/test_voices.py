"""Telling voices apart, on embeddings made for it: unit vectors at chosen angles."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from inference.signals.voice_groups import Cell, Embedding, mean, silhouette
from inference.signals.voices import (
    BETWEEN,
    MAX_ASIDE,
    MAX_KEPT,
    MAX_VOICES,
    MAX_WAITING,
    UNSETTLED,
    Gallery,
    Told,
)

WIDTH = 64
CELL_S = 0.8


def base(cosines: dict[int, float], axis: int) -> Embedding:
    """The direction whose cosine to unit axis i is `cosines[i]`, the rest along `axis`."""
    made = np.zeros(WIDTH, np.float32)
    for other, cosine in cosines.items():
        made[other] = cosine
    made[axis] = math.sqrt(1.0 - sum(cosine**2 for cosine in cosines.values()))
    return made


A = base({}, 0)
FAR = base({0: 0.4}, 1)
NEAR = base({0: 0.7}, 2)
ALIKE = base({0: 0.82}, 3)


class Speech:
    """Cells one after another. `noise_dbfs` and `snr_db` are those of all that is said until they are changed."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(3)
        self.gallery = Gallery()
        self.noise_dbfs: float | None = -60.0
        self.snr_db: float | None = 30.0
        self.t_s = 0.0
        self.told: list[Told] = []

    def cell(self, voice: Embedding, spread: float = 0.3) -> Cell:
        """A cell of a voice: its direction, and something of its own, at a cosine of about 1 / sqrt(1 + spread^2)."""
        own = self.random.normal(size=WIDTH)
        made = voice + spread * own / np.linalg.norm(own)
        unit = np.asarray(made / np.linalg.norm(made), np.float32)
        self.t_s += CELL_S
        return Cell(self.t_s, CELL_S, unit, "", self.noise_dbfs, self.snr_db)

    def say(self, voice: Embedding, cells: int, *, close: bool = True, spread: float = 0.3) -> list[Told]:
        told: list[Told] = []
        for _ in range(cells):
            told += self.gallery.hear(self.cell(voice, spread))
        if close:
            told += self.gallery.close()
        self.told += told
        return told

    @property
    def count(self) -> int:
        return len(self.gallery.voices)


def whose(told: Iterable[Told]) -> list[int | None]:
    return [one.voice for one in sorted(told, key=lambda one: one.cell.t_s)]


def test_the_first_voice_is_one_once_it_has_spoken_long_enough() -> None:
    speech = Speech()
    assert whose(speech.say(A, 3)) == [None] * 3
    assert {one.reason for one in speech.told} == {UNSETTLED}
    assert whose(speech.say(A, 5)) == [0] * 5
    assert speech.count == 1


def test_what_was_held_aside_in_the_same_utterance_is_told_with_the_voice() -> None:
    speech = Speech()
    assert whose(speech.say(A, 6)) == [0] * 6
    assert all(one.reason == "" and one.similarity > 0.8 for one in speech.told if one.similarity is not None)


def test_a_person_far_off_is_a_second_voice_at_once() -> None:
    speech = Speech()
    speech.say(A, 8)
    assert whose(speech.say(FAR, 5)) == [1] * 5
    assert whose(speech.say(A, 3)) == [0] * 3
    assert speech.count == 2
    shares = speech.gallery.shares
    assert sum(shares) == pytest.approx(1.0)
    assert shares[0] == pytest.approx(11 / 16)
    assert 0.4 < (speech.gallery.silhouette or 0.0) <= 1.0


def test_a_word_thrown_in_is_nobodys() -> None:
    speech = Speech()
    speech.say(A, 8)
    assert whose(speech.say(FAR, 3)) == [None] * 3
    assert speech.count == 1


def test_a_voice_that_resembles_another_needs_that_other_to_come_back() -> None:
    speech = Speech()
    speech.say(A, 8)
    assert whose(speech.say(NEAR, 8)) == [None] * 8
    assert speech.count == 1
    speech.say(A, 2)
    assert speech.count == 2
    assert whose(speech.say(NEAR, 3)) == [1] * 3


def test_a_voice_that_stays_changed_is_a_new_microphone_for_all_one_knows() -> None:
    speech = Speech()
    speech.say(A, 8)
    for _ in range(10):
        speech.say(NEAR, 6)
    assert speech.count == 1


def test_two_who_sound_alike_are_never_two() -> None:
    speech = Speech()
    for _ in range(10):
        speech.say(A, 6)
        speech.say(ALIKE, 6)
    assert speech.count == 1


@pytest.mark.parametrize(("noise_dbfs", "snr_db"), [(-45.0, 12.0), (-50.0, 10.0), (None, None)])
def test_another_recording_is_not_another_person(noise_dbfs: float | None, snr_db: float | None) -> None:
    speech = Speech()
    speech.say(A, 8)
    speech.noise_dbfs, speech.snr_db = noise_dbfs, snr_db
    assert whose(speech.say(FAR, 8)) == [None] * 8
    assert speech.count == 1


def test_in_noise_that_is_the_same_all_the_time_a_second_person_is_heard() -> None:
    speech = Speech()
    speech.noise_dbfs, speech.snr_db = -45.0, 11.0
    speech.say(A, 8)
    assert whose(speech.say(FAR, 5)) == [1] * 5


def test_between_two_voices_is_nobodys() -> None:
    speech = Speech()
    speech.say(A, 10, spread=0.1)
    speech.say(FAR, 10, spread=0.1)
    middle = mean([A, FAR])
    told = speech.say(middle, 2, spread=0.05)
    assert whose(told) == [None, None]
    assert {one.reason for one in told} == {BETWEEN}


def test_a_stray_cell_between_two_of_a_voice_is_that_voices() -> None:
    speech = Speech()
    speech.say(A, 8)
    stray = base({0: 0.76}, 9)
    told = speech.say(A, 2, close=False) + speech.say(stray, 1, close=False, spread=0.0) + speech.say(A, 1)
    assert whose(told) == [0, 0, 0, 0]
    alone = speech.say(stray, 1, spread=0.0)
    assert whose(alone) == [None]


def test_cells_without_an_embedding_say_why_and_change_nothing() -> None:
    speech = Speech()
    speech.say(A, 8)
    (told,) = speech.gallery.hear(Cell(99.0, 0.5, None, "short"))
    assert (told.voice, told.reason, told.similarity) == (None, "short", None)
    assert speech.count == 1


def test_every_cell_is_told_exactly_once() -> None:
    speech = Speech()
    for voice in (A, FAR, A, NEAR, A, NEAR, FAR, ALIKE):
        speech.say(voice, 7)
    times = [one.cell.t_s for one in speech.told]
    assert len(times) == len(set(times)) == 8 * 7


def test_memory_is_bounded() -> None:
    speech = Speech()
    far = [base({0: 0.1}, axis) for axis in range(1, 20)]
    for voice in far:
        speech.say(voice, 30, close=False)
        assert len(speech.gallery._waiting) <= MAX_WAITING
        assert len(speech.gallery._aside) <= MAX_ASIDE
    assert speech.count == MAX_VOICES
    assert all(len(voice.cells) <= 2 * MAX_KEPT for voice in speech.gallery.voices)


def test_a_successor_numbers_the_voices_the_same() -> None:
    speech = Speech()
    for voice in (A, FAR, A):
        speech.say(voice, 8)
    kept = [voice.cells[-6:] for voice in speech.gallery.voices]
    after = Speech()
    after.random = np.random.default_rng(4)
    after.gallery.restore(kept, [], [voice.speech_s for voice in speech.gallery.voices])
    assert whose(after.say(FAR, 3)) == [1] * 3
    assert whose(after.say(A, 3)) == [0] * 3
    third = base({0: 0.1, 1: 0.1}, 5)
    assert whose(after.say(third, 6)) == [2] * 6


def test_a_voice_without_sound_keeps_its_number() -> None:
    after = Speech()
    after.gallery.restore([[], [after.cell(FAR) for _ in range(6)]], [], [30.0, 5.0])
    assert whose(after.say(FAR, 3)) == [1] * 3
    assert after.gallery.silhouette is None
    assert after.gallery.shares[0] == pytest.approx(30.0 / (35.0 + 3 * CELL_S))


def test_silhouette_of_points_by_hand() -> None:
    one = np.stack([base({}, 0), base({0: 0.8}, 1)])
    other = np.stack([base({}, 5), base({5: 0.8}, 6)])
    # Within a group the distance is 0.2, to each of the other group 1.
    assert silhouette([one, other]) == pytest.approx(0.8)
    assert silhouette([one, other[:1]]) == pytest.approx(2 * 0.8 / 3)


def test_mean_is_a_direction() -> None:
    assert np.linalg.norm(mean([A, FAR])) == pytest.approx(1.0)
    assert len(mean([])) == 0

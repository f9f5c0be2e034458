"""What was said against what was heard: word errors, pairs of the same word, and when a word was first seen. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.speech.agreement import normal
from proto.observations import Word
from proto.views import Committed, Tentative


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words put in, left out and replaced: the edit distance in words (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def pairs(said: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Places of the same words in both, in order."""
    blocks = difflib.SequenceMatcher(None, said, heard, autojunk=False).get_matching_blocks()
    return [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]


@dataclass(frozen=True, slots=True)
class Shown:
    """A committed word, and when watchers saw it: `tentative_at_s` first in grey, `committed_at_s` for good."""

    text: str
    tentative_at_s: float
    committed_at_s: float


@dataclass(slots=True)
class Screen:
    """Follows what a watcher of one session is told, with the time of each message on the caller's clock."""

    words: list[Shown] = field(default_factory=list)
    _utterance: int = -1
    _begin: int = 0
    _first_s: dict[tuple[int, str], float] = field(default_factory=dict)

    def tentative(self, message: Tentative, at_s: float) -> None:
        """Words that may still change, behind those of the utterance that will not."""
        self._turn(message.utterance)
        for place, text in enumerate(message.text.split(), len(self.words)):
            self._first_s.setdefault((place, normal(text)), at_s)

    def committed(self, message: Committed, at_s: float) -> None:
        """Words for good: seen from when the same text stood at the same place."""
        self._turn(message.utterance)
        for text in message.text.split():
            first_s = self._first_s.get((len(self.words), normal(text)), at_s)
            self.words.append(Shown(text, min(first_s, at_s), at_s))

    def _turn(self, utterance: int) -> None:
        if utterance != self._utterance:
            self._utterance = utterance
            self._first_s.clear()


def plain(words: Sequence[Word | str]) -> list[str]:
    """As they are compared: without case and punctuation."""
    return [normal(word if isinstance(word, str) else word.text) for word in words]

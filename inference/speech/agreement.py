"""LocalAgreement-2: a word is committed when two successive hypotheses agree on it and on all before it.

Method: Macháček, Dabre and Bojar, "Turning Whisper into Real-Time Transcription System" (2023), after Liu, Spanakis and
Niehues, "Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial Hypothesis Selection" (2020).
Pure: words in, words out.
"""

from __future__ import annotations

from collections.abc import Sequence

from proto.observations import Word

BOUNDARY_WOBBLE_S = 0.6
"""A word's times move by this much at most between two decodes of the same sound."""
TAIL_WORDS = 4
"""How many committed words are compared with a hypothesis to find where the uncommitted part begins."""


def normal(text: str) -> str:
    """A word as it is compared: case and punctuation change between decodes and are no disagreement."""
    kept = "".join(letter for letter in text.casefold() if letter.isalnum() or letter in "'+#%")
    return kept or text.strip()


class Agreement:
    """Committed words of one utterance and the hypothesis that still has to be agreed with."""

    def __init__(self, committed: Sequence[Word] = ()) -> None:
        self.committed: list[Word] = list(committed)
        self._pending: list[Word] = []

    @property
    def pending(self) -> tuple[Word, ...]:
        """The newest hypothesis beyond the committed words: what may still change."""
        return tuple(self._pending)

    def update(self, hypothesis: Sequence[Word]) -> tuple[Word, ...]:
        """Take a hypothesis for the window (words in order, session times); returns the words it commits.

        The window may contain committed words: they are recognised by time and text and never change.
        """
        fresh = self._beyond_committed(hypothesis)
        agreed = 0
        for old, new in zip(self._pending, fresh, strict=False):
            if normal(old.text) != normal(new.text):
                break
            agreed += 1
        return self._commit(fresh, agreed)

    def finish(self, hypothesis: Sequence[Word]) -> tuple[Word, ...]:
        """Take the last hypothesis of the utterance: all it has beyond the committed words is committed."""
        fresh = self._beyond_committed(hypothesis)
        return self._commit(fresh, len(fresh))

    def force(self, until_s: float) -> tuple[Word, ...]:
        """Commit the pending words that end by `until_s`, agreed or not: the window is full."""
        count = sum(1 for word in self._pending if word.end_s <= until_s)
        return self._commit(self._pending, count)

    def forget(self, keep: int) -> None:
        """Let go of all committed words but the last `keep`."""
        del self.committed[:-keep]

    def _commit(self, fresh: list[Word], count: int) -> tuple[Word, ...]:
        last_s = self.committed[-1].end_s if self.committed else 0.0
        new: list[Word] = []
        for word in fresh[:count]:
            start_s = max(word.start_s, last_s)
            last_s = max(word.end_s, start_s)
            new.append(Word(text=word.text, start_s=start_s, end_s=last_s, probability=word.probability))
        self.committed += new
        self._pending = fresh[count:]
        return tuple(new)

    def _beyond_committed(self, hypothesis: Sequence[Word]) -> list[Word]:
        """The part of a hypothesis after the committed words.

        Of all places to cut within the wobble of the last committed word's end, the one that explains the committed
        words best: most words of their tail repeated just before the cut, then the nearest in time.
        """
        if not self.committed:
            return list(hypothesis)
        end_s = self.committed[-1].end_s
        tail = [normal(word.text) for word in self.committed[-TAIL_WORDS:]]
        best_cut, best_score = len(hypothesis), float("-inf")
        for cut in range(len(hypothesis) + 1):
            distance_s = _distance_s(hypothesis, cut, end_s)
            if distance_s > BOUNDARY_WOBBLE_S:
                continue
            matched = _matched(tail, hypothesis, cut)
            score = matched - distance_s / BOUNDARY_WOBBLE_S
            if score > best_score:
                best_cut, best_score = cut, score
        if best_score == float("-inf"):
            best_cut = sum(1 for word in hypothesis if (word.start_s + word.end_s) / 2 <= end_s)
        return list(hypothesis[best_cut:])


def _distance_s(hypothesis: Sequence[Word], cut: int, end_s: float) -> float:
    """How far from `end_s` a cut before word `cut` lies: 0 inside the space between two words."""
    before_s = hypothesis[cut - 1].end_s if cut else float("-inf")
    after_s = hypothesis[cut].start_s if cut < len(hypothesis) else float("inf")
    if before_s <= end_s <= after_s:
        return 0.0
    return min(abs(before_s - end_s), abs(after_s - end_s))


def _matched(tail: Sequence[str], hypothesis: Sequence[Word], cut: int) -> int:
    count = 0
    while count < min(len(tail), cut) and tail[-1 - count] == normal(hypothesis[cut - 1 - count].text):
        count += 1
    return count

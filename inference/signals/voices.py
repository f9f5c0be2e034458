"""How many voices a session has, and whose each stretch of speech is: clustering as the speech comes.

Each *cell* is about 0.8 s of speech with the embedding of the 1.6 s around it. A cell is given to a voice it is close
to. What is close to none is held aside, and becomes a new voice only when several such cells agree with each other,
lasted long enough and differ from all known voices by more than one person's speech differs from itself. What is
between is nobody's: "could not tell". A person counted twice is worse than a second person not counted.

The thresholds hold for Resemblyzer's encoder, and were chosen on little: five speakers of 11 to 36 s, plain, louder,
softer, clipped and in noise, and 30 s of two people who sound alike. One person's cells have a cosine of 0.66 to 0.95
to the mean of the rest, half of them above 0.85; two persons' up to 0.72 when recorded apart and up to 0.80 for those
two: no threshold tells them apart that would not also take one lively speaker for two. `candor bench --voices` prints
the tables.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from inference.signals.voice_groups import Aside, Cell, Embedding, coherent, embeddings, is_another, mean, silhouette

SAME = 0.80
"""From this cosine to a voice's mean on a cell may be that voice's."""
MARGIN = 0.04
"""So much closer than to any other voice it must be."""
GREY, GREY_MARGIN = 0.72, 0.10
"""A cell below SAME is a voice's, too, where it stands between two cells of that voice, or where another voice is known
and farther off by GREY_MARGIN."""
STRAY = 2
"""More cells than this in a row are no stray ones, whatever stands before and behind them."""
MAX_VOICES = 8
MAX_KEPT = 12
"""Cells of a voice that are kept: so many of the first, against drift, and so many of the latest."""
MAX_ASIDE = 24
MAX_WAITING = 20
"""Cells of an utterance that wait for what follows; the oldest is then told as it is."""

UNSETTLED, BETWEEN = "unsettled", "between_voices"


class Told(NamedTuple):
    """Whose a cell is: `voice` counts from 0, None is "could not tell" for `reason`. `similarity` is the cosine to the
    nearest voice's mean, None where there is none.
    """

    cell: Cell
    voice: int | None
    similarity: float | None
    reason: str = ""


@dataclass(slots=True)
class Voice:
    """One voice: its first and its latest cells, and how much it spoke."""

    speech_s: float = 0.0
    first: list[Cell] = field(default_factory=list)
    latest: deque[Cell] = field(default_factory=lambda: deque(maxlen=MAX_KEPT))
    mean: Embedding = field(default_factory=lambda: np.zeros(0, np.float32))
    heard_at: int = -1

    @property
    def cells(self) -> list[Cell]:
        return [*self.first, *self.latest]

    def learn(self, cell: Cell, at: int) -> None:
        """`at` is the cell's place among all of the session."""
        kept = self.first if len(self.first) < MAX_KEPT else self.latest
        kept.append(cell)
        self.heard_at = max(self.heard_at, at)
        self.mean = mean(cell.embedding for cell in self.cells if cell.embedding is not None)


class Gallery:
    """The voices of one session. Cells come in order; `close` ends an utterance."""

    def __init__(self) -> None:
        self.voices: list[Voice] = []
        self._aside: deque[Aside] = deque(maxlen=MAX_ASIDE)
        # Cells of this utterance that are not told yet, with the voice they are nearest to.
        self._waiting: list[Told] = []
        self._last: int | None = None
        self._at = 0
        self._utterance = 0

    def hear(self, cell: Cell) -> list[Told]:
        """What is settled now, this cell or others before it."""
        if cell.embedding is None:
            return [Told(cell, None, None, cell.fault)]
        self._at += 1
        voice, similarity, reason = self._nearest(cell.embedding)
        told: list[Told] = []
        if voice is not None and not reason:
            told = [*self._between(voice), self._give(cell, voice, similarity)]
            self._last = voice
        else:
            self._waiting.append(Told(cell, voice, similarity, reason))
            if reason == UNSETTLED:
                self._aside.append(Aside(cell, self._at, self._utterance))
        told += self._found()
        while len(self._waiting) > MAX_WAITING:
            told.append(_open(self._waiting.pop(0)))
        return told

    def close(self) -> list[Told]:
        """The utterance is over: what is not settled stays open for good."""
        waiting, self._waiting = self._waiting, []
        self._last = None
        self._utterance += 1
        return [_open(one) for one in waiting]

    @property
    def silhouette(self) -> float | None:
        """How well the voices stand apart, of the cells that are kept; None with fewer than two."""
        known = [voice.cells for voice in self.voices if len(voice.mean)]
        return silhouette([embeddings(cells) for cells in known]) if len(known) > 1 else None

    @property
    def shares(self) -> tuple[float, ...]:
        """Each voice's share (0-1) of the speech that was given to a voice."""
        total_s = sum(voice.speech_s for voice in self.voices)
        return tuple(voice.speech_s / total_s for voice in self.voices)

    def restore(self, voices: Sequence[Sequence[Cell]], aside: Sequence[Cell], speech_s: Sequence[float]) -> None:
        """Go on where a predecessor was: cells of each voice, in order of its number, cells that were no voice's, and
        how much each voice spoke. A voice of which no sound is left keeps its number and matches nothing.
        """
        for cells, spoken_s in zip(voices, speech_s, strict=True):
            voice = Voice()
            for cell in cells:
                if cell.embedding is not None:
                    self._at += 1
                    voice.learn(cell, self._at)
            voice.speech_s = spoken_s
            self.voices.append(voice)
        for cell in aside:
            if cell.embedding is not None:
                self._at += 1
                self._aside.append(Aside(cell, self._at, self._utterance))

    def _similarities(self, embedding: Embedding) -> list[float]:
        return [float(embedding @ voice.mean) if len(voice.mean) else -1.0 for voice in self.voices]

    def _nearest(self, embedding: Embedding | None) -> tuple[int | None, float | None, str]:
        """The nearest voice, how near it is, and why the cell cannot be given to it (empty: it can)."""
        if embedding is None or not self.voices:
            return None, None, UNSETTLED
        cosines = self._similarities(embedding)
        best = int(np.argmax(cosines))
        others = [cosine for voice, cosine in enumerate(cosines) if voice != best]
        lead = cosines[best] - max(others, default=-1.0)
        if cosines[best] >= SAME:
            return best, cosines[best], "" if lead >= MARGIN else BETWEEN
        if others and cosines[best] >= GREY and lead >= GREY_MARGIN:
            return best, cosines[best], ""
        return best, cosines[best], UNSETTLED

    def _give(self, cell: Cell, voice: int, similarity: float | None) -> Told:
        self.voices[voice].learn(cell, self._at)
        return self._tell(cell, voice, similarity)

    def _tell(self, cell: Cell, voice: int, similarity: float | None) -> Told:
        self.voices[voice].speech_s += cell.duration_s
        return Told(cell, voice, similarity)

    def _between(self, voice: int) -> list[Told]:
        """What waited between two cells of one voice and is near it, is that voice's; the rest goes on waiting."""
        if self._last != voice or len(self._waiting) > STRAY:
            return []
        told, rest = [], []
        for one in self._waiting:
            if one.voice == voice and one.similarity is not None and one.similarity >= GREY:
                # Told, not learned from: a mean must not creep towards another voice.
                self._forget([one.cell])
                told.append(self._tell(one.cell, voice, one.similarity))
            else:
                rest.append(one)
        self._waiting = rest
        return told

    def _found(self) -> list[Told]:
        """Make a voice of what was held aside, if that is one; tells what waited and is a voice's now."""
        group = coherent(self._aside)
        if not group or not self._is_new(group):
            return []
        new = Voice()
        for one in group:
            new.learn(one.cell, one.at)
        self.voices.append(new)
        self._forget([one.cell for one in group])
        told, rest = [], []
        for cell in [waiting.cell for waiting in self._waiting]:
            voice, similarity, reason = self._nearest(cell.embedding)
            if voice is None or reason:
                rest.append(Told(cell, voice, similarity, reason))
            else:
                self._last = voice
                self._forget([cell])
                told.append(self._tell(cell, voice, similarity))
        self._waiting = rest
        return told

    def _is_new(self, group: Sequence[Aside]) -> bool:
        if not self.voices:
            return True
        cosines = self._similarities(mean(embeddings(one.cell for one in group)))
        nearest = self.voices[int(np.argmax(cosines))]
        if len(self.voices) >= MAX_VOICES or not len(nearest.mean):
            return False
        return is_another(group, nearest.cells, nearest.heard_at, max(cosines))

    def _forget(self, cells: Sequence[Cell]) -> None:
        gone = {id(cell) for cell in cells}
        self._aside = deque((one for one in self._aside if id(one.cell) not in gone), MAX_ASIDE)


def _open(one: Told) -> Told:
    """A cell that waited in vain for what follows."""
    return one._replace(voice=None)

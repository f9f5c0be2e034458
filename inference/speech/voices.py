"""One session's voices: who of those heard speaks when, and whether it is the interviewer. Knows no clock and no model.

Embeddings of a voice identify a person. They live here, in memory, and go nowhere: what the log gets is numbers of
voices. A successor makes them anew from the sound that AUDIO still has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from inference.signals.voice_groups import Cell, Embedding
from inference.signals.voices import GREY, MARGIN, MAX_ASIDE, SAME, UNSETTLED, Gallery, Told, Voice
from inference.speech.cells import Batch, Cutter
from inference.speech.hearing import Event, UtteranceOpened, UtteranceSound
from inference.speech.vad import Window
from proto.observations import VoiceHeard

PROFILE_CELLS = 4
"""Cells of the interviewer's voice, about 3 s, before anybody is compared with it."""
ALONE = 0.86
"""From this cosine to the interviewer's profile on the only voice of a session is the interviewer's; with others to
compare with, SAME and a lead of MARGIN are enough."""
TALKED_OVER = 0.25
"""The interviewer's sound is not learned from where the candidate spoke for this share of it: it may be an echo."""
SPAN_GAP_S = 0.05
MAX_SPANS = 512
"""Stretches of speech of each side that are remembered."""
MAX_AGAIN = 16
"""Cells of a voice that a successor embeds again."""
AROUND_S = 0.8
"""Sound on either side of a cell's middle that is embedded with it."""

Role = Literal["", "interviewer"]


@dataclass(frozen=True, slots=True)
class Voiced:
    """What `voice.heard` says of a stretch of the candidate's source; the fields are described there."""

    t_s: float
    duration_s: float
    voice: int | None
    role: Role
    similarity: float | None
    silhouette: float | None
    overlap_s: float
    reason: str

    @property
    def seq(self) -> int:
        return sequence(self.t_s)


@dataclass(frozen=True, slots=True)
class Again:
    """A stretch to be embedded again, of `voice` (None: nobody's yet): the sound from `from_s` to `until_s`."""

    t_s: float
    duration_s: float
    voice: int | None

    @property
    def from_s(self) -> float:
        return self.t_s + self.duration_s / 2 - AROUND_S

    @property
    def until_s(self) -> float:
        return self.t_s + self.duration_s / 2 + AROUND_S


class Voices:
    """Follows a session's two sides. `take` an event; where it returns a batch, embed its `sounds` and give the answer
    to `apply` before the next event. `enrolled` are embeddings of the interviewer, if there are any.
    """

    def __init__(self, enrolled: Iterable[Embedding] = ()) -> None:
        self._gallery = Gallery()
        self._profile = Voice()
        for at, embedding in enumerate(enrolled):
            self._profile.learn(Cell(0.0, 0.0, embedding), at)
        # An enrolment is whole: it need not be waited for.
        self._known = len(self._profile.mean) > 0
        self._candidate, self._interviewer = Side(), Side()
        self._interviewers: set[int] = set()
        self._told: frozenset[int] = frozenset()

    @property
    def count(self) -> int:
        """Voices told apart so far."""
        return len(self._gallery.voices)

    def take(self, event: Event, *, interviewer: bool = False) -> Batch | None:
        """Follow an event of the candidate's source, or of the interviewer's own; a batch where there is something to
        embed, or an utterance ends. An interviewer who is heard later than the candidate overlaps with nobody.
        """
        if not interviewer:
            return self._candidate.take(event)
        batch = self._interviewer.take(event)
        return None if batch is None else replace(batch, interviewer=True)

    def apply(self, batch: Batch, embeddings: Sequence[Embedding | None] | None) -> list[Voiced]:
        """What is known of whose voice it was, now that `batch.sounds` are embedded; None where that failed."""
        found = iter(embeddings if embeddings is not None else [None] * len(batch.sounds))
        cells = [request.cell(None if request.fault else next(found)) for request in batch.requests]
        if batch.interviewer:
            for cell in cells:
                self._learn(cell)
            return []
        told = [one for cell in cells for one in self._gallery.hear(cell)]
        if batch.closes:
            told += self._gallery.close()
        return [self._voiced(one) for one in told if sequence(one.cell.t_s) not in self._told]

    def restore(
        self, heard: Sequence[VoiceHeard], stretches: Sequence[Again], embeddings: Sequence[Embedding | None]
    ) -> None:
        """Go on where the log ends: `embeddings` are those of `stretches`, as `again` chose them. Before any event."""
        cells = [Cell(one.t_s, one.duration_s, made) for one, made in zip(stretches, embeddings, strict=True)]
        of: dict[int | None, list[Cell]] = {}
        for one, cell in zip(stretches, cells, strict=True):
            of.setdefault(one.voice, []).append(cell)
        count = 1 + max((one.voice for one in heard if one.voice is not None), default=-1)
        speech_s = [sum(one.duration_s for one in heard if one.voice == voice) for voice in range(count)]
        self._gallery.restore([of.get(voice, []) for voice in range(count)], of.get(None, []), speech_s)
        self._interviewers = {one.voice for one in heard if one.voice is not None and one.role}
        self._told = frozenset(one.seq for one in heard)

    def _learn(self, cell: Cell) -> None:
        """Take a cell of the interviewer's own source into the profile, if it is the interviewer for certain."""
        if cell.embedding is None or self._candidate.within(cell) > TALKED_OVER * cell.duration_s:
            return
        kept = len(self._profile.cells)
        if kept >= PROFILE_CELLS and float(cell.embedding @ self._profile.mean) < GREY:
            return
        self._profile.learn(cell, kept)
        self._known = self._known or kept + 1 >= PROFILE_CELLS

    def _voiced(self, told: Told) -> Voiced:
        cell = told.cell
        return Voiced(
            t_s=cell.t_s,
            duration_s=cell.duration_s,
            voice=told.voice,
            role="interviewer" if self._is_interviewer(told) else "",
            similarity=told.similarity,
            silhouette=self._gallery.silhouette,
            overlap_s=self._interviewer.within(cell),
            reason=told.reason,
        )

    def _is_interviewer(self, told: Told) -> bool:
        if told.voice is not None and told.voice in self._interviewers:
            return True
        if not self._known:
            return False
        if told.voice is None:
            # Far from the candidate's voice and near the interviewer's: theirs, if not a voice of its own yet.
            return told.cell.embedding is not None and self._near(told.cell.embedding) >= max(
                SAME, (told.similarity or 0.0) + MARGIN
            )
        near = [self._near(voice.mean) for voice in self._gallery.voices]
        others = [one for voice, one in enumerate(near) if voice != told.voice]
        is_theirs = near[told.voice] >= (max(SAME, max(others) + MARGIN) if others else ALONE)
        if is_theirs and others:
            self._interviewers.add(told.voice)
        return is_theirs

    def _near(self, embedding: Embedding) -> float:
        return float(embedding @ self._profile.mean) if len(embedding) else -1.0


class Side:
    """One source: its cells, and when it spoke."""

    def __init__(self) -> None:
        self._cutter = Cutter()
        self._spans: deque[tuple[float, float]] = deque(maxlen=MAX_SPANS)

    def take(self, event: Event) -> Batch | None:
        """Note when there was speech, and cut it."""
        match event:
            case UtteranceOpened():
                self._note(event.windows)
            case UtteranceSound():
                self._note((event.window,))
            case _:
                pass
        return self._cutter.take(event)

    def within(self, cell: Cell) -> float:
        """Seconds of a cell during which this side spoke."""
        end_s = cell.t_s + cell.duration_s
        shared_s = (min(end_s, until_s) - max(cell.t_s, from_s) for from_s, until_s in self._spans)
        return round(sum((max(0.0, one) for one in shared_s), 0.0), 4)

    def _note(self, windows: Iterable[Window]) -> None:
        for window in windows:
            if not window.speech:
                continue
            if self._spans and window.t_s - self._spans[-1][1] < SPAN_GAP_S:
                self._spans[-1] = (self._spans[-1][0], window.end_s)
            else:
                self._spans.append((window.t_s, window.end_s))


def sequence(t_s: float) -> int:
    """Number of a `voice.heard` that begins at `t_s`: hundredths of a session second."""
    return round(t_s * 100)


def again(heard: Sequence[VoiceHeard], *, since_s: float) -> tuple[Again, ...]:
    """Which stretches of what the log says a successor embeds again, of the sound that is left from `since_s` on: of
    each voice the newest, those within a longer stretch of it first, and the newest that were nobody's. In order of
    time; at most MAX_AGAIN for each voice and MAX_ASIDE besides.
    """
    ordered = sorted((one for one in heard if one.t_s >= since_s), key=lambda one: one.t_s)
    around = zip([None, *ordered], ordered, [*ordered[1:], None], strict=False)
    ranked: dict[int | None, list[tuple[bool, float, VoiceHeard]]] = {}
    for before, one, after in around:
        if one.voice is None and one.reason != UNSETTLED:
            continue
        inside = all(other is not None and other.voice == one.voice for other in (before, after))
        ranked.setdefault(one.voice, []).append((inside, one.t_s, one))
    chosen: list[VoiceHeard] = []
    for voice, ones in ranked.items():
        if voice is None:
            chosen += [one for *_, one in sorted(ones, key=lambda rank: rank[1])[-MAX_ASIDE:]]
        else:
            chosen += [one for *_, one in sorted(ones, key=lambda rank: rank[:2])[-MAX_AGAIN:]]
    return tuple(Again(one.t_s, one.duration_s, one.voice) for one in sorted(chosen, key=lambda one: one.t_s))

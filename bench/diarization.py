"""Diarization error: how much of the speech of a recording is given to the wrong speaker, or to none, or made up.

The error of NIST's evaluations (md-eval, the "DER"): the time that is missed, falsely heard or confused, over the time
that is spoken, where two who speak at once count twice. Which voice stands for which speaker is chosen so that the
error is smallest. Counted in steps of 10 ms.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

STEP_S = 0.01
MAX_VOICES = 12
"""On either side: the search for the best mapping doubles with each."""


class Turn(NamedTuple):
    """`who` speaks from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    who: Hashable


class Errors(NamedTuple):
    """Seconds, of `spoken_s` seconds of speech that count."""

    spoken_s: float
    missed_s: float
    false_s: float
    confused_s: float

    @property
    def rate(self) -> float:
        """0 is perfect; above 1 where more is wrong than was said."""
        wrong_s = self.missed_s + self.false_s + self.confused_s
        return wrong_s / self.spoken_s if self.spoken_s else float("nan")


def read_rttm(text: str) -> list[Turn]:
    """Turns of a file in NIST's RTTM form: `SPEAKER file channel start duration <NA> <NA> name ...` a line."""
    rows = [line.split() for line in text.splitlines()]
    return [Turn(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows if row and row[0] == "SPEAKER"]


def errors(truth: Sequence[Turn], heard: Sequence[Turn], *, collar_s: float = 0.0) -> Errors:
    """What is wrong in `heard`. With `collar_s`, so much on either side of each beginning and end of a true turn does
    not count: where exactly speech begins, people do not agree either.
    """
    steps = round(max((turn.end_s for turn in (*truth, *heard)), default=0.0) / STEP_S)
    true, found = _spoken(truth, steps), _spoken(heard, steps)
    counts = np.ones(steps, dtype=bool)
    for edge_s in (edge for turn in truth for edge in (turn.start_s, turn.end_s)):
        counts[_at(edge_s - collar_s) : _at(edge_s + collar_s)] = False
    true, found = true[:, counts], found[:, counts]
    same = _best(true.astype(np.int64) @ found.T.astype(np.int64))
    said, told = true.sum(axis=0), found.sum(axis=0)
    both = int(np.minimum(said, told).sum())
    return Errors(
        spoken_s=float(said.sum()) * STEP_S,
        missed_s=float(np.maximum(0, said - told).sum()) * STEP_S,
        false_s=float(np.maximum(0, told - said).sum()) * STEP_S,
        confused_s=(both - same) * STEP_S,
    )


def _at(t_s: float) -> int:
    return max(0, round(t_s / STEP_S))


def _spoken(turns: Iterable[Turn], steps: int) -> npt.NDArray[np.bool_]:
    """(speakers, steps): who speaks when, in the order of the speakers' first turns."""
    turns = list(turns)
    order = {who: row for row, who in enumerate(dict.fromkeys(turn.who for turn in turns))}
    spoken = np.zeros((len(order), steps), dtype=bool)
    for turn in turns:
        spoken[order[turn.who], _at(turn.start_s) : _at(turn.end_s)] = True
    return spoken


def _best(shared: npt.NDArray[np.int64]) -> int:
    """The most that rows and columns can share, each with one other at most: over all sets of columns given away."""
    rows, columns = shared.shape
    if max(rows, columns) > MAX_VOICES:
        raise ValueError(f"more than {MAX_VOICES} speakers or voices")
    best = {0: 0}
    for row in range(rows):
        after = dict(best)
        for used, so_far in best.items():
            for column in range(columns):
                if not used >> column & 1:
                    key = used | 1 << column
                    after[key] = max(after.get(key, 0), so_far + int(shared[row, column]))
        best = after
    return max(best.values())

"""When speech that resembles no known voice is a voice of its own: what it takes to tell a second person from one who
laughs, moves the microphone, or opens a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Embedding = npt.NDArray[np.float32]
"""(d,), of length 1."""

COHERENT = 0.78
"""Cosine to their common mean that cells held aside must have to count as one."""
HOLD_S = 3.2
"""Speech that a voice must have before it is one."""
NOISE_DB, LEVEL_DB = 2.0, 5.0
"""Noise is the same all the time if its level stays within NOISE_DB, and the speech's above it within LEVEL_DB."""


class Step(NamedTuple):
    """What makes cells held aside a new voice: the cosine of their mean to every voice's is under `below`, they stand
    apart from the nearest by `silhouette`, `run` of them follow each other without a break, and where `returned` that
    voice was heard again behind those. Speech must be `clean_db` above the noise then and before, or the noise the
    same: noise that comes or goes moves embeddings, too.
    """

    below: float
    clean_db: float
    run: int = 4
    silhouette: float = -1.0
    returned: bool = False


STEPS = (Step(0.57, 13.0), Step(0.62, 18.0), Step(0.72, 18.0, silhouette=0.45, returned=True))
"""Noise of 20, 15 and 10 dB moved the mean of four cells of one person to no less than 0.73, 0.64 and 0.58 of the mean
without noise (white and brown, five people), and an orator's first words, in reverberation, to 0.66. The nearer, the
more is asked for: of a voice that resembles another, that the other is heard again. A new microphone seldom goes back.
"""


class Cell(NamedTuple):
    """Speech of `duration_s` from session second `t_s` on. `embedding` is that of the sound around it, None where it is
    unfit: `fault` says why. `noise_dbfs` is the level of the sound between the words, `snr_db` how far the speech is
    above it; None where too little of it was heard.
    """

    t_s: float
    duration_s: float
    embedding: Embedding | None
    fault: str = ""
    noise_dbfs: float | None = None
    snr_db: float | None = None


class Aside(NamedTuple):
    """A cell that is no voice's yet. `utterance` and `at` say which of which utterance."""

    cell: Cell
    at: int
    utterance: int


def coherent(aside: Sequence[Aside]) -> list[Aside]:
    """The most speech held aside that agrees with itself, if there is HOLD_S of it; else nothing."""
    if spoken_s(aside) < HOLD_S:
        return []
    rows = embeddings(one.cell for one in aside)
    groups = []
    for seed in rows:
        inside = rows @ seed >= COHERENT
        for _ in range(2):
            # A seed among cells on all sides of it can be far from where they meet: no group.
            inside = rows @ mean(rows[inside]) >= COHERENT if inside.any() else inside
        groups.append([one for one, is_in in zip(aside, inside, strict=True) if is_in])
    best = max(groups, key=spoken_s)
    return best if spoken_s(best) >= HOLD_S else []


def is_another(group: Sequence[Aside], nearest: Sequence[Cell], heard_at: int, cosine: float) -> bool:
    """Whether a coherent group is another voice than the one it is nearest to: `cosine` is that of the two means,
    `nearest` are that voice's cells, the last one heard at place `heard_at`.
    """
    cells = [one.cell for one in group]
    apart = silhouette([embeddings(cells), embeddings(nearest)])
    return any(
        cosine < step.below
        and _comparable(cells, nearest, step.clean_db)
        and apart >= step.silhouette
        and _has_run(group, step.run, heard_at if step.returned else None)
        for step in STEPS
    )


def spoken_s(aside: Iterable[Aside]) -> float:
    """Speech of these cells."""
    return sum(one.cell.duration_s for one in aside)


def mean(embeddings: Iterable[Embedding]) -> Embedding:
    """The direction between unit vectors; empty of none."""
    rows = list(embeddings)
    if not rows:
        return np.zeros(0, np.float32)
    total = np.sum(rows, axis=0, dtype=np.float64)
    length = float(np.linalg.norm(total))
    return np.asarray(total / length if length > 0.0 else total, dtype=np.float32)


def silhouette(groups: Sequence[npt.NDArray[np.float32]]) -> float:
    """Mean silhouette (Rousseeuw 1987) of groups of unit vectors, -1 to 1, with 1 - cosine as the distance; a group of
    one counts 0.
    """
    rows = np.concatenate(groups).astype(np.float64)
    of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    distances = np.maximum(0.0, 1.0 - rows @ rows.T)
    sums = np.stack([distances[:, of == group].sum(axis=1) for group in range(len(groups))], axis=1)
    sizes = np.bincount(of, minlength=len(groups))
    own = np.arange(len(rows)), of
    inner = sums[own] / np.maximum(1, sizes[of] - 1)
    means = sums / np.maximum(1, sizes)
    means[:, sizes == 0] = np.inf
    means[own] = np.inf
    outer = means.min(axis=1)
    larger = np.maximum(inner, outer)
    scores = np.where((sizes[of] > 1) & (larger > 0.0), (outer - inner) / np.where(larger > 0.0, larger, 1.0), 0.0)
    return float(scores.mean())


def embeddings(cells: Iterable[Cell]) -> npt.NDArray[np.float32]:
    """(n, d) of those that have one."""
    return np.stack([cell.embedding for cell in cells if cell.embedding is not None])


def _has_run(group: Sequence[Aside], length: int, before: int | None) -> bool:
    """Whether at least `length` cells follow each other, in one utterance and with no other cell between; with `before`
    only such as end before that place.
    """
    run = 0
    for one, following in zip_longest(group, group[1:]):
        run += 1
        if following is None or following.at != one.at + 1 or following.utterance != one.utterance:
            if run >= length and (before is None or one.at < before):
                return True
            run = 0
    return False


def _comparable(group: Sequence[Cell], known: Sequence[Cell], clean_db: float) -> bool:
    """Whether a difference between them can be the speaker's: both are clean, or the noise behind all is the same."""
    here, there = _conditions(group), _conditions(known)
    if not len(here) or not len(there):
        return False
    snr_db = float(np.median(here[:, 1])), float(np.median(there[:, 1]))
    if min(snr_db) >= clean_db:
        return True
    low_dbfs, high_dbfs = np.percentile(np.concatenate([here, there])[:, 0], (10, 90))
    return bool(high_dbfs - low_dbfs <= NOISE_DB and abs(snr_db[0] - snr_db[1]) <= LEVEL_DB)


def _conditions(cells: Sequence[Cell]) -> npt.NDArray[np.float64]:
    """(n, 2): noise in dBFS, and how far the speech is above it in dB, of the cells of which that is known."""
    known = [
        (cell.noise_dbfs, cell.snr_db) for cell in cells if cell.noise_dbfs is not None and cell.snr_db is not None
    ]
    return np.array(known, np.float64).reshape(-1, 2)

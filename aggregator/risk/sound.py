"""What the seconds of sound say together: pauses, levels, pitch, and what kept them from being judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import msgspec

from proto.observations import SoundProblem

SHORTEST_PAUSE_S = 0.5
"""A shorter silence is how people speak."""

LONGEST_S = 86_400.0
SECOND_S = 60.0
"""No stretch of sound that is reported at once is longer."""

QUIETEST_DBFS, LOUDEST_DBFS = -120.0, 6.0
PROBLEMS: tuple[str, ...] = get_args(SoundProblem)
UNCLEAR = ("lost", "muted", "noisy", "music")
"""Problems that are put on record once they last. A low voice and clipping are counted only: they come and go."""

UNCLEAR_AFTER_S = 3.0
MUTED_AFTER_S = 10.0
"""Where noise is suppressed before it is sent, whoever listens seems muted: only what lasts is put on record."""

CLEAR_AFTER_S = 3.0
SILENT_AFTER_S = 15.0
"""Pictures go on and no sound is reported for so long: what was going on in the sound is over."""

WORDS = {"lost": "sound was lost", "muted": "the microphone gave no sound", "noisy": "noise", "music": "music"}
MAX_UNFIT = 16


class Mean(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A mean over time: `total` is the sum of value times seconds."""

    total: float = 0.0
    seconds: float = 0.0


class Sound(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`problems` maps a problem to its seconds; `unfit` are the newest stretches (start, end) that had one.

    Levels are averaged in dB, each second by how much speech, or how much else, it had: a mean of powers would be that
    of the loudest moments.
    """

    pauses: int = 0
    pauses_s: float = 0.0
    speech_dbfs: Mean = Mean()
    noise_dbfs: Mean = Mean()
    voiced: Mean = Mean()
    problems: dict[str, float] = {}
    unfit: tuple[tuple[float, float], ...] = ()


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """A checked stretch of sound. `heard_s` of it arrived, `speech_s` of that is speech."""

    start_s: float
    end_s: float
    heard_s: float
    speech_s: float
    ended_pause_s: float
    speech_dbfs: float | None
    noise_dbfs: float | None
    voiced_share: float | None
    problems: tuple[str, ...]


def count(sound: Sound, second: Second) -> Sound:
    """Sound after one more second."""
    ended = second.ended_pause_s if second.ended_pause_s >= SHORTEST_PAUSE_S else 0.0
    problems, unfit = sound.problems, sound.unfit
    if second.problems:
        length_s = second.end_s - second.start_s
        problems = dict(problems)
        for problem in second.problems:
            problems[problem] = problems.get(problem, 0.0) + length_s
        unfit = (*unfit, (second.start_s, second.end_s))[-MAX_UNFIT:]
    return Sound(
        pauses=sound.pauses + (ended > 0.0),
        pauses_s=sound.pauses_s + ended,
        speech_dbfs=_add(sound.speech_dbfs, _level(second.speech_dbfs), second.speech_s),
        noise_dbfs=_add(sound.noise_dbfs, _level(second.noise_dbfs), second.heard_s - second.speech_s),
        voiced=_add(sound.voiced, share(second.voiced_share), second.speech_s),
        problems=problems,
        unfit=unfit,
    )


def doubted(sound: Sound, start_s: float, end_s: float) -> bool:
    """Whether any of the sound from `start_s` to `end_s` could not be judged."""
    return any(start_s < unfit_end_s and unfit_start_s < end_s for unfit_start_s, unfit_end_s in sound.unfit)


def mean(taken: Mean) -> float | None:
    return taken.total / taken.seconds if taken.seconds > 0.0 else None


def known(problems: Sequence[str]) -> tuple[str, ...]:
    """Those of `problems` that this version knows, each once, in the order of the protocol."""
    return tuple(problem for problem in PROBLEMS if problem in problems)


def unclear(problems: Sequence[str]) -> tuple[str, ...]:
    """Why a second goes on record as unclear; empty where it does not."""
    return tuple(problem for problem in UNCLEAR if problem in problems)


def mostly(sound: Sound) -> str:
    """The problem that lasted longest, in words; empty without one."""
    lasting = [problem for problem in PROBLEMS if problem in sound.problems]
    if not lasting:
        return ""
    most = max(lasting, key=lambda problem: sound.problems[problem])
    return {**WORDS, "quiet": "the voice was too low", "clipped": "the sound was clipped"}[most]


def share(value: float | None) -> float | None:
    return value if value is not None and 0.0 <= value <= 1.0 else None


def within(value: float, limit: float) -> float:
    """The value if it is a number from 0 to `limit`, else 0."""
    return value if math.isfinite(value) and 0.0 <= value <= limit else 0.0


def _level(dbfs: float | None) -> float | None:
    return dbfs if dbfs is not None and QUIETEST_DBFS <= dbfs <= LOUDEST_DBFS else None


def _add(to: Mean, value: float | None, seconds: float) -> Mean:
    if value is None or seconds <= 0.0:
        return to
    return Mean(total=to.total + value * seconds, seconds=to.seconds + seconds)

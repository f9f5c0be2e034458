"""Where utterances begin and end, and the sound of the one under way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proto.media import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class EndpointTuning:
    """An utterance begins after `start_s` of speech with no break longer than `break_s` and ends after `end_s` of
    silence; once it has lasted `long_s`, already after `long_end_s`.
    """

    start_s: float = 0.2
    break_s: float = 0.3
    end_s: float = 0.7
    long_s: float = 45.0
    long_end_s: float = 0.25


@dataclass(frozen=True, slots=True)
class Opened:
    """An utterance is under way whose speech began at `speech_s`."""

    speech_s: float


@dataclass(frozen=True, slots=True)
class Closed:
    """The utterance is over: its last speech ended at `speech_end_s`."""

    speech_end_s: float


class Endpointer:
    """Turns judged stretches of sound, in order, into beginnings and ends. `idle`: not even a candidate is there."""

    def __init__(self, tuning: EndpointTuning) -> None:
        self._tuning = tuning
        self._candidate_s: float | None = None
        self._open = False
        self._spoken_s = 0.0
        self._silent_s = 0.0
        self._speech_end_s = 0.0

    @property
    def idle(self) -> bool:
        return self._candidate_s is None

    @property
    def open(self) -> bool:
        return self._open

    def push(self, t_s: float, duration_s: float, speech: bool) -> Opened | Closed | None:
        """Take the next stretch."""
        if speech:
            return self._speech(t_s, duration_s)
        if self._candidate_s is None:
            return None
        self._silent_s += duration_s
        if not self._open:
            if self._silent_s > self._tuning.break_s:
                self._candidate_s = None
            return None
        is_long = self._speech_end_s - self._candidate_s >= self._tuning.long_s
        limit_s = self._tuning.long_end_s if is_long else self._tuning.end_s
        return self.close() if self._silent_s >= limit_s else None

    def close(self) -> Closed | None:
        """End what is open (a gap, the end of the source); a mere candidate is forgotten."""
        was_open, self._open, self._candidate_s = self._open, False, None
        return Closed(self._speech_end_s) if was_open else None

    def _speech(self, t_s: float, duration_s: float) -> Opened | None:
        if self._candidate_s is None:
            self._candidate_s, self._spoken_s = t_s, 0.0
        self._silent_s = 0.0
        self._spoken_s += duration_s
        self._speech_end_s = t_s + duration_s
        if self._open or self._spoken_s < self._tuning.start_s:
            return None
        self._open = True
        return Opened(self._candidate_s)


class SoundBuffer:
    """Sound kept for decoding: pieces with their own session times, so that a short gap shifts no word behind it."""

    def __init__(self) -> None:
        self._pieces: list[tuple[float, NDArray[np.int16]]] = []
        self._count = 0

    @property
    def duration_s(self) -> float:
        """Seconds of sound held, gaps not counted."""
        return self._count / SAMPLE_RATE_HZ

    @property
    def start_s(self) -> float:
        return self._pieces[0][0] if self._pieces else 0.0

    @property
    def end_s(self) -> float:
        if not self._pieces:
            return 0.0
        t_s, samples = self._pieces[-1]
        return t_s + len(samples) / SAMPLE_RATE_HZ

    def append(self, t_s: float, samples: NDArray[np.int16]) -> None:
        self._pieces.append((t_s, samples))
        self._count += len(samples)

    def drop_before(self, t_s: float) -> None:
        """Forget the sound before session time `t_s`."""
        while self._pieces:
            start_s, samples = self._pieces[0]
            count = round((t_s - start_s) * SAMPLE_RATE_HZ)
            if count <= 0:
                return
            count = min(count, len(samples))
            self._count -= count
            if count < len(samples):
                self._pieces[0] = (start_s + count / SAMPLE_RATE_HZ, samples[count:])
                return
            del self._pieces[0]

    def samples(self, until_s: float | None = None) -> NDArray[np.float32]:
        """All sound (up to `until_s`) as floats in -1..1, one piece after another."""
        parts = []
        for t_s, samples in self._pieces:
            count = len(samples) if until_s is None else max(0, round((until_s - t_s) * SAMPLE_RATE_HZ))
            parts.append(samples[:count])
        joined = np.concatenate(parts) if parts else np.zeros(0, np.int16)
        return joined.astype(np.float32) / 32768.0

    def time_at(self, offset_s: float) -> float:
        """Session time of an offset into `samples()`."""
        left = max(0.0, offset_s) * SAMPLE_RATE_HZ
        for t_s, samples in self._pieces:
            if left <= len(samples):
                return t_s + left / SAMPLE_RATE_HZ
            left -= len(samples)
        return self.end_s

    def clear(self) -> None:
        self._pieces.clear()
        self._count = 0

"""Utterances cut into cells: pieces of about 0.8 s of speech, each with the 1.6 s of sound around it to be embedded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from inference.signals import level
from inference.signals.mel import PARTIAL, Sound
from inference.signals.voice_groups import Cell, Embedding
from inference.speech.hearing import Event, UtteranceClosed, UtteranceOpened, UtteranceSound
from inference.speech.utterance import SoundBuffer
from inference.speech.vad import Window
from proto.media import SAMPLE_RATE_HZ

STEP = PARTIAL // 2
"""Samples from cell to cell: 0.8 s."""
EDGE = (PARTIAL - STEP) // 2
"""Samples that a cell's sound reaches beyond it on either side."""
SHORT = SAMPLE_RATE_HZ
"""An utterance with less than this, 1 s, of speech says too little of its voice."""
KEPT_PAUSE = 3
"""Windows without speech, about 0.1 s, that are kept on either side of speech; longer pauses are left out."""
NOISE_WINDOWS, MIN_NOISE_WINDOWS = 60, 3
"""Windows of pauses that say how loud the background is: so many at most, and at least."""
NOISE_PCT = 10.0
"""The quietest of them are it: in the others words fade."""
QUIET_DBFS = -60.0
NOISY_DB = 6.0
CLIPPED = 0.002
"""Speech below QUIET_DBFS, less than NOISY_DB above the background, or with this share of samples at full scale is not
embedded."""
SHORT_FAULT, QUIET_FAULT, NOISY_FAULT, CLIPPED_FAULT, FAILED_FAULT = "short", "quiet", "noisy", "clipped", "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """A cell to embed: `sound` is its own and that around it, up to 1.6 s. With a `fault` there is nothing to embed."""

    t_s: float
    duration_s: float
    sound: Sound
    fault: str = ""
    noise_dbfs: float | None = None
    snr_db: float | None = None

    def cell(self, embedding: Embedding | None) -> Cell:
        fault = self.fault or ("" if embedding is not None else FAILED_FAULT)
        return Cell(self.t_s, self.duration_s, embedding, fault, self.noise_dbfs, self.snr_db)


@dataclass(frozen=True, slots=True)
class Batch:
    """What an event asks for. `closes`: an utterance ends with it. `interviewer`: of the interviewer's own source."""

    requests: tuple[Request, ...]
    closes: bool = False
    interviewer: bool = False

    @property
    def sounds(self) -> list[Sound]:
        """What to embed, in order."""
        return [request.sound for request in self.requests if not request.fault]


class Cutter:
    """Cuts one source's utterances into cells. What it gives is a function of the utterance alone."""

    def __init__(self) -> None:
        self._open = False
        self._begin()

    def _begin(self) -> None:
        self._sound = SoundBuffer()
        self._lead: deque[Window] = deque()
        self._trailing = KEPT_PAUSE
        self._noise: deque[float] = deque(maxlen=NOISE_WINDOWS)
        self._from = 0
        self._told = 0

    def take(self, event: Event) -> Batch | None:
        """The cells that an event completes; None where there are none and no utterance ends."""
        match event:
            case UtteranceOpened():
                self._open = True
                self._begin()
                windows: tuple[Window, ...] = event.windows
            case UtteranceSound() if self._open:
                windows = (event.window,)
            case UtteranceClosed() if self._open:
                self._open = False
                return Batch(tuple(self._rest()), closes=True)
            case _:
                return None
        found = [request for window in windows for request in self._hear(window)]
        return Batch(tuple(found)) if found else None

    def _hear(self, window: Window) -> list[Request]:
        if not window.speech:
            self._pause(window)
        else:
            for one in (*self._lead, window):
                self._sound.append(one.t_s, one.samples)
            self._lead.clear()
            self._trailing = 0
        found: list[Request] = []
        while self._length >= self._from + PARTIAL:
            found.append(self._cell(self._from, self._from + EDGE + STEP))
            # The half before stays: the utterance's last cell may reach back into it.
            self._sound.drop_before(self._sound.time_at(self._from / SAMPLE_RATE_HZ))
            self._told -= self._from
            self._from = STEP
        return found

    def _pause(self, window: Window) -> None:
        if self._trailing < KEPT_PAUSE:
            self._trailing += 1
            self._sound.append(window.t_s, window.samples)
            return
        self._lead.append(window)
        if len(self._lead) > KEPT_PAUSE:
            early = self._lead.popleft()
            self._noise.append(level.dbfs(level.square_sum(early.samples), len(early.samples)))

    def _rest(self) -> list[Request]:
        """The last cell of an utterance: what follows the one before, in the utterance's last 1.6 s of speech."""
        length = self._length
        if length <= self._told:
            return []
        return [self._cell(max(0, length - PARTIAL), length, SHORT_FAULT if length < SHORT else "")]

    @property
    def _length(self) -> int:
        return round(self._sound.duration_s * SAMPLE_RATE_HZ)

    def _cell(self, start: int, end: int, fault: str = "") -> Request:
        """The cell from what was told to sample `end`, in the sound from sample `start`."""
        sound = self._sound.samples()
        t_s = self._sound.time_at((self._told + 1) / SAMPLE_RATE_HZ) - 1 / SAMPLE_RATE_HZ
        count, self._told = end - self._told, end
        around = sound[start : start + PARTIAL]
        noise_dbfs, snr_db = self._background(around)
        fault = fault or _fault(around, snr_db)
        return Request(t_s, count / SAMPLE_RATE_HZ, around, fault, noise_dbfs, snr_db)

    def _background(self, sound: Sound) -> tuple[float | None, float | None]:
        if len(self._noise) < MIN_NOISE_WINDOWS:
            return None, None
        noise_dbfs = float(np.percentile(self._noise, NOISE_PCT))
        return noise_dbfs, _level_dbfs(sound) - noise_dbfs


def _level_dbfs(sound: Sound) -> float:
    return level.dbfs(float(np.square(sound, dtype=np.float64).sum()), len(sound))


def _fault(sound: Sound, snr_db: float | None) -> str:
    """Why a sound is not fit to be embedded; empty where it is."""
    if np.count_nonzero(np.abs(sound) >= level.CLIPPED_AT / level.FULL_SCALE) > CLIPPED * len(sound):
        return CLIPPED_FAULT
    if _level_dbfs(sound) < QUIET_DBFS:
        return QUIET_FAULT
    return NOISY_FAULT if snr_db is not None and snr_db < NOISY_DB else ""

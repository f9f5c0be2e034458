"""Which 32 ms of sound are speech: WebRTC VAD opens the gate, Silero behind it decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from inference.backends.silero import WINDOW, SileroBackend, SileroState
from proto.media import SAMPLE_RATE_HZ

FRAME = 320
"""Samples of one WebRTC frame: 20 ms."""
BLOCK = 2560
"""Samples judged at once, 160 ms: the least that is whole in WebRTC frames (8) and in Silero windows (5)."""
PRIME_SAMPLES = 2 * SAMPLE_RATE_HZ
"""Sound that a restarted detector hears before it judges: WebRTC VAD learns the noise floor over about this long."""


@dataclass(frozen=True, slots=True)
class Window:
    """A judged stretch of sound, 32 ms but for the last before a gap."""

    t_s: float
    samples: NDArray[np.int16]
    speech: bool

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ

    @property
    def end_s(self) -> float:
        return self.t_s + self.duration_s


@dataclass(frozen=True, slots=True)
class VadTuning:
    """`mode` of WebRTC VAD, 0 (takes much for speech) to 3. The gate opens when `open_frames` of a block's 8 frames
    are voiced and stays open for `hold_blocks` quiet blocks. Silero's probability must reach `enter` for speech to
    begin and fall below `leave` for it to end.
    """

    mode: int = 2
    open_frames: int = 2
    hold_blocks: int = 3
    enter: float = 0.5
    leave: float = 0.35


class SpeechDetector:
    """Judges one stream. All it knows is a function of the last 2 s before `restart` and of the sound since, so that a
    successor that restarts at the same sample judges the same.
    """

    def __init__(self, silero: SileroBackend, tuning: VadTuning) -> None:
        self._silero = silero
        self._tuning = tuning
        self.restart(np.zeros(0, np.int16))

    def restart(self, before: NDArray[np.int16]) -> None:
        """Forget everything but `before`, the sound just before the next sample."""
        self._vad = webrtcvad.Vad(self._tuning.mode)
        self._state: SileroState | None = None
        self._hold = 0
        self._speaking = False
        self._last = np.zeros(0, np.int16)
        self._rest = np.zeros(0, np.int16)
        self._rest_t_s = 0.0
        before = before[-PRIME_SAMPLES:]
        before = before[len(before) % FRAME :]
        for _ in self._voiced(before):
            pass
        if len(before) >= BLOCK:
            self._last = before[-BLOCK:]

    def push(self, t_s: float, samples: NDArray[np.int16]) -> list[Window]:
        """Take samples that follow the ones before without a gap; returns the blocks that are complete, judged."""
        if len(self._rest):
            t_s, samples = t_s - len(self._rest) / SAMPLE_RATE_HZ, np.concatenate([self._rest, samples])
        windows: list[Window] = []
        whole = len(samples) - len(samples) % BLOCK
        for start in range(0, whole, BLOCK):
            windows += self._judge(t_s + start / SAMPLE_RATE_HZ, samples[start : start + BLOCK])
        self._rest, self._rest_t_s = samples[whole:], t_s + whole / SAMPLE_RATE_HZ
        return windows

    def flush(self) -> list[Window]:
        """The part of a block that is left before a gap or the end; too short to judge, it is as what came before."""
        rest, self._rest = self._rest, np.zeros(0, np.int16)
        return [Window(self._rest_t_s, rest, self._speaking)] if len(rest) else []

    def _judge(self, t_s: float, block: NDArray[np.int16]) -> list[Window]:
        if sum(self._voiced(block)) >= self._tuning.open_frames:
            self._hold = self._tuning.hold_blocks + 1
        is_open = self._hold > 0
        self._hold = max(0, self._hold - 1)
        flags = self._decide(block) if is_open else [False] * (BLOCK // WINDOW)
        if not is_open:
            self._speaking = False
            self._state = None
        self._last = block
        return [
            Window(t_s + i * WINDOW / SAMPLE_RATE_HZ, block[i * WINDOW : (i + 1) * WINDOW], speech)
            for i, speech in enumerate(flags)
        ]

    def _decide(self, block: NDArray[np.int16]) -> list[bool]:
        if self._state is None:
            self._state = SileroState()
            if len(self._last) == BLOCK:
                # Silero needs some sound to settle: it hears the block before the gate opened, unjudged.
                self._silero.run(self._last, self._state)
        flags: list[bool] = []
        for probability in self._silero.run(block, self._state):
            threshold = self._tuning.leave if self._speaking else self._tuning.enter
            self._speaking = bool(probability >= threshold)
            flags.append(self._speaking)
        return flags

    def _voiced(self, samples: NDArray[np.int16]) -> Iterator[bool]:
        data = np.ascontiguousarray(samples, "<i2").tobytes()
        for start in range(0, len(data), FRAME * 2):
            yield bool(self._vad.is_speech(data[start : start + FRAME * 2], SAMPLE_RATE_HZ))

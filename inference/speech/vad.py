"""Which 32 ms of sound are speech: WebRTC VAD opens the gate, Silero behind it decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from inference.backends.silero import WINDOW, SileroBackend, SileroState
from inference.speech.timeline import Gap
from proto.media import SAMPLE_RATE_HZ

FRAME = 320
"""Samples of one WebRTC frame: 20 ms."""
BLOCK = 2560
"""Samples judged at once, 160 ms: the least that is whole in WebRTC frames (8) and in Silero windows (5)."""
PRIME_SAMPLES = 2 * SAMPLE_RATE_HZ
"""Sound that a restarted detector hears before it judges: WebRTC VAD learns the noise floor over about this long."""


@dataclass(frozen=True, slots=True)
class Window:
    """A judged stretch of sound, 32 ms but where a gap cuts it. `maybe`: it is or may be speech; a whisper is often no
    more than that to the detector.
    """

    t_s: float
    samples: NDArray[np.int16]
    speech: bool
    maybe: bool = False

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
    begin and fall below `leave` for it to end; `maybe_enter` and `maybe_leave` are the same for what may be speech.
    """

    mode: int = 2
    open_frames: int = 2
    hold_blocks: int = 3
    enter: float = 0.5
    leave: float = 0.35
    maybe_enter: float = 0.15
    maybe_leave: float = 0.1


class SpeechDetector:
    """Judges one stream. All it knows is a function of the last 2 s before `restart` and of the sound since, so that a
    successor that restarts at the same sample judges the same.

    It judges samples as they follow one another, short gaps or not. What comes out is in order of time: a gap comes
    behind the windows before it, so it waits until those are judged.
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
        self._murmuring = False
        self._last = np.zeros(0, np.int16)
        self._rest: list[Window | Gap] = []
        before = before[-PRIME_SAMPLES:]
        before = before[len(before) % FRAME :]
        for _ in self._voiced(before):
            pass
        if len(before) >= BLOCK:
            self._last = before[-BLOCK:]

    def push(self, t_s: float, samples: NDArray[np.int16]) -> list[Window | Gap]:
        """Take samples that follow what came before; returns what of all is judged now."""
        last = self._rest[-1] if self._rest else None
        if isinstance(last, Window):
            self._rest.pop()
            t_s, samples = t_s - last.duration_s, np.concatenate([last.samples, samples])
        self._rest.append(Window(t_s, samples, speech=False))
        sound = np.concatenate([one.samples for one in self._rest if isinstance(one, Window)])
        whole = len(sound) - len(sound) % BLOCK
        flags = [flag for start in range(0, whole, BLOCK) for flag in self._judge(sound[start : start + BLOCK])]
        return self._cut(flags) if flags else []

    def gap(self, gap: Gap) -> list[Window | Gap]:
        """Take a gap too short to matter to what is speech; returned at once if no sound before it is unjudged."""
        if not self._rest:
            return [gap]
        self._rest.append(gap)
        return []

    def flush(self) -> list[Window | Gap]:
        """What is left before a long gap or the end: part of a block, too short to judge, is as what came before."""
        rest, self._rest = self._rest, []
        return [
            replace(one, speech=self._speaking, maybe=self._murmuring) if isinstance(one, Window) else one
            for one in rest
        ]

    def _cut(self, flags: list[tuple[bool, bool]]) -> list[Window | Gap]:
        """Take from the rest what `flags`, one for each 32 ms of it, judge; a gap cuts a window in two."""
        rest, self._rest = self._rest, []
        judged: list[Window | Gap] = []
        at, until = 0, len(flags) * WINDOW
        for one in rest:
            if isinstance(one, Gap):
                (self._rest or judged).append(one)
                continue
            start = 0
            while at < until and start < len(one.samples):
                stop = min(len(one.samples), start + WINDOW - at % WINDOW)
                judged.append(_part(one, start, stop, *flags[at // WINDOW]))
                at, start = at + stop - start, stop
            if start < len(one.samples):
                self._rest.append(_part(one, start, len(one.samples), speech=False, maybe=False))
        return judged

    def _judge(self, block: NDArray[np.int16]) -> list[tuple[bool, bool]]:
        """Of each window of the next block, whether it is speech and whether it may be."""
        if sum(self._voiced(block)) >= self._tuning.open_frames:
            self._hold = self._tuning.hold_blocks + 1
        is_open = self._hold > 0
        self._hold = max(0, self._hold - 1)
        flags = self._decide(block) if is_open else [(False, False)] * (BLOCK // WINDOW)
        if not is_open:
            self._speaking = self._murmuring = False
            self._state = None
        self._last = block
        return flags

    def _decide(self, block: NDArray[np.int16]) -> list[tuple[bool, bool]]:
        """The same by Silero alone."""
        if self._state is None:
            self._state = SileroState()
            if len(self._last) == BLOCK:
                # Silero needs some sound to settle: it hears the block before the gate opened, unjudged.
                self._silero.run(self._last, self._state)
        flags: list[tuple[bool, bool]] = []
        for probability in self._silero.run(block, self._state):
            threshold = self._tuning.leave if self._speaking else self._tuning.enter
            self._speaking = bool(probability >= threshold)
            threshold = self._tuning.maybe_leave if self._murmuring else self._tuning.maybe_enter
            self._murmuring = self._speaking or bool(probability >= threshold)
            flags.append((self._speaking, self._murmuring))
        return flags

    def _voiced(self, samples: NDArray[np.int16]) -> Iterator[bool]:
        data = np.ascontiguousarray(samples, "<i2").tobytes()
        for start in range(0, len(data), FRAME * 2):
            yield bool(self._vad.is_speech(data[start : start + FRAME * 2], SAMPLE_RATE_HZ))


def _part(window: Window, start: int, stop: int, speech: bool, maybe: bool) -> Window:
    return Window(window.t_s + start / SAMPLE_RATE_HZ, window.samples[start:stop], speech, maybe)

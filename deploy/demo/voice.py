"""The demo candidate's voice: eSpeak NG from the package espeakng-loader, through ctypes, into 48 kHz samples."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from deploy.demo.script import Script
from proto.errors import FeatureMissing, Unavailable

RATE_HZ = 48_000
SPEED_WPM = 150
VOICE = b"en-us"

# Constants and signatures of espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_RATE_PARAMETER = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Soundtrack:
    """Mono samples of a whole script at RATE_HZ."""

    samples: Samples

    def slice(self, start: int, count: int) -> Samples:
        """`count` samples from `start`; silence after the end."""
        part = self.samples[start : start + count]
        return np.pad(part, (0, count - len(part)))

    def loudness(self, t_s: float, window_s: float = 0.08) -> float:
        """How loud the voice is around `t_s`, 0 to 1: what opens the mouth."""
        start = max(int((t_s - window_s / 2) * RATE_HZ), 0)
        part = self.samples[start : start + int(window_s * RATE_HZ)].astype(np.float32)
        return float(min(np.sqrt(np.mean(part**2)) / 6000, 1.0)) if part.size else 0.0


def silence(script: Script) -> Soundtrack:
    return Soundtrack(np.zeros(int(script.duration_s * RATE_HZ), np.int16))


def speak(script: Script) -> Soundtrack:
    """The script's lines, each at its time.

    Raises:
        FeatureMissing: the package is not installed, or has no library for this machine.
        Unavailable: eSpeak NG refused.
    """
    track = np.zeros(int(script.duration_s * RATE_HZ), np.int16)
    synthesiser = _Synthesiser()
    for line in script.lines:
        samples = synthesiser.say(line.text)
        start = int(line.start_s * RATE_HZ)
        count = min(len(samples), len(track) - start)
        track[start : start + count] = samples[:count]
    return Soundtrack(track)


class _Synthesiser:
    """eSpeak NG keeps its state in globals of the library: one of these per process, used from one thread."""

    def __init__(self) -> None:
        command = "uv sync --extra demo"
        try:
            import espeakng_loader  # noqa: PLC0415 - in the extra `demo`
        except ImportError as error:
            raise FeatureMissing("demo voice", "espeakng-loader is not installed", command) from error
        try:
            self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise FeatureMissing("demo voice", f"eSpeak NG cannot be loaded: {error}", command) from error
        data_path = espeakng_loader.get_data_path().encode()
        self._rate_hz = self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path, _DONT_EXIT)
        if self._rate_hz <= 0:
            raise Unavailable("eSpeak NG does not start: its data files are missing")
        self._heard: list[Samples] = []
        self._callback = _CALLBACK(self._hear)
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(VOICE) != 0:
            raise Unavailable(f"eSpeak NG has no voice {VOICE.decode()}")
        self._library.espeak_SetParameter(_RATE_PARAMETER, SPEED_WPM, 0)

    def say(self, text: str) -> Samples:
        """One sentence at RATE_HZ."""
        self._heard = []
        data = text.encode()
        status = self._library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 0, 0, _CHARS_UTF8, None, None)
        if status != 0 or not self._heard:
            raise Unavailable("eSpeak NG did not speak")
        return _resampled(np.concatenate(self._heard), self._rate_hz)

    def _hear(self, samples: Any, count: int, _events: object) -> int:
        if samples and count > 0:
            self._heard.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0


def _resampled(samples: Samples, rate_hz: int) -> Samples:
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    parts = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    return np.asarray(np.concatenate(parts), np.int16)

"""Sound as a voice encoder wants it: mel power spectrograms, at a level that does not depend on the microphone's gain.

The numbers are those of `librosa.feature.melspectrogram` (librosa 0.10 and later) with n_fft 400, hop 160 and 40 bands,
which Resemblyzer's encoder was trained on: power, not decibels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from proto.media import SAMPLE_RATE_HZ

FFT = 400
"""Samples of a frame: 25 ms."""
HOP = 160
"""Samples from frame to frame: 10 ms."""
BANDS = 40
FRAMES = 160
"""Frames of a partial, the piece of sound that makes one embedding."""
PARTIAL = FRAMES * HOP
"""Samples of a partial: 1.6 s."""
LEVEL_DBFS = -30.0
"""Quieter sound is raised to this RMS level, louder sound is left as it is."""

_LINEAR_HZ_A_MEL = 200.0 / 3.0
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_A_MEL
_LOG_STEP = np.log(6.4) / 27.0

Sound = npt.NDArray[np.float32]
"""Samples in -1..1."""
Mels = npt.NDArray[np.float32]
"""(frames, BANDS)."""


def raised(sound: Sound) -> Sound:
    """The sound at LEVEL_DBFS or louder; digital silence stays silent."""
    power = float(np.mean(np.square(sound, dtype=np.float64))) if len(sound) else 0.0
    wanted = 10.0 ** (LEVEL_DBFS / 10.0)
    if power <= 0.0 or power >= wanted:
        return sound
    return np.asarray(sound * np.sqrt(wanted / power), dtype=np.float32)


def spectrogram(sound: Sound) -> Mels:
    """Mel power of 1 + len / HOP frames. Frame k is centred on sample k * HOP; beyond both ends there is silence."""
    padded = np.pad(sound.astype(np.float64), FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    power = np.square(np.abs(np.fft.rfft(frames * _window(), axis=1)))
    return np.asarray(power @ _filters().T, dtype=np.float32)


def partial(sound: Sound) -> Mels:
    """The (FRAMES, BANDS) of up to PARTIAL samples, raised. Shorter sound is repeated until it is long enough: silence
    behind it would be the last that the encoder hears.
    """
    if len(sound) < PARTIAL:
        sound = np.resize(sound, PARTIAL)
    return spectrogram(raised(sound[:PARTIAL]))[:FRAMES]


@cache
def _window() -> npt.NDArray[np.float64]:
    """Hann, periodic: that of a frame twice as long would begin and end with the same zero."""
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FFT) / FFT))


@cache
def _filters() -> npt.NDArray[np.float64]:
    """(BANDS, FFT / 2 + 1): triangles of equal area on Slaney's scale, linear up to 1 kHz and logarithmic above, from 0
    to half the sample rate. After Slaney's Auditory Toolbox (1998), as librosa has it.
    """
    top_mel = _mel(SAMPLE_RATE_HZ / 2.0)
    corners_hz = _hz(np.linspace(0.0, top_mel, BANDS + 2))
    bins_hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2.0, FFT // 2 + 1)
    widths_hz = np.diff(corners_hz)[:, None]
    rising = (bins_hz - corners_hz[:-2, None]) / widths_hz[:-1]
    falling = (corners_hz[2:, None] - bins_hz) / widths_hz[1:]
    areas = 2.0 / (corners_hz[2:] - corners_hz[:-2])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)) * areas[:, None])


def _mel(hz: float) -> float:
    """Of a frequency above the break."""
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _hz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK_MEL))
    return np.where(mels < _BREAK_MEL, mels * _LINEAR_HZ_A_MEL, above)

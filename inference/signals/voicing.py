"""Whether a voice has a pitch: periodicity of short stretches of sound, and how much like a whisper their sum is.

A whisper is speech without vibrating vocal folds: breath noise, shaped by the mouth. Three signs tell it from a voice,
and all three must be there. It is not periodic; it has no pulses (a creaky voice is hardly periodic, but pulsed); and
its spectrum is flatter than that of a voice, which is strong below 1 kHz (Jovičić 1998; Ito, Takeda and Itakura 2005).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.signals.level import FULL_SCALE
from proto.media import SAMPLE_RATE_HZ as RATE_HZ

FRAME = 640
"""Samples of a frame: 40 ms, three periods of the lowest pitch (Boersma 1993)."""
HOP = 320
PITCH_HZ = (70.0, 400.0)
"""A higher voice is found as well: it repeats after two periods, too."""
BAND_HZ = (60.0, 4000.0)
"""Where periodicity is looked for: above it even a clear voice is mostly noise."""
VOICED_AT = 0.6
"""Periodicity from which a frame has a pitch: 10 log10(r / (1 - r)) is 1.8 dB of harmonics over noise there. Formants
alone make 0.3 to 0.5 of breath noise."""
ACTIVE_DB = 20.0
"""Frames that are quieter than the loudest by more are not judged: they are breaks within the speech."""
LEAST_ACTIVE = 10

_FFT = 1024
_PULSE = 32
"""Samples of a block in which pulses are looked for: 2 ms."""
_LOW_HZ = (80.0, 1000.0)
_HIGH_HZ = (1000.0, 3400.0)

_WINDOW = np.hanning(FRAME)
_SCALE = 2 / (_FFT * float(np.square(_WINDOW).sum()))
_FREQUENCIES = np.fft.rfftfreq(_FFT, 1 / RATE_HZ)
_LAGS = slice(round(RATE_HZ / PITCH_HZ[1]) - 1, round(RATE_HZ / PITCH_HZ[0]) + 2)
_OF_WINDOW = np.fft.irfft(np.abs(np.fft.rfft(_WINDOW, _FFT)) ** 2)
_TINY = 1e-12


class Voicing(NamedTuple):
    """Frames of a stretch of sound, one value each, and what is true of the frame's middle sample.

    `middle` is that sample's index; `power` the mean square in the band, `periodicity` 0-1, `pulsing` the natural
    logarithm of arithmetic over geometric mean of the energies of 2 ms (0: even, above 1: pulses), `low` and `high`
    the power below and above 1 kHz.
    """

    middle: NDArray[np.intp]
    power: NDArray[np.float64]
    periodicity: NDArray[np.float64]
    pulsing: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def of(self, chosen: NDArray[np.bool_]) -> Voicing:
        """The chosen frames, without those that are ACTIVE_DB quieter than the loudest of them."""
        power = self.power[chosen]
        active = power >= power.max(initial=0.0) * 10 ** (-ACTIVE_DB / 10)
        return Voicing(*(values[chosen][active] for values in self))


def analyse(samples: NDArray[np.int16], wanted: NDArray[np.bool_]) -> Voicing:
    """Frames of `samples` at 16 kHz whose middle sample is `wanted`."""
    starts = np.arange(0, max(0, len(samples) - FRAME + 1), HOP)
    starts = starts[wanted[starts + FRAME // 2]] if len(starts) else starts
    scaled = samples.astype(np.float64) / FULL_SCALE
    frames = scaled[starts[:, None] + np.arange(FRAME)]
    halves = np.fft.rfft((frames - frames.mean(axis=1, keepdims=True)) * _WINDOW, _FFT)
    spectra = np.square(halves.real) + np.square(halves.imag)
    return Voicing(
        middle=starts + FRAME // 2,
        power=_between(spectra, BAND_HZ),
        periodicity=_periodicity(spectra),
        pulsing=_pulsing(frames),
        low=_between(spectra, _LOW_HZ),
        high=_between(spectra, _HIGH_HZ),
    )


def voiced_share(frames: Voicing) -> float | None:
    """Share (0-1) of the frames that have a pitch; None for too few frames."""
    if len(frames.middle) < LEAST_ACTIVE:
        return None
    return float(np.mean(frames.periodicity >= VOICED_AT))


def whisper_likelihood(frames: Voicing) -> float | None:
    """How much (0-1) the frames are like a whisper: the weakest of its three signs. None for too few frames.

    The most periodic fifth of the frames counts, as even ordinary speech is half unvoiced sounds at times. The limits
    were read off recordings of eight people and a synthesiser, and off the same resynthesised as whispers (breath noise
    through their own LPC filters), not off real whispers. The periodicity of a whisper's best fifth is 0.35 to 0.6,
    that of a voice 0.7 to 1, with noise 5 dB below it still 0.68 in 19 of 20 seconds; pulsing in the median 0.1 to
    0.56, of creaky voices 0.83 and more; low over high power -12 to 14 dB. Who lost their voice sounds like a whisper.
    """
    if len(frames.middle) < LEAST_ACTIVE or frames.power.max(initial=0.0) <= _TINY:
        return None
    periodicity = float(np.percentile(frames.periodicity, 80))
    pulsing = float(np.median(frames.pulsing))
    tilt_db = 10 * math.log10((float(frames.low.sum()) + _TINY) / (float(frames.high.sum()) + _TINY))
    return min(_below(periodicity, 0.6, 0.04), _below(pulsing, 0.7, 0.04), _below(tilt_db, 15.0, 1.0))


def _below(value: float, limit: float, width: float) -> float:
    """1 well below the limit, 0.5 at it, 0 well above (logistic)."""
    return 1 / (1 + math.exp(min(50.0, max(-50.0, (value - limit) / width))))


def _between(spectra: NDArray[np.float64], band_hz: tuple[float, float]) -> NDArray[np.float64]:
    """Mean square of the sound within a band (Parseval; both halves of the spectrum)."""
    first, last = np.searchsorted(_FREQUENCIES, band_hz)
    total: NDArray[np.float64] = spectra[:, first:last].sum(axis=1)
    return total * _SCALE


def _periodicity(spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height (0-1) of the highest peak of the normalised autocorrelation at the lags of PITCH_HZ.

    After P. Boersma, Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a
    sampled sound (1993): the autocorrelation of the windowed sound, divided by that of the window.
    """
    if not len(spectra):
        return np.zeros(0)
    first, last = np.searchsorted(_FREQUENCIES, BAND_HZ)
    banded = np.zeros_like(spectra)
    banded[:, first:last] = spectra[:, first:last]
    correlation = np.fft.irfft(banded, _FFT)
    near = correlation[:, _LAGS] / np.maximum(correlation[:, :1], _TINY) * (_OF_WINDOW[0] / _OF_WINDOW[_LAGS])
    inner = near[:, 1:-1]
    peaks = (inner > near[:, :-2]) & (inner >= near[:, 2:])
    highest: NDArray[np.float64] = np.where(peaks, inner, 0.0).max(axis=1)
    return np.clip(highest, 0.0, 1.0)


def _pulsing(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """How uneven the energy of successive 2 ms is: of noise 0.1, of formants in noise 0.3, of slow pulses 3."""
    steps = np.diff(frames, axis=1, prepend=frames[:, :1])
    energies = (steps.reshape(len(frames), FRAME // _PULSE, _PULSE) ** 2).sum(axis=2)
    mean = energies.mean(axis=1, keepdims=True)
    energies = energies + mean * 0.01 + _TINY
    ratio: NDArray[np.float64] = np.log(energies.mean(axis=1)) - np.log(energies).mean(axis=1)
    return ratio

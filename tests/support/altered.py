"""Recordings as other voices, lines and rooms would have made them, and music: all at 16 kHz."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz
from scipy.signal import butter, lfilter, sosfilt

from proto.media import SAMPLE_RATE_HZ as RATE_HZ
from tests.support.speech import Samples

Sound = NDArray[np.float64]
_FRAME, _HOP, _ORDER = 400, 160, 20
_EMPHASIS = 0.97
SCALE = (0, 2, 4, 5, 7, 9, 11, 12)
"""Semitones of a major scale."""


def rms(samples: NDArray[np.generic]) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float64)))))


def pcm(sound: Sound) -> Samples:
    return np.clip(sound, -32768, 32767).astype(np.int16)


def whispered(samples: Samples, *, loudness: float = 0.3, tilt: float = 0.6, seed: int = 0) -> Samples:
    """The same words without vocal folds: breath noise through the recording's own LPC filters.

    `tilt` is how much of the pre-emphasis is taken back: 0.97 keeps the slope of a voice's spectrum, less gives the
    flatter one of a whisper. `loudness` is relative to the recording.
    """
    random = np.random.default_rng(seed)

    def breath(_start: int) -> Sound:
        return random.standard_normal(_FRAME + 100)

    out = np.zeros(len(samples) + _FRAME)
    for start, filtered, _gain in _filters(samples):
        out[start : start + _FRAME] += lfilter([1.0], filtered, breath(start) * _gain)[100:] * np.hanning(_FRAME)
    out = lfilter([1.0], [1.0, -tilt], out[: len(samples)])
    return pcm(out * loudness * rms(samples) / max(rms(out), 1e-9))


def creaky(samples: Samples, seed: int = 0) -> Samples:
    """The same words in a creaky voice: irregular glottal pulses, about 40 a second."""
    random = np.random.default_rng(seed)
    pulses, at = np.zeros(len(samples)), 0.0
    while at < len(samples):
        pulses[int(at)] = random.uniform(0.6, 1.0)
        at += RATE_HZ / 40 * random.uniform(0.75, 1.3)
    pulses = lfilter([1.0, -_EMPHASIS], [1.0, -0.95], pulses)
    out, state = np.zeros(len(samples)), np.zeros(_ORDER)
    for start, filtered, gain in _filters(samples):
        out[start : start + _HOP], state = lfilter([1.0], filtered, gain * pulses[start : start + _HOP], zi=state)
    out = lfilter([1.0], [1.0, -_EMPHASIS], out)
    return pcm(out * 0.5 * rms(samples) / max(rms(out), 1e-9))


def _filters(samples: Samples) -> list[tuple[int, Sound, float]]:
    """Start, LPC filter and gain of each frame that is not silent."""
    emphasised = lfilter([1.0, -_EMPHASIS], [1.0], samples.astype(np.float64))
    window = np.hanning(_FRAME)
    lag_window = np.exp(-0.5 * (2 * np.pi * 60 * np.arange(_ORDER + 1) / RATE_HZ) ** 2)
    found: list[tuple[int, Sound, float]] = []
    for start in range(0, len(samples) - _FRAME, _HOP):
        frame = emphasised[start : start + _FRAME] * window
        correlation = np.correlate(frame, frame, "full")[_FRAME - 1 : _FRAME + _ORDER] * lag_window
        if correlation[0] < 1:
            continue
        correlation[0] *= 1.0001
        predictor = solve_toeplitz(correlation[:-1], correlation[1:])
        gain = np.sqrt(max(correlation[0] - predictor @ correlation[1:], 0.0) / np.square(window).sum())
        found.append((start, np.concatenate([[1.0], -predictor]), float(gain)))
    return found


def telephone(samples: Samples) -> Samples:
    """300 to 3400 Hz."""
    return pcm(sosfilt(butter(4, [300, 3400], "band", fs=RATE_HZ, output="sos"), samples.astype(np.float64)))


def noisy(samples: Samples, snr_db: float, *, pink: bool = False, seed: int = 1) -> Samples:
    """With noise `snr_db` below the mean level of the recording."""
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    if pink:
        spectrum = np.fft.rfft(noise)
        noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 20)), len(samples))
    return pcm(samples + noise * rms(samples) / 10 ** (snr_db / 20) / rms(noise))


def opus(samples: Samples, bit_rate: int = 16_000) -> Samples:
    """Encoded as WebRTC does and decoded again."""
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        resampler = av.AudioResampler("s16", "mono", 48_000, 960)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return decoded(container)


def decoded(container: av.container.InputContainer) -> Samples:
    """The first audio stream of an open file."""
    resampler = av.AudioResampler("s16", "mono", RATE_HZ)
    pieces = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
    return np.concatenate([piece.to_ndarray()[0] for piece in (*pieces, *resampler.resample(None))])


def note(pitch_hz: float, duration_s: float, *, plucked: bool = True, vibrato: float = 0.0) -> Sound:
    """One tone with eight harmonics; `vibrato` is its depth as a share of the pitch, 5.5 times a second."""
    t_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * pitch_hz * t_s + pitch_hz * vibrato / 5.5 * np.sin(2 * np.pi * 5.5 * t_s)
    tone = sum(np.sin(k * phase) / k**1.2 for k in range(1, 9) if k * pitch_hz < 7000)
    shape = np.exp(-3 * t_s) * np.minimum(1, 100 * t_s) if plucked else np.minimum(1, 20 * t_s[::-1])
    return np.asarray(tone * np.minimum(shape, np.minimum(1, 20 * t_s)), np.float64)


def music(
    duration_s: float, beat_s: float, *, chord: Sequence[int] = (0,), plucked: bool = True, vibrato: float = 0.0
) -> Samples:
    """A melody over the scale, each beat another note, or the `chord` (semitones) upon it."""
    random = np.random.default_rng(7)
    out = np.zeros(round((duration_s + 4) * RATE_HZ))
    for start_s in np.arange(0, duration_s, beat_s):
        root_hz = 330 * 2 ** (random.choice(SCALE) / 12)
        for semitones in chord:
            tone = note(root_hz * 2 ** (semitones / 12), beat_s * 1.2, plucked=plucked, vibrato=vibrato)
            start = round(start_s * RATE_HZ)
            out[start : start + len(tone)] += tone
    out = out[: round(duration_s * RATE_HZ)]
    return pcm(out / np.abs(out).max() * 12_000)


def drums(duration_s: float) -> Samples:
    """Bass drum, snare and hi-hat, 110 beats a minute."""
    random = np.random.default_rng(3)
    out = np.zeros(round((duration_s + 1) * RATE_HZ))
    t_s = np.arange(round(0.15 * RATE_HZ)) / RATE_HZ
    for beat, start_s in enumerate(np.arange(0, duration_s, 60 / 110 / 2)):
        hit = 0.3 * np.diff(random.standard_normal(len(t_s)) * np.exp(-60 * t_s), prepend=0.0)
        if beat % 4 == 0:
            hit += 1.5 * np.sin(2 * np.pi * 55 * t_s) * np.exp(-15 * t_s)
        if beat % 4 == 2:
            hit += (0.6 * random.standard_normal(len(t_s)) + np.sin(2 * np.pi * 190 * t_s)) * np.exp(-20 * t_s)
        start = round(start_s * RATE_HZ)
        out[start : start + len(hit)] += hit
    out = out[: round(duration_s * RATE_HZ)]
    return pcm(out / np.abs(out).max() * 14_000)


def vowel(duration_s: float, pitch_hz: float = 180.0, *, vibrato: float = 0.0) -> Samples:
    """A sung "ah": pulses through four formants."""
    t_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    turns = np.cumsum(pitch_hz * (1 + vibrato * np.sin(2 * np.pi * 5.5 * t_s))) / RATE_HZ
    return shaped(np.diff(np.floor(turns), prepend=0.0))


def shaped(source: Sound) -> Samples:
    """Anything through the formants of an "ah"."""
    out = source
    for formant_hz, width_hz in ((700, 90), (1200, 100), (2600, 140), (3400, 200)):
        radius = np.exp(-np.pi * width_hz / RATE_HZ)
        out = lfilter([1.0], [1.0, -2 * radius * np.cos(2 * np.pi * formant_hz / RATE_HZ), radius**2], out)
    out = out - out.mean()
    return pcm(out / np.abs(out).max() * 12_000)


def typing(duration_s: float, keys_a_second: float = 6.0) -> Samples:
    """Clicks of a keyboard near the microphone."""
    random = np.random.default_rng(3)
    out = random.standard_normal(round((duration_s + 1) * RATE_HZ)) * 20
    band = butter(2, [800, 6000], "band", fs=RATE_HZ, output="sos")
    t_s, at_s = np.arange(round(0.06 * RATE_HZ)) / RATE_HZ, 0.0
    while at_s < duration_s:
        click = sosfilt(band, random.standard_normal(len(t_s)) * np.exp(-t_s / random.uniform(0.004, 0.015)))
        out[round(at_s * RATE_HZ) :][: len(click)] += click * random.uniform(2000, 8000)
        at_s += random.exponential(1 / keys_a_second) + 0.03
    return pcm(out[: round(duration_s * RATE_HZ)])


def rustle(duration_s: float, *, low_hz: float = 300, high_hz: float = 4000, swells_hz: float = 4.0) -> Samples:
    """Noise that swells and fades: paper, cloth, breath."""
    random = np.random.default_rng(4)
    count = round(duration_s * RATE_HZ)
    noise = sosfilt(butter(2, [low_hz, high_hz], "band", fs=RATE_HZ, output="sos"), random.standard_normal(count))
    swell = sosfilt(butter(2, swells_hz, fs=RATE_HZ, output="sos"), random.standard_normal(count))
    return pcm(noise * np.maximum(0, swell / swell.std() + 0.3) * 1500 + random.standard_normal(count) * 20)

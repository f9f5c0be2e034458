"""What a second of sound is worth: levels of speech and noise, what keeps it from being judged, and what can be judged.

A second is judged with up to REACH_S of the sound before it and nothing else, so that whoever hears it from there on
judges the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.signals import level, voicing
from inference.signals.level import FULL_SCALE
from proto.media import SAMPLE_RATE_HZ as RATE_HZ
from proto.observations import SoundProblem

REACH_S = 2.0
LOST_SHARE = 0.05
"""Of a second: one packet of 20 ms may be lost, not three."""
MUTED_SPREAD = 2
"""Digital silence: all samples within this of each other. A resampler or decoder may be off by one; the noise of the
quietest microphone is not that small for a second."""
QUIET_DBFS = -60.0
"""Speech is nominally at -26 dBFS (ITU-T P.56); at -60 it is down where microphones and their gain have their noise."""
CLIPPED_SHARE = 0.01
"""Of the samples: harmonics of the clipped peaks are no longer small."""
NOISY_DB = 6.0
"""Speech less than this above the noise."""
WHISPER_DB = 12.0
"""Speech less than this above the noise is not compared with a whisper: noise hides the pitch of a soft voice."""
WHISPER_S = 0.4
"""Less speech in a second cannot be told from a whisper: it may be one unvoiced syllable."""
LEVEL_S = 0.1
"""A level is told of at least this much sound."""

BLOCK = 512
"""Samples of the blocks whose quietest are the noise: 32 ms."""
NOISE_BLOCKS = 6
NEAR_BLOCKS = 3
"""So close to speech, 0.1 s, a block may still be it: soft ends, reverberation."""
QUIETEST_PCT = 10.0

MUSIC_S = 2.5
MUSIC_AT = 0.66
DRONE_AT = 0.9
"""Likeness of spectra (0-1) after 0.14 s from which it is music, and after 1.5 s from which nothing moves."""
_MUSIC_FRAME, _MUSIC_HOP = 1024, 768
_MUSIC_LAG, _DRONE_LAG = 3, 31
_MUSIC_BINS = slice(10, 192)
"""Of 15.6 Hz: from 160 Hz, above mains hum and its first harmonics, to 3 kHz."""
_SMOOTH = 8
_MUSIC_USED = _MUSIC_BINS.stop + _SMOOTH
_ACTIVE_DB = 25.0
_FAINTEST_DBFS = -70.0

_MUSIC_WINDOW = np.hanning(_MUSIC_FRAME)
_MUSIC_SCALE = 2 / (_MUSIC_FRAME * float(np.square(_MUSIC_WINDOW).sum()))
_POWER_FLOOR = 1e-10


class Flags(NamedTuple):
    """Of each sample: whether it is speech, and whether it may be (the detector is not sure, as with most whispers)."""

    speech: NDArray[np.bool_]
    maybe: NDArray[np.bool_]


class Figures(NamedTuple):
    """As in `SpeechHeard`: likelihood and share 0-1, levels in dBFS; None is "could not tell"."""

    whisper_likelihood: float | None = None
    voiced_share: float | None = None
    speech_dbfs: float | None = None
    noise_dbfs: float | None = None
    problems: tuple[SoundProblem, ...] = ()


def judge(
    samples: NDArray[np.int16], flags: Flags, before: NDArray[np.int16], *, lost_s: float, duration_s: float
) -> Figures:
    """Figures of one second: its `samples` at 16 kHz with their flags, and the sound just `before` them.

    `lost_s` of its `duration_s` never arrived. Speech is what the detector says is speech; for a whisper, what may be
    speech counts as well, as the detector was not made for whispers. With any problem there is no likelihood.
    """
    lost: tuple[SoundProblem, ...] = ("lost",) if lost_s > LOST_SHARE * duration_s else ()
    if not len(samples):
        return Figures(problems=lost)
    if int(samples.max()) - int(samples.min()) <= MUTED_SPREAD:
        return Figures(problems=(*lost, "muted"))
    voice = flags.speech | flags.maybe
    speech_dbfs = _level(samples[flags.speech])
    noise_dbfs = _noise_dbfs(samples, voice, before)
    problems = lost + _problems(samples, speech_dbfs, noise_dbfs) + (("music",) if is_music(samples, before) else ())
    frames = voicing.analyse(samples, voice) if np.count_nonzero(voice) >= LEVEL_S * RATE_HZ else None
    voiced = likelihood = None
    if frames is not None and "music" not in problems and "noisy" not in problems:
        voiced = voicing.voiced_share(frames.of(flags.speech[frames.middle]))
    if frames is not None and not problems and _can_be_whisper(samples[voice], noise_dbfs):
        likelihood = voicing.whisper_likelihood(frames.of(voice[frames.middle]))
    return Figures(likelihood, voiced, speech_dbfs, noise_dbfs, problems)


def is_music(samples: NDArray[np.int16], before: NDArray[np.int16]) -> bool:
    """Whether the sound of the last seconds has partials that stand still, as those of instruments do.

    Of frames of 64 ms the peaks of the spectrum (dB over the average of 250 Hz around, at most 20) are compared with
    those 144 ms later (cosine): voices glide, notes stay. After the frequency activation of Seyerlehner et al.,
    Automatic music detection in television productions (2007). The mean of frames within 25 dB of the loudest is 0.39
    for noise, 0.4 to 0.62 for speech and 0.67 to 0.97 for notes of a quarter second and longer. What is still the same
    1.5 s later, like hum or a test tone, is no music, nor are drums alone; less than MUSIC_S cannot be told.
    """
    sound = np.concatenate([before, samples])[-round((REACH_S + 1) * RATE_HZ) :].astype(np.float64) / FULL_SCALE
    if len(sound) < MUSIC_S * RATE_HZ:
        return False
    starts = np.arange(0, len(sound) - _MUSIC_FRAME + 1, _MUSIC_HOP)
    halves = np.fft.rfft(sound[starts[:, None] + np.arange(_MUSIC_FRAME)] * _MUSIC_WINDOW)[:, :_MUSIC_USED]
    spectra = (np.square(halves.real) + np.square(halves.imag)) * _MUSIC_SCALE
    levels = 10 * np.log10(spectra + _POWER_FLOOR / _MUSIC_FRAME)
    peaks = np.clip(levels[:, _MUSIC_BINS] - _around(levels), 0.0, 20.0)
    loud = 10 * np.log10(spectra[:, _MUSIC_BINS].sum(axis=1) + _POWER_FLOOR)
    active = loud > max(float(loud.max()) - _ACTIVE_DB, _FAINTEST_DBFS)
    both = active[:-_MUSIC_LAG] & active[_MUSIC_LAG:]
    if np.count_nonzero(both) < len(both) / 3:
        return False
    shapes = peaks / (np.sqrt((peaks**2).sum(axis=1, keepdims=True)) + 1e-9)
    stands = float(np.mean(_alike(shapes, _MUSIC_LAG)[both]))
    return stands >= MUSIC_AT and float(np.mean(_alike(shapes, _DRONE_LAG))) < DRONE_AT


def _alike(shapes: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """Cosine of each frame and the one `lag` later."""
    cosines: NDArray[np.float64] = (shapes[:-lag] * shapes[lag:]).sum(axis=1)
    return cosines


def _around(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The moving average over _SMOOTH bins on either side, for the bins that are looked at."""
    sums = np.cumsum(np.pad(levels, ((0, 0), (1, 0))), axis=1)
    first, last = _MUSIC_BINS.start, _MUSIC_BINS.stop
    averages: NDArray[np.float64] = (
        sums[:, first + _SMOOTH + 1 : last + _SMOOTH + 1] - sums[:, first - _SMOOTH : last - _SMOOTH]
    ) / (2 * _SMOOTH + 1)
    return averages


def _problems(
    samples: NDArray[np.int16], speech_dbfs: float | None, noise_dbfs: float | None
) -> tuple[SoundProblem, ...]:
    found: list[SoundProblem] = []
    if speech_dbfs is not None and speech_dbfs < QUIET_DBFS:
        found.append("quiet")
    if level.clipped_count(samples) > CLIPPED_SHARE * len(samples):
        found.append("clipped")
    if speech_dbfs is not None and noise_dbfs is not None and speech_dbfs - noise_dbfs < NOISY_DB:
        found.append("noisy")
    return tuple(found)


def _can_be_whisper(voice: NDArray[np.int16], noise_dbfs: float | None) -> bool:
    voice_dbfs = _level(voice)
    if voice_dbfs is None or noise_dbfs is None or len(voice) < WHISPER_S * RATE_HZ:
        return False
    return voice_dbfs >= QUIET_DBFS and voice_dbfs - noise_dbfs >= WHISPER_DB


def _level(samples: NDArray[np.int16]) -> float | None:
    if len(samples) < LEVEL_S * RATE_HZ:
        return None
    return level.dbfs(level.square_sum(samples), len(samples))


def _noise_dbfs(samples: NDArray[np.int16], voice: NDArray[np.bool_], before: NDArray[np.int16]) -> float | None:
    """Level of what is not near speech: the median of its blocks where the second has six (0.2 s), so that a click does
    not count; else that of the quietest tenth of all blocks back to REACH_S before, speech and all (after the minimum
    statistics of R. Martin, 2001, without their correction: about 1 dB low for steady noise).
    """
    whole = len(samples) - len(samples) % BLOCK
    if not whole:
        return None
    powers = _powers(samples[:whole])
    spoken = voice[:whole].reshape(-1, BLOCK).any(axis=1)
    near = np.convolve(spoken, np.ones(2 * NEAR_BLOCKS + 1))[NEAR_BLOCKS : NEAR_BLOCKS + len(spoken)]
    still = powers[near == 0]
    if len(still) >= NOISE_BLOCKS:
        power = float(np.median(still))
    else:
        # Cut where whole blocks end at the second, so that they are the same however much was heard before.
        powers = np.concatenate([_powers(before[len(before) % BLOCK :]), powers])
        if len(powers) < NOISE_BLOCKS:
            return None
        power = float(np.percentile(powers, QUIETEST_PCT))
    return level.dbfs(power, 1)


def _powers(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Mean square of each block, with full scale as 1."""
    scaled = samples.astype(np.float64).reshape(-1, BLOCK) / FULL_SCALE
    powers: NDArray[np.float64] = np.mean(scaled**2, axis=1)
    return powers

"""Mel spectrograms against numbers that librosa gave for the same sound."""

from __future__ import annotations

import numpy as np
import pytest

from inference.signals import mel

# By librosa 0.11.0: librosa.feature.melspectrogram(y=raised(sound() * gain), sr=16000, n_fft=400, hop_length=160,
# n_mels=40).T with Resemblyzer 0.1.4's normalize_volume(wav, -30, increase_only=True) for `raised`.
FRAMES = (0, 1, 80, 159, 160)
BANDS = (0, 3, 7, 12, 19, 25, 32, 39)
PLAIN = (
    (1.850331, 0.01019569, 0.003411897, 0.001555902, 0.001410998, 0.2350954, 7.520187e-05, 9.666069e-06),
    (2.806198, 0.0003834198, 0.0001968471, 0.0003843522, 0.001038421, 0.5466639, 0.001086941, 9.118405e-08),
    (0.0006803927, 0.003387454, 1.182593, 0.00340707, 0.00358146, 0.2111069, 0.0001009704, 1.853591e-05),
    (0.006971196, 0.004074336, 0.005635317, 3.325002, 0.001834072, 0.0004769392, 2.611829e-07, 1.62156e-08),
    (0.007406335, 0.009923022, 0.02515577, 1.551117, 0.004966723, 0.0006186786, 1.804937e-05, 1.90369e-06),
)
QUIET_SUM, PLAIN_SUM = 60.453213, 1371.1814


def sound() -> mel.Sound:
    """1.6 s: a rising tone, a high one that comes and goes, and a sweep over everything."""
    n = np.arange(mel.PARTIAL)
    low = 0.2 * np.sin(2 * np.pi * (120 + 400 * n / mel.PARTIAL) * n / 16_000)
    high = 0.1 * np.sin(2 * np.pi * 2500 * n / 16_000) * (n % 3200 < 1600)
    return np.asarray(low + high + 0.02 * np.cos(0.37 * n * n / 100), np.float32)


def test_power_of_each_band_is_librosas() -> None:
    found = mel.spectrogram(mel.raised(sound()))
    assert found.shape == (mel.FRAMES + 1, mel.BANDS)
    assert found.dtype == np.float32
    for frame, wanted in zip(FRAMES, PLAIN, strict=True):
        # To single precision of the frame's loudest band, as librosa works in it.
        assert found[frame, BANDS] == pytest.approx(wanted, rel=1e-4, abs=1e-6), frame
    assert float(found.sum()) == pytest.approx(PLAIN_SUM, rel=1e-5)


def test_quiet_sound_is_raised_and_loud_sound_left() -> None:
    quiet = mel.raised(sound() * np.float32(0.01))
    assert 10 * np.log10(np.mean(np.square(quiet))) == pytest.approx(mel.LEVEL_DBFS, abs=1e-3)
    assert float(mel.spectrogram(quiet).sum()) == pytest.approx(QUIET_SUM, rel=1e-5)
    assert np.array_equal(mel.raised(sound()), sound())


def test_silence_stays_silent() -> None:
    assert not mel.partial(np.zeros(mel.PARTIAL, np.float32)).any()
    assert not mel.partial(np.zeros(0, np.float32)).any()


@pytest.mark.parametrize("samples", [1, 8_000, mel.PARTIAL - 1, mel.PARTIAL, mel.PARTIAL + 5_000])
def test_a_partial_is_always_as_long(samples: int) -> None:
    long = np.resize(sound(), samples)
    found = mel.partial(long)
    assert found.shape == (mel.FRAMES, mel.BANDS)
    assert np.isfinite(found).all()


def test_short_sound_is_repeated_not_followed_by_silence() -> None:
    short = sound()[:16_000]
    repeated = np.concatenate([short, short])[: mel.PARTIAL]
    assert np.array_equal(mel.partial(short), mel.partial(repeated))


def test_a_tone_is_loudest_where_it_belongs() -> None:
    n = np.arange(mel.PARTIAL)
    loudest = [
        int(np.argmax(mel.spectrogram(np.asarray(0.3 * np.sin(2 * np.pi * hz * n / 16_000), np.float32))[80]))
        for hz in (200, 500, 1000, 2000, 4000, 7500)
    ]
    assert loudest == sorted(set(loudest))
    assert loudest[0] <= 2
    assert loudest[-1] == mel.BANDS - 1

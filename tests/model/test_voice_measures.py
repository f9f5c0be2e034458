"""Voices, whispers and music through the real detector: what is told of every second of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

from deploy.demo import voice
from inference.backends.silero import SileroBackend
from inference.signals.pauses import Second
from inference.speech.hearing import Heard, Hearing, SafePoint, UtteranceOpened
from inference.speech.timeline import Timeline
from inference.speech.utterance import EndpointTuning
from inference.speech.vad import VadTuning
from proto.errors import FeatureMissing
from proto.media import SAMPLE_RATE_HZ as RATE_HZ
from tests.support import altered
from tests.support.speech import Listener, Samples, messages, read

FIRES_AT, FIRES_AFTER = 0.7, 3
"""The standard policy's WHISPERING: so many seconds in a row."""
ANSWER = (
    "I worked as a software engineer in a small team for three years. We built a payment service, and my part was the "
    "database. The biggest challenge was to keep it running while we moved the customers to the new system."
)


@pytest.fixture(scope="module")
def silero() -> SileroBackend:
    backend = SileroBackend()
    backend.load()
    return backend


@pytest.fixture
def voices(media: Path) -> dict[str, Samples]:
    """Everything with ordinary speech in it: readers, a speech of 1961, a telephone call, synthetic voices."""
    audio = media / "audio"
    paths = [*audio.glob("speakers/*.flac"), *audio.glob("*.flac"), *audio.glob("*.wav"), *audio.glob("espeak/*.wav")]
    found = {path.stem: read(path) for path in sorted(paths) if path.stem[:2] not in ("08", "11", "12")}
    assert len(found) >= 20
    return found


def seconds_of(silero: SileroBackend, samples: Samples) -> list[Second]:
    listener = Listener(silero)
    listener.hear(messages(samples, "s"))
    return [heard.second for heard in listener.seconds]


def likelihoods(seconds: list[Second]) -> list[float]:
    found = [second.figures.whisper_likelihood for second in seconds]
    return [likelihood for likelihood in found if likelihood is not None]


def longest_row(seconds: list[Second]) -> int:
    row = best = 0
    for second in seconds:
        row = row + 1 if (second.figures.whisper_likelihood or 0.0) >= FIRES_AT else 0
        best = max(best, row)
    return best


def unchanged(samples: Samples) -> Samples:
    return samples


def quiet(samples: Samples) -> Samples:
    return altered.pcm(samples / 30.0)


def breathy(samples: Samples) -> Samples:
    """Half of the voice is breath."""
    return altered.pcm(samples * 0.5 + altered.whispered(samples, loudness=0.35).astype(float))


def in_hiss(samples: Samples) -> Samples:
    return altered.noisy(samples, 10.0)


def in_loud_traffic(samples: Samples) -> Samples:
    return altered.noisy(samples, 0.0, pink=True)


def clipped(samples: Samples) -> Samples:
    return altered.pcm(samples * 8.0)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "change",
    [
        unchanged,
        quiet,
        altered.telephone,
        altered.opus,
        breathy,
        altered.creaky,
        in_hiss,
        in_loud_traffic,
        clipped,
    ],
)
def test_no_voice_is_called_a_whisper(
    change: Callable[[Samples], Samples], voices: dict[str, Samples], silero: SileroBackend
) -> None:
    judged: list[float] = []
    for name, samples in voices.items():
        seconds = seconds_of(silero, change(samples))
        judged += likelihoods(seconds)
        assert longest_row(seconds) < FIRES_AFTER, name
        assert not any("music" in second.figures.problems for second in seconds), name
    high = sum(likelihood >= FIRES_AT for likelihood in judged)
    print(
        f"{change.__name__}: {len(judged)} seconds judged, {high} at {FIRES_AT} or more, {max(judged, default=0):.2f}"
    )
    assert np.mean([likelihood < 0.5 for likelihood in judged] or [True]) >= 0.97


def test_ordinary_speech_is_judged_and_has_a_pitch(voices: dict[str, Samples], silero: SileroBackend) -> None:
    seconds = [second for samples in voices.values() for second in seconds_of(silero, samples)]
    spoken = [second for second in seconds if second.speech_s >= 0.5]
    assert len(spoken) > 150
    assert np.mean([second.figures.whisper_likelihood is not None for second in spoken]) > 0.95
    shares = [second.figures.voiced_share for second in spoken if second.figures.voiced_share is not None]
    assert len(shares) > 0.95 * len(spoken)
    assert 0.75 < np.median(shares) < 0.98
    over_noise = [
        second.figures.speech_dbfs - second.figures.noise_dbfs
        for second in spoken
        if second.figures.speech_dbfs is not None and second.figures.noise_dbfs is not None
    ]
    assert min(over_noise) > 6
    assert {problem for second in spoken for problem in second.figures.problems} == set()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("line", [unchanged, altered.telephone, altered.opus])
def test_the_same_words_as_a_whisper_are_one(
    line: Callable[[Samples], Samples], voices: dict[str, Samples], silero: SileroBackend
) -> None:
    judged: list[float] = []
    long = found = 0
    for samples in voices.values():
        seconds = seconds_of(silero, line(altered.whispered(samples)))
        judged += likelihoods(seconds)
        if len(samples) >= 6 * RATE_HZ:
            long += 1
            found += longest_row(seconds) >= FIRES_AFTER
    high = np.mean([likelihood >= FIRES_AT for likelihood in judged])
    print(f"{line.__name__}: {len(judged)} seconds judged, {high:.2f} at {FIRES_AT} or more, {found} of {long} clips")
    assert len(judged) > 130
    assert high > 0.8
    assert found >= 0.85 * long


def test_a_whisper_that_the_detector_half_hears_is_judged_and_makes_no_words(
    media: Path, silero: SileroBackend
) -> None:
    samples = read(media / "audio" / "espeak" / "08_whisper_quiet.wav")
    seconds = seconds_of(silero, samples)
    unsure = [s for s in seconds if s.speech_s == 0.0 and s.figures.whisper_likelihood is not None]
    assert unsure
    assert min(likelihoods(seconds)) > FIRES_AT
    assert len(likelihoods(seconds)) >= 3
    assert sum(second.speech_s for second in seconds) < 2.5


@pytest.mark.parametrize(
    ("name", "whispers"),
    [(b"en-us+whisper", True), (b"en-us+whisperf", True), (b"en-us+croak", False), (b"en-us+grandma", False)],
)
def test_a_synthetic_voice_that_was_not_made_from_a_recording(
    name: bytes, whispers: bool, silero: SileroBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "VOICE", name)
    try:
        spoken = voice._Synthesiser().say(ANSWER)
    except FeatureMissing as error:
        pytest.skip(str(error))
    seconds = seconds_of(silero, altered.pcm(resample_poly(spoken.astype(float), RATE_HZ, voice.RATE_HZ)))
    judged = likelihoods(seconds)
    assert len(judged) >= 10
    if whispers:
        assert min(judged) > FIRES_AT
        assert longest_row(seconds) >= FIRES_AFTER
    else:
        assert max(judged) < 0.1


@pytest.mark.parametrize(
    "sound",
    [
        altered.music(10, 1.0, chord=(0, 4, 7, -12), plucked=False),
        altered.music(10, 0.5, chord=(0, 4, 7)),
        altered.music(10, 0.25),
        altered.music(10, 1.0, chord=(0, 3, 7), plucked=False, vibrato=0.01),
        altered.drums(10),
        altered.typing(10),
        altered.typing(10, keys_a_second=12.0),
        altered.rustle(10),
        altered.rustle(10, low_hz=1000, high_hz=7000, swells_hz=8.0),
        altered.rustle(10, low_hz=300, high_hz=2500, swells_hz=0.5),
    ],
    ids=["organ", "piano", "melody", "strings", "drums", "typing", "fast typing", "rustle", "paper", "breath"],
)
def test_music_and_the_noises_of_a_desk_are_neither_speech_nor_a_whisper(sound: Samples, silero: SileroBackend) -> None:
    listener = Listener(silero)
    listener.hear(messages(sound, "s"))
    assert not any(isinstance(event, UtteranceOpened) for event in listener.events)
    assert sum(heard.second.speech_s for heard in listener.seconds) < 0.2
    assert likelihoods([heard.second for heard in listener.seconds]) == []


@pytest.mark.parametrize("vibrato", [0.0, 0.03, 0.06])
def test_singing_is_at_worst_not_told(vibrato: float, silero: SileroBackend) -> None:
    seconds = seconds_of(silero, altered.vowel(6.0, 180, vibrato=vibrato))
    assert all(likelihood < 0.1 for likelihood in likelihoods(seconds))


def test_music_behind_a_voice_raises_nothing(media: Path, silero: SileroBackend) -> None:
    samples = read(media / "audio" / "espeak" / "10_long.wav")
    song = np.resize(altered.music(10, 0.5, chord=(0, 4, 7)), len(samples)).astype(float)
    told: list[int] = []
    for below_db in (20.0, 0.0):
        behind = song * altered.rms(samples) / 10 ** (below_db / 20) / altered.rms(song)
        seconds = seconds_of(silero, altered.pcm(samples + behind))
        assert all(likelihood < 0.1 for likelihood in likelihoods(seconds))
        told.append(sum("music" in second.figures.problems for second in seconds))
    assert told[0] == 0
    assert told[1] > 10


def test_a_successor_at_any_safe_point_tells_the_same_of_every_second(media: Path, silero: SileroBackend) -> None:
    """Voice, whisper, noise, music and a loss: the figures reach back no further than what a successor reads again."""
    clip = read(media / "audio" / "espeak" / "07_pause_3s.wav")
    room = np.random.default_rng(2).integers(-40, 41, 4 * RATE_HZ).astype(np.int16)
    song = altered.music(5, 0.5, chord=(0, 4, 7))
    sound = np.concatenate([clip, room, altered.whispered(clip), room, song, room, altered.noisy(clip, 5.0), room])
    audio = messages(sound, "s", t_s=0.3)
    lost = range(60, 66)
    numbered = [(seq, message) for seq, message in enumerate(audio, 1) if seq not in lost]

    def heard(safe: SafePoint | None) -> dict[int, Heard]:
        hearing, timeline = Hearing(silero, VadTuning(), EndpointTuning(), resume=safe), Timeline()
        events = [
            event
            for seq, message in numbered
            if safe is None or seq >= safe.seq
            for stretch in timeline.take(message, seq)
            for event in hearing.take(stretch)
        ]
        return {event.second.index: event for event in events if isinstance(event, Heard)}

    alone = heard(None)
    figures = [event.second.figures for event in alone.values()]
    assert {"music", "lost"} <= {problem for found in figures for problem in found.problems}
    assert any((found.whisper_likelihood or 0.0) > FIRES_AT for found in figures)
    points = {event.safe for event in alone.values() if event.safe is not None and event.safe.t_s > 1.0}
    assert len(points) > 6
    for safe in points:
        again = heard(safe)
        whole = [index for index in alone if index >= safe.t_s]
        assert [again[index].second.figures for index in whole] == [alone[index].second.figures for index in whole]

"""Ten minutes of speech through the whole way from messages to words: no drift, no growth, few errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from bench.transcripts import word_errors
from inference.backends.silero import SileroBackend
from inference.backends.whisper import WhisperBackend
from inference.speech.hearing import Event, UtteranceClosed
from inference.speech.transcriber import CONTEXT_WORDS, KEPT_WORDS
from proto.media import SAMPLE_RATE_HZ, Audio, AudioGap
from proto.observations import Word
from tests.support.speech import TEST_MODEL, Clip, Listener, aligned, joined, load, messages

NAMES = ("01_short_us", "05_dialogue_a", "04_random_words", "02_short_gb", "10_long", "07_pause_3s")
TEN_MINUTES_S = 600.0
WINDOW_S = 12.0
SLACK_S = 1.0


@pytest.fixture(scope="module")
def silero() -> SileroBackend:
    backend = SileroBackend()
    backend.load()
    return backend


@pytest.fixture
def whisper(models_dir: Path) -> WhisperBackend:
    backend = WhisperBackend(
        models_dir / TEST_MODEL, name=TEST_MODEL, device="cpu", compute_type="int8", threads=1, fitted=True
    )
    backend.load()
    return backend


@pytest.fixture
def clips(media: Path) -> dict[str, Clip]:
    return load(media)


@dataclass
class Held:
    """The most that was held of each thing."""

    sound_s: float = 0.0
    recent_s: float = 0.0
    words: int = 0
    context: int = 0
    spans: list[int] = field(default_factory=list, repr=False)


class Watched(Listener):
    """Notes after each event what is held, and keeps no event."""

    held: Held

    def follow(self, event: Event) -> None:
        super().follow(event)
        self.events.clear()
        transcriber = self.transcriber
        held = self.__dict__.setdefault("held", Held())
        held.sound_s = max(held.sound_s, transcriber._sound.duration_s)
        held.recent_s = max(held.recent_s, sum(window.duration_s for window in self.hearing._recent))
        held.words = max(held.words, len(transcriber._agreement.committed))
        held.context = max(held.context, len(transcriber._recent))
        held.spans.append(len(transcriber._spans))


def breathless(clip: Clip, longest_s: float = 0.2) -> Clip:
    """The same words with no pause longer than that, also not at the ends."""
    cuts: list[tuple[float, float]] = []
    ends_s = [0.0, *(word.end_s for word in clip.words)]
    starts_s = [*(word.start_s for word in clip.words), clip.duration_s]
    for from_s, until_s in zip(ends_s, starts_s, strict=True):
        if until_s - from_s > longest_s:
            cuts.append((from_s + longest_s / 2, until_s - longest_s / 2))

    def moved_s(t_s: float) -> float:
        return t_s - sum(until_s - from_s for from_s, until_s in cuts if until_s <= t_s + 1e-6)

    kept = np.ones(len(clip.samples), bool)
    for from_s, until_s in cuts:
        kept[round(from_s * SAMPLE_RATE_HZ) : round(until_s * SAMPLE_RATE_HZ)] = False
    words = tuple(
        Word(text=word.text, start_s=moved_s(word.start_s), end_s=moved_s(word.end_s), probability=1.0)
        for word in clip.words
    )
    return Clip(clip.name, clip.samples[kept], words)


def for_ten_minutes(clips: list[Clip], pause_s: float) -> Clip:
    once = joined(clips, pause_s)
    return joined(clips * (1 + int(TEN_MINUTES_S / once.duration_s)), pause_s)


def minute_by_minute(said: Sequence[Word], heard: Sequence[Word]) -> list[tuple[Word, Word]]:
    """Pairs of the same word. The text comes round and round, so only what lies in the same minute is compared."""
    found: list[tuple[Word, Word]] = []
    for minute in range(int(said[-1].end_s // 60) + 1):
        here = [word for word in said if word.start_s // 60 == minute]
        found += aligned(here, [word for word in heard if -1.0 <= word.start_s - 60 * minute < 61.0])
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("style", ["in sentences", "without a pause"])
def test_ten_minutes_without_drift_or_growth(
    style: str, clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    turn = [clips[name] for name in NAMES]
    if style == "in sentences":
        clip = for_ten_minutes(turn, pause_s=1.0)
    else:
        clip = for_ten_minutes([breathless(one) for one in turn], pause_s=0.0)
    assert clip.duration_s >= TEN_MINUTES_S
    listener = Watched(silero, whisper)
    listener.hear(messages(clip.samples, "s"))

    said, heard = clip.words, listener.words
    errors = word_errors([word.text for word in said], [word.text for word in heard])
    off_s = np.array([other.start_s - word.start_s for word, other in minute_by_minute(said, heard)])
    assert len(off_s) > 0.9 * len(said)
    quarter = len(off_s) // 4
    drift_s = np.median(off_s[-quarter:]) - np.median(off_s[:quarter])
    print(
        f"{clip.duration_s:.0f} s, WER {errors / len(said):.4f} of {len(said)}, "
        f"start off by {np.median(np.abs(off_s)):.3f} s, drift {drift_s:.4f} s, held {listener.held}"
    )
    assert errors / len(said) <= (0.03 if style == "in sentences" else 0.08)
    assert np.median(np.abs(off_s)) < 0.04
    assert abs(drift_s) < 0.02
    starts_s = [word.start_s for word in heard]
    assert starts_s == sorted(starts_s)

    held = listener.held
    assert held.sound_s <= WINDOW_S + SLACK_S
    assert held.recent_s <= 3.0 + SLACK_S
    assert held.words <= KEPT_WORDS + 60
    assert held.context <= CONTEXT_WORDS
    half = len(held.spans) // 2
    assert max(held.spans[half:]) <= max(held.spans[:half]) + 5


def test_words_come_while_a_long_talk_goes_on(
    clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    """An utterance that does not end commits its words all the same, a few seconds after they are said."""
    clip = joined([breathless(clips[name]) for name in NAMES], pause_s=0.0)
    listener = Listener(silero, whisper)
    listener.hear(messages(clip.samples, "s"))
    assert sum(isinstance(event, UtteranceClosed) for event in listener.events) <= 2
    late_s = [outcome.heard_until_s - word.end_s for outcome in listener.outcomes for word in outcome.words]
    assert np.percentile(late_s, 95) < 3.5


def test_interruptions_cost_what_was_lost_and_no_more(
    clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    """Every ten seconds a second of sound is lost."""
    clip = joined([clips[name] for name in NAMES], pause_s=0.6)
    whole = messages(clip.samples, "s")
    kept: list[Audio] = []
    lost: list[tuple[float, float]] = []
    for index, message in enumerate(whole):
        place = index % 50
        if place < 45:
            kept.append(message)
        elif place == 45 and index + 5 < len(whole):
            kept.append(AudioGap("s", "peer-1", index, message.t_s, 1.0, "loss"))
            lost.append((message.t_s, message.t_s + 1.0))
    listener = Listener(silero, whisper)
    listener.hear(kept)
    assert len(lost) >= 5
    near = [word for word in clip.words if not _touches(word.start_s, word.end_s, lost, 0.5)]
    pairs = aligned(near, [word for word in listener.words if not _touches(word.start_s, word.end_s, lost, 0.5)])
    assert len(pairs) / len(near) >= 0.93
    assert max(abs(word.start_s - other.start_s) for word, other in pairs) < 0.6
    assert not [word for word in listener.words if any(a + 0.4 < word.start_s < b - 0.4 for a, b in lost)]


def _touches(start_s: float, end_s: float, stretches: list[tuple[float, float]], slack_s: float) -> bool:
    return any(start_s < until_s + slack_s and end_s > from_s - slack_s for from_s, until_s in stretches)


TIMES_S = np.arange(SAMPLE_RATE_HZ * 8) / SAMPLE_RATE_HZ


def tone(frequency_hz: float, harmonics: int) -> np.ndarray:
    return sum(np.sin(2 * np.pi * frequency_hz * h * TIMES_S) / h for h in range(1, harmonics + 1))


def chords(*roots_hz: float) -> np.ndarray:
    """A chord a second, struck and dying away, as a piano's."""
    struck = np.exp(-1.5 * (TIMES_S % 1.0))
    found = np.zeros_like(TIMES_S)
    for second in range(8):
        root_hz = roots_hz[second % len(roots_hz)]
        chord = sum(tone(root_hz * step, 4) for step in (1.0, 1.26, 1.5))
        found += np.where(TIMES_S.astype(int) == second, chord * struck, 0.0)
    return found / np.abs(found).max()


def noises() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    white = rng.normal(0.0, 1.0, len(TIMES_S))
    return {
        "silence": np.zeros_like(TIMES_S),
        "faint noise": 0.003 * white,
        "loud noise": 0.1 * white,
        "mains hum": 0.2 * tone(50.0, 5),
        "a fan": 0.2 * tone(120.0, 2) + 0.01 * white,
        "clicks": 0.8 * (rng.random(len(TIMES_S)) < 0.0005),
        "chords": 0.5 * chords(220.0, 174.6, 261.6, 196.0),
        "quiet chords": 0.05 * chords(130.8, 196.0),
    }


@pytest.mark.parametrize("name", list(noises()))
def test_what_nobody_said_is_no_words(name: str, silero: SileroBackend, whisper: WhisperBackend) -> None:
    samples = (noises()[name] * 32767).clip(-32768, 32767).astype(np.int16)
    listener = Listener(silero, whisper, context=True, hotwords=("software", "engineer"))
    listener.hear(messages(samples, "s"))
    assert listener.words == []
    assert len(listener.seconds) == 8

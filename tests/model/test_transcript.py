"""Real speech recognition on recordings whose words and times are known, without a bus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.transcripts import word_errors
from inference.backends.silero import SileroBackend
from inference.backends.whisper import WhisperBackend
from inference.speech.hearing import UtteranceClosed, UtteranceOpened
from inference.speech.transcriber import Memory, Transcriber
from proto.media import AudioChunk, AudioGap
from tests.support.relay import Relay
from tests.support.speech import TEST_MODEL, Clip, Listener, aligned, joined, load, messages, read

CLEAR = ("01_short_us", "02_short_gb", "04_random_words", "05_dialogue_a", "07_pause_3s", "10_long")


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


def test_words_and_their_times(clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend) -> None:
    errors = count = 0
    starts_s, ends_s = [], []
    for name in CLEAR:
        listener = Listener(silero, whisper)
        listener.hear(messages(clips[name].samples, "s", t_s=100.0))
        said = clips[name].words
        count += len(said)
        errors += word_errors([word.text for word in said], [word.text for word in listener.words])
        for truth, heard in aligned(said, listener.words):
            starts_s.append(abs(heard.start_s - 100.0 - truth.start_s))
            ends_s.append(abs(heard.end_s - 100.0 - truth.end_s))
    print(f"WER {errors / count:.3f} of {count}, start {np.mean(starts_s):.3f} s, end {np.mean(ends_s):.3f} s")
    assert errors / count <= 0.05
    assert np.mean(starts_s) < 0.05
    assert np.percentile(starts_s, 95) < 0.15
    assert np.mean(ends_s) < 0.06


@pytest.mark.parametrize("name", ["11_silence", "12_noise"])
def test_silence_and_noise_are_no_words(
    name: str, clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    listener = Listener(silero, whisper)
    listener.hear(messages(clips[name].samples, "s"))
    assert listener.words == []
    assert sum(event.second.speech_s for event in listener.seconds) == 0.0
    assert len(listener.seconds) == 6


def test_a_pause_of_three_seconds_is_measured(clips: dict[str, Clip], silero: SileroBackend) -> None:
    clip = clips["07_pause_3s"]
    truth_s = max(b.start_s - a.end_s for a, b in zip(clip.words, clip.words[1:], strict=False))
    listener = Listener(silero)
    listener.hear(messages(clip.samples, "s"))
    assert max(event.second.ended_pause_s for event in listener.seconds) == pytest.approx(truth_s, abs=0.2)


def test_how_much_of_a_recording_is_speech(media: Path, silero: SileroBackend) -> None:
    listener = Listener(silero)
    listener.hear(messages(read(media / "audio" / "jfk.flac"), "s"))
    shares = [event.second.speech_s / event.second.duration_s for event in listener.seconds]
    assert 0.6 < np.mean(shares) < 0.95
    assert all(event.second.level_dbfs < 0 for event in listener.seconds)


def test_real_voices_are_speech(media: Path, silero: SileroBackend) -> None:
    paths = sorted((media / "audio" / "speakers").glob("*.flac"))
    assert len(paths) == 12
    for path in paths[::2]:
        listener = Listener(silero)
        samples = read(path)
        listener.hear(messages(samples, "s"))
        assert sum(event.second.speech_s for event in listener.seconds) > 0.5 * len(samples) / 16_000, path.name
        assert any(isinstance(event, UtteranceOpened) for event in listener.events), path.name


def test_committed_words_never_change_and_come_before_the_utterance_ends(
    clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    listener = Listener(silero, whisper)
    listener.hear(messages(clips["10_long"].samples, "s"))
    early = [outcome for outcome in listener.outcomes if outcome.words and not outcome.final]
    assert sum(len(outcome.words) for outcome in early) > 0.8 * len(listener.words)
    delays_s = [outcome.heard_until_s - word.end_s for outcome in early for word in outcome.words]
    assert max(delays_s) < 3.5
    ends_s = [word.end_s for word in listener.words]
    assert ends_s == sorted(ends_s)


def test_no_decode_sees_more_than_the_window(
    clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    decoded_s: list[float] = []

    class Measured(WhisperBackend):
        def run(self, batch):
            decoded_s.extend(len(passage.samples) / 16_000 for passage in batch)
            return whisper.run(batch)

    measured = Measured(Path(), name="measured")
    clip = joined([clips["10_long"], clips["04_random_words"], clips["05_dialogue_a"]], pause_s=0.3)
    listener = Listener(silero, measured)
    listener.hear(messages(clip.samples, "s"))
    assert max(decoded_s) <= 12.1
    said = [word.text for word in clip.words]
    assert word_errors(said, [word.text for word in listener.words]) / len(said) <= 0.08


def test_lost_sound_costs_the_words_in_it_and_shifts_none(
    clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    clip = clips["07_pause_3s"]
    sound = messages(clip.samples, "s")
    first, last = 4, 9
    gap = AudioGap("s", "peer-1", first, sound[first].t_s, (last - first) * 0.2, "loss")
    listener = Listener(silero, whisper)
    listener.hear([*sound[:first], gap, *sound[last:]])
    assert sum(event.second.gap_s for event in listener.seconds) == pytest.approx(1.0)
    lost = (first * 0.2, last * 0.2)
    assert not [word for word in listener.words if lost[0] + 0.3 < word.start_s < lost[1] - 0.3]
    later = [word for word in clip.words if word.start_s > 3.0]
    pairs = aligned(later, [word for word in listener.words if word.start_s > 3.0])
    assert len(pairs) >= len(later) - 1
    assert max(abs(a.start_s - b.start_s) for a, b in pairs) < 0.2


@pytest.mark.timeout(240)
@pytest.mark.parametrize("context", [False, True], ids=["", "with context"])
def test_a_successor_at_any_moment_writes_the_same_transcript(
    context: bool, clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    clip = joined([clips["07_pause_3s"], clips["02_short_gb"]])
    audio = messages(clip.samples, "s")
    alone = Relay(silero, whisper, audio, context=context)
    alone.work(len(audio))
    assert len(alone.commits) > 5
    for killed_after in range(3, len(audio), 7):
        relay = Relay(silero, whisper, audio, context=context)
        relay.work(killed_after)
        relay.work(len(audio))
        assert relay.commits == alone.commits, f"killed after message {killed_after}"
        assert sorted(relay.seconds) == sorted(alone.seconds)
        for index, heard in alone.seconds.items():
            again = relay.seconds[index].second
            if again.duration_s == pytest.approx(heard.second.duration_s):
                assert again.speech_s == pytest.approx(heard.second.speech_s, abs=1e-6)
                assert again.figures == heard.second.figures, f"second {index}"


def test_many_successors_in_one_sentence(
    clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    audio = messages(clips["10_long"].samples, "s")
    alone = Relay(silero, whisper, audio)
    alone.work(len(audio))
    relay = Relay(silero, whisper, audio)
    for until in (*range(9, len(audio), 9), len(audio)):
        relay.work(until)
    assert relay.commits == alone.commits


def test_a_long_silence_is_not_read_again(silero: SileroBackend, whisper: WhisperBackend) -> None:
    audio = messages(np.zeros(16_000 * 60, np.int16), "s", end=False)
    relay = Relay(silero, whisper, audio)
    relay.work(len(audio))
    relay.read_again = 0
    relay.work(len(audio))
    assert relay.read_again < 50


def test_utterances_open_and_close_in_turn(clips: dict[str, Clip], silero: SileroBackend) -> None:
    clip = joined([clips["01_short_us"], clips["02_short_gb"], clips["04_random_words"]])
    listener = Listener(silero)
    listener.hear(messages(clip.samples, "s"))
    turns = [type(event) for event in listener.events if isinstance(event, UtteranceOpened | UtteranceClosed)]
    assert turns == [UtteranceOpened, UtteranceClosed] * (len(turns) // 2)
    assert len(turns) >= 6


def test_memory_is_bounded_for_a_talker_without_end(
    clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    """Ten minutes of speech, pauses and all: what a session holds does not grow."""
    clip = clips["04_random_words"]
    listener = Listener(silero)
    transcriber = Transcriber(step_s=1.0, window_s=12.0, memory=Memory())
    held: list[int] = []
    t_s = 0.0
    for turn in range(80):
        for seq, chunk in enumerate(messages(clip.samples, "s", t_s=t_s, end=False)):
            assert isinstance(chunk, AudioChunk)
            for stretch in listener.timeline.take(chunk, turn * 1000 + seq):
                for event in listener.hearing.take(stretch):
                    if (request := transcriber.take(event)) is not None:
                        transcriber.apply(request, None)
        t_s += clip.duration_s
        held.append(len(transcriber._sound.samples()) + sum(len(w.samples) for w in listener.hearing._recent))
    assert max(held) <= 17 * 16_000

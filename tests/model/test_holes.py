"""Sound with holes, heard by the real detector: lost packets cost what was in them, silence left out is silence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.transcripts import word_errors
from inference.backends.silero import SileroBackend
from inference.backends.whisper import WhisperBackend
from inference.signals.pauses import Second
from inference.speech.hearing import BRIDGED_GAP_S, IDLE_EVERY_S, UtteranceClosed, UtteranceOpened, UtteranceSound
from inference.speech.timeline import Gap
from inference.speech.vad import SpeechDetector, VadTuning, Window
from proto.media import Audio, AudioGap
from tests.support.altered import noisy
from tests.support.holes import PACKET_S, Slot, arrived, leave_out_silence, lose, missing_s, slots
from tests.support.relay import Ears, Relay
from tests.support.speech import TEST_MODEL, Clip, Listener, joined, load, messages, read

SEEDS = (1, 2, 3)
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def silero() -> SileroBackend:
    backend = SileroBackend()
    backend.load()
    return backend


@pytest.fixture
def whisper(models_dir: Path) -> WhisperBackend:
    backend = WhisperBackend(models_dir / TEST_MODEL, name=TEST_MODEL, device="cpu", compute_type="int8", threads=1)
    backend.load()
    return backend


@pytest.fixture
def clips(media: Path) -> dict[str, Clip]:
    return load(media)


def listen(silero: SileroBackend, audio: Sequence[Audio], whisper: WhisperBackend | None = None) -> Listener:
    listener = Listener(silero, whisper)
    listener.hear(audio)
    return listener


def seconds_of(listener: Listener) -> list[Second]:
    return [heard.second for heard in listener.seconds]


def total(seconds: Sequence[Second], field: str) -> float:
    return float(sum(getattr(second, field) for second in seconds))


def true_pause_s(clip: Clip) -> float:
    return max(b.start_s - a.end_s for a, b in zip(clip.words, clip.words[1:], strict=False))


def spoken_s(silero: SileroBackend, clip: Clip, came: Sequence[Slot]) -> float:
    """How much of the speech that is heard in the whole clip arrived."""
    listener = listen(silero, messages(clip.samples, "s"))
    speech = np.zeros(len(clip.samples), bool)
    for event in listener.events:
        windows = event.windows if isinstance(event, UtteranceOpened) else ()
        windows = (event.window,) if isinstance(event, UtteranceSound) else windows
        for window in windows:
            at = round(window.t_s * RATE_HZ)
            speech[at : at + len(window.samples)] |= window.speech
    step = round(PACKET_S * RATE_HZ)
    arrived_at = [number for number, slot in enumerate(came) if not isinstance(slot, str)]
    return sum(float(speech[at * step : (at + 1) * step].sum()) for at in arrived_at) / RATE_HZ


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    # Of 153 words in all; where each packet lost cut the sound in two, 16, 38 and 119 of them were wrong.
    ("share", "wrong_at_most"),
    [(0.0, 0), (0.1, 8), (0.2, 26), (0.3, 45)],
)
def test_packets_lost_cost_no_more_than_what_was_in_them(
    share: float, wrong_at_most: int, clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    clip = clips["10_long"]
    said = [word.text for word in clip.words]
    wrong = 0
    for seed in SEEDS if share else SEEDS[:1]:
        came = lose(slots(clip.samples), share, seed)
        listener = listen(silero, arrived(came, "s"), whisper)
        seconds, heard = seconds_of(listener), [word.text for word in listener.words]
        speech_s = total(seconds, "speech_s")
        assert total(seconds, "gap_s") == pytest.approx(missing_s(came), abs=1e-6)
        assert total(seconds, "duration_s") == pytest.approx(clip.duration_s, abs=1e-3)
        assert 0.9 < speech_s / spoken_s(silero, clip, came) < 1.15
        errors = word_errors(said, heard)
        print(f"{share:.0%} lost, seed {seed}: speech {speech_s:.2f} s, {errors} of {len(said)} words wrong")
        wrong += errors
        assert len(" ".join(heard)) <= len(" ".join(said))
    assert wrong <= wrong_at_most


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_pause_lasts_as_long_with_packets_lost(
    share: float, seed: int, clips: dict[str, Clip], silero: SileroBackend
) -> None:
    clip = clips["07_pause_3s"]
    seconds = seconds_of(listen(silero, arrived(lose(slots(clip.samples), share, seed), "s")))
    assert max(second.ended_pause_s for second in seconds) == pytest.approx(true_pause_s(clip), abs=0.2)
    assert max(second.pause_s for second in seconds) > true_pause_s(clip) - 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_silence_that_is_left_out_is_a_pause(share: float, clips: dict[str, Clip], silero: SileroBackend) -> None:
    """As long as it was, with an utterance that ends in it and nothing that is called lost because of it."""
    clip = clips["07_pause_3s"]
    whole = leave_out_silence(clip.samples)
    assert missing_s(whole) > 3.0
    came = lose(whole, share)
    listener = listen(silero, arrived(came, "s"))
    seconds = seconds_of(listener)
    assert max(second.ended_pause_s for second in seconds) == pytest.approx(true_pause_s(clip), abs=0.2)
    turns = [event for event in listener.events if isinstance(event, UtteranceOpened | UtteranceClosed)]
    assert [type(turn) for turn in turns] == [UtteranceOpened, UtteranceClosed] * 2
    if not share:
        assert not [second for second in seconds if "lost" in second.figures.problems]
    # Before the first sound there is nothing to miss.
    first = next(number for number, slot in enumerate(came) if not isinstance(slot, str))
    assert total(seconds, "gap_s") == pytest.approx(missing_s(came[first:]), abs=1e-6)


def test_words_around_silence_that_is_left_out(
    clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    clip = joined([clips["07_pause_3s"], clips["02_short_gb"]])
    listener = listen(silero, arrived(leave_out_silence(clip.samples), "s"), whisper)
    assert word_errors([word.text for word in clip.words], [word.text for word in listener.words]) <= 1


def test_an_utterance_is_over_while_its_silence_is_left_out(clips: dict[str, Clip], silero: SileroBackend) -> None:
    """It does not wait for the sound to come back: two pauses of 380 ms are more silence than an utterance bears."""
    ones = clips["01_short_us"]
    speech = slots(ones.samples[: round((ones.words[-1].end_s + 0.2) * RATE_HZ)])
    audio = arrived([*speech, *["pause"] * 19, np.zeros(320, np.int16), *["pause"] * 19, *speech], "s")
    until = max(number for number, message in enumerate(audio, 1) if isinstance(message, AudioGap))
    for count, closed in ((until - 1, False), (until, True)):
        events = listen(silero, audio[:count]).events
        assert any(isinstance(event, UtteranceClosed) for event in events) == closed


def test_real_voices_with_packets_lost_are_as_much_speech(media: Path, silero: SileroBackend) -> None:
    paths = sorted((media / "audio" / "speakers").glob("*.flac"))
    assert len(paths) == 12
    for path in paths[::3]:
        samples = read(path)
        whole_s = total(seconds_of(listen(silero, messages(samples, "s"))), "speech_s")
        came = lose(slots(samples), 0.1)
        share = 1 - missing_s(came) / (len(samples) / RATE_HZ)
        speech_s = total(seconds_of(listen(silero, arrived(came, "s"))), "speech_s")
        assert 0.9 < speech_s / (whole_s * share) < 1.1, path.name


def test_a_long_loss_and_a_jump_end_what_is_under_way(clips: dict[str, Clip], silero: SileroBackend) -> None:
    whole = slots(clips["10_long"].samples)
    packets = round(BRIDGED_GAP_S / PACKET_S)
    holes: list[tuple[list[Slot], int]] = [
        (["loss"] * packets, 0),
        (["loss"] * (packets + 1), 1),
        (["jump"] * 3, 1),
    ]
    for hole, cuts in holes:
        came = [*whole[:100], *hole, *whole[100 + len(hole) :]]
        events = listen(silero, arrived(came, "s")).events
        closed_s = [event.speech_end_s for event in events if isinstance(event, UtteranceClosed)]
        assert len([end_s for end_s in closed_s if abs(end_s - 2.0) < 0.2]) == cuts


def test_losses_in_a_row_are_one_loss(clips: dict[str, Clip], silero: SileroBackend) -> None:
    """Told as many short gaps they end what is under way like a long one."""
    sound = messages(clips["10_long"].samples, "s")
    gaps = [AudioGap("s", "peer-1", 10 + one, 2.0 + 0.2 * one, 0.2, "loss") for one in range(3)]
    closed_s = [
        event.speech_end_s
        for event in listen(silero, [*sound[:10], *gaps, *sound[13:]]).events
        if isinstance(event, UtteranceClosed)
    ]
    assert closed_s[0] == pytest.approx(2.0, abs=0.2)


def test_a_gap_comes_in_order_and_cuts_a_window(silero: SileroBackend) -> None:
    detector = SpeechDetector(silero, VadTuning())
    gap = Gap(1, 5.05, 0.02)
    assert detector.gap(Gap(1, 4.9, 0.1)) == [Gap(1, 4.9, 0.1)]
    assert detector.push(5.0, np.zeros(800, np.int16)) == []
    assert detector.gap(gap) == []
    judged = detector.push(5.07, np.zeros(2000, np.int16))
    assert judged.index(gap) == 2
    windows = [one for one in judged if isinstance(one, Window)]
    assert [len(window.samples) for window in windows] == [512, 288, 224, 512, 512, 512]
    assert [round(window.t_s, 3) for window in windows[1:4]] == [5.032, 5.07, 5.084]
    (rest,) = detector.flush()
    assert (round(rest.t_s, 4), len(rest.samples) if isinstance(rest, Window) else 0) == (5.18, 240)


def same_whoever_heard_it(silero: SileroBackend, audio: Sequence[Audio], step: int) -> Ears:
    """Kill the worker after every `step` messages: utterances and whole seconds are those of one worker alone."""
    alone = Ears(silero, audio)
    alone.work(len(audio))
    assert alone.turns
    for killed_after in range(3, len(audio), step):
        relay = Ears(silero, audio)
        relay.work(killed_after)
        relay.work(len(audio))
        assert relay.turns == alone.turns, f"killed after message {killed_after}"
        assert sorted(relay.seconds) == sorted(alone.seconds)
        fields = ["speech_s", "gap_s", "level_dbfs"] + (["pause_s", "ended_pause_s"] if relay.pause_known else [])
        for index, heard in alone.seconds.items():
            one, other = heard.second, relay.seconds[index].second
            # The second in which the successor took over may be told from there on only.
            if one.duration_s != pytest.approx(other.duration_s):
                continue
            where = f"killed after message {killed_after}, second {index}"
            assert one.figures == other.figures, where
            for field in fields:
                assert getattr(one, field) == pytest.approx(getattr(other, field), abs=1e-6), f"{where}: {field}"
    return alone


@pytest.mark.timeout(240)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_a_successor_hears_the_same_across_silence_that_is_left_out(
    share: float, clips: dict[str, Clip], silero: SileroBackend
) -> None:
    clip = joined([clips["07_pause_3s"], clips["02_short_gb"]], pause_s=4.0)
    same_whoever_heard_it(silero, arrived(lose(leave_out_silence(clip.samples), share), "s"), 4 if share else 2)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_successor_hears_the_same_across_holes_of_every_kind(
    seed: int, clips: dict[str, Clip], silero: SileroBackend
) -> None:
    """Noise behind the voice, so that what the detector knows of it matters."""
    clip = joined([clips["07_pause_3s"], clips["01_short_us"], clips["02_short_gb"]], pause_s=6.0)
    came = slots(noisy(clip.samples, 20))
    chance = random.Random(seed)
    for reason in ("loss", "pause", "jump") * 4:
        at, count = chance.randrange(5, len(came) - 120), chance.choice((1, 2, 5, 15, 25, 26, 60, 100))
        came[at : at + count] = [reason] * count
    same_whoever_heard_it(silero, arrived(lose(came, 0.1, seed), "s"), 9)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["packets lost", "silence left out"])
def test_a_successor_at_any_moment_writes_the_same_transcript_of_sound_with_holes(
    kind: str, clips: dict[str, Clip], silero: SileroBackend, whisper: WhisperBackend
) -> None:
    clip = joined([clips["07_pause_3s"], clips["02_short_gb"]])
    came = lose(slots(clip.samples), 0.1) if kind == "packets lost" else leave_out_silence(clip.samples)
    audio = arrived(came, "s")
    alone = Relay(silero, whisper, audio)
    alone.work(len(audio))
    assert len(alone.commits) > 5
    for killed_after in range(3, len(audio), 7 if kind == "silence left out" else 13):
        relay = Relay(silero, whisper, audio)
        relay.work(killed_after)
        relay.work(len(audio))
        assert relay.commits == alone.commits, f"killed after message {killed_after}"
        assert sorted(relay.seconds) == sorted(alone.seconds)
        for index, heard in alone.seconds.items():
            again = relay.seconds[index].second
            if again.duration_s == pytest.approx(heard.second.duration_s):
                assert again.speech_s == pytest.approx(heard.second.speech_s, abs=1e-6)
                assert again.figures == heard.second.figures, f"second {index}"


def test_a_long_silence_that_is_left_out_is_not_read_again(clips: dict[str, Clip], silero: SileroBackend) -> None:
    noise = [np.zeros(320, np.int16), *["pause"] * 19]
    audio = arrived([*slots(clips["02_short_gb"].samples), *noise * 150], "s")[:-1]
    ears = Ears(silero, audio)
    ears.work(len(audio))
    assert ears.safe is not None
    assert ears.safe.t_s > ears.audio[-1].t_s - IDLE_EVERY_S - 2.0
    ears.read_again = 0
    ears.work(len(audio))
    assert ears.read_again < 50

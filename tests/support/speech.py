"""Spoken clips with known words as the audio messages ingest would make of them, and how well they were heard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from bench.transcripts import pairs
from inference.backends.silero import SileroBackend
from inference.backends.whisper import Hypothesis, WhisperBackend
from inference.speech.hearing import Event, Heard, Hearing
from inference.speech.timeline import Timeline
from inference.speech.transcriber import Memory, Outcome, Request, Transcriber
from inference.speech.utterance import EndpointTuning
from inference.speech.vad import VadTuning
from proto.media import CHUNK_S, SAMPLE_RATE_HZ, Audio, AudioChunk, AudioEnd
from proto.observations import Word

Samples = NDArray[np.int16]
TEST_MODEL = "whisper-espeak-test"


@dataclass(frozen=True)
class Clip:
    """A recording and what is said in it; times in seconds from its beginning."""

    name: str
    samples: Samples
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


def load(media: Path) -> dict[str, Clip]:
    """The synthetic clips by name, e.g. `07_pause_3s`."""
    folder = media / "audio" / "espeak"
    found: dict[str, Clip] = {}
    for entry in json.loads((folder / "clips.json").read_text()):
        path = folder / entry["file"]
        if path.exists():
            words = tuple(
                Word(text=word["word"], start_s=word["start"], end_s=word["end"], probability=1.0)
                for word in entry["words"]
            )
            found[path.stem] = Clip(path.stem, read(path), words)
    return found


def read(path: Path) -> Samples:
    """16 kHz mono samples of a file, the first channel, resampled roughly where it must be."""
    samples, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    mono = samples[:, 0]
    if rate_hz != SAMPLE_RATE_HZ:
        at = np.arange(0, len(mono), rate_hz / SAMPLE_RATE_HZ)
        mono = np.interp(at, np.arange(len(mono)), mono).astype(np.int16)
    return np.ascontiguousarray(mono)


def joined(clips: Sequence[Clip], pause_s: float = 1.0) -> Clip:
    """Clips one after another with silence between and behind."""
    silence = np.zeros(round(pause_s * SAMPLE_RATE_HZ), np.int16)
    samples, words, t_s = [], [], 0.0
    for clip in clips:
        words += [Word(text=w.text, start_s=w.start_s + t_s, end_s=w.end_s + t_s, probability=1.0) for w in clip.words]
        samples += [clip.samples, silence]
        t_s += clip.duration_s + pause_s
    return Clip("+".join(clip.name for clip in clips), np.concatenate(samples), tuple(words))


def messages(
    samples: Samples, session: str, source: str = "peer-1", t_s: float = 0.0, *, end: bool = True, seq: int = 0
) -> list[Audio]:
    """Chunks of 200 ms from session second `t_s` on, and the end."""
    step = round(CHUNK_S * SAMPLE_RATE_HZ)
    made: list[Audio] = [
        AudioChunk(session, source, seq + i, t_s + i * CHUNK_S, samples[start : start + step].tobytes())
        for i, start in enumerate(range(0, len(samples), step))
    ]
    if end:
        made.append(AudioEnd(session, source, seq + len(made), t_s + len(samples) / SAMPLE_RATE_HZ))
    return made


def aligned(said: Sequence[Word], heard: Sequence[Word]) -> list[tuple[Word, Word]]:
    """Pairs of the same word, in order."""
    places = pairs([word.text for word in said], [word.text for word in heard])
    return [(said[one], heard[other]) for one, other in places]


def decoded(whisper: WhisperBackend, request: Request) -> Hypothesis:
    """The model's words for a request, as a session gets them."""
    (hypothesis,) = whisper.run([request.passage])
    assert isinstance(hypothesis, Hypothesis), hypothesis
    again = request.again(hypothesis)
    return hypothesis if again is None else decoded(whisper, again)


class Listener:
    """The whole way from messages to words without a bus: what a session does, at one go."""

    def __init__(
        self,
        silero: SileroBackend,
        whisper: WhisperBackend | None = None,
        step_s: float = 1.0,
        *,
        hotwords: tuple[str, ...] = (),
        context: bool = False,
    ) -> None:
        self.timeline = Timeline()
        self.hearing = Hearing(silero, VadTuning(), EndpointTuning())
        self.whisper = whisper
        self.transcriber = Transcriber(
            step_s=step_s, window_s=12.0, memory=Memory(), hotwords=hotwords, context=context
        )
        self.events: list[Event] = []
        self.outcomes: list[Outcome] = []

    def hear(self, audio: Sequence[Audio]) -> None:
        for seq, message in enumerate(audio, 1):
            for stretch in self.timeline.take(message, seq):
                for event in self.hearing.take(stretch):
                    self.follow(event)

    def follow(self, event: Event) -> None:
        self.events.append(event)
        request = self.transcriber.take(event) if self.whisper else None
        if request is not None and self.whisper is not None:
            needed = self.transcriber.needs_decoding(request)
            hypothesis = decoded(self.whisper, request) if needed else None
            self.outcomes.append(self.transcriber.apply(request, hypothesis))

    @property
    def words(self) -> list[Word]:
        return [word for outcome in self.outcomes for word in outcome.words]

    @property
    def seconds(self) -> list[Heard]:
        return [event for event in self.events if isinstance(event, Heard)]

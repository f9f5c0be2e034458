"""Speech workers one after another on the same sound, without a bus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.backends.silero import SileroBackend
from inference.backends.whisper import WhisperBackend
from inference.signals.pauses import Second
from inference.speech import resume
from inference.speech.hearing import Event, Heard, Hearing, SafePoint, UtteranceClosed, UtteranceOpened, UtteranceSound
from inference.speech.timeline import Timeline
from inference.speech.transcriber import Memory, Outcome, Transcriber
from inference.speech.utterance import EndpointTuning
from inference.speech.vad import VadTuning
from proto.media import Audio
from proto.observations import SpeechHeard, WordsCommitted
from tests.support.speech import decoded


def as_message(outcome: Outcome, seq: int) -> WordsCommitted:
    return WordsCommitted(
        session="s",
        source="speech",
        seq=seq,
        t_s=outcome.heard_until_s,
        utterance=outcome.utterance,
        words=outcome.words,
        language=outcome.language,
        model="m",
        final=outcome.final,
        heard_until_s=outcome.heard_until_s,
        window_start_s=outcome.window_start_s,
        resume_s=outcome.safe.t_s if outcome.safe else None,
        resume_seq=outcome.safe.seq if outcome.safe else 0,
    )


class Relay:
    """Workers one after another on the same sound; each knows only what its predecessors put into the log."""

    def __init__(
        self, silero: SileroBackend, whisper: WhisperBackend, audio: Sequence[Audio], *, context: bool = False
    ) -> None:
        self.context = context
        self.silero = silero
        self.whisper = whisper
        self.audio = audio
        self.commits: list[WordsCommitted] = []
        self.seconds: dict[int, Heard] = {}
        self.safe: SafePoint | None = None
        self.read_again = 0

    def work(self, until: int) -> None:
        """A fresh worker goes on to message `until` (not included) and is killed."""
        memory = resume.memory(self.commits) if self.commits else Memory()
        transcriber = Transcriber(step_s=1.0, window_s=12.0, memory=memory, context=self.context)
        hearing = follower(self.silero, self.safe, self.seconds)
        timeline = Timeline()
        start = max(1, self.safe.seq if self.safe else 1)
        for seq in range(start, until + 1):
            self.read_again += 1
            for stretch in timeline.take(self.audio[seq - 1], seq):
                for event in hearing.take(stretch):
                    if isinstance(event, Heard):
                        if event.second.index not in self.seconds:
                            self.seconds[event.second.index] = event
                            self._named(event.safe)
                        continue
                    request = transcriber.take(event)
                    if request is None:
                        continue
                    needed = transcriber.needs_decoding(request)
                    outcome = transcriber.apply(request, decoded(self.whisper, request) if needed else None)
                    if outcome.worth_telling and (outcome.words or outcome.final):
                        self.commits.append(as_message(outcome, len(self.commits)))
                        self._named(outcome.safe)

    def _named(self, safe: SafePoint | None) -> None:
        if safe and (self.safe is None or safe.t_s > self.safe.t_s):
            self.safe = safe


@dataclass(frozen=True)
class Turn:
    """An utterance as it was heard: its speech, and all of its sound with the times of it."""

    speech_s: float
    speech_end_s: float
    windows: tuple[tuple[float, float, bool], ...]


@dataclass
class Ears:
    """The same without words: every utterance that is over is in the log."""

    silero: SileroBackend
    audio: Sequence[Audio]
    turns: list[Turn] = field(default_factory=list)
    seconds: dict[int, Heard] = field(default_factory=dict)
    safe: SafePoint | None = None
    read_again: int = 0
    pause_known: bool = True
    """Whether the log told the last worker how long the pause had lasted: only up to the last second in it."""

    def work(self, until: int) -> None:
        """A fresh worker goes on to message `until` (not included) and is killed."""
        hearing = follower(self.silero, self.safe, self.seconds)
        told_s = max((heard.second.t_s + heard.second.duration_s for heard in self.seconds.values()), default=0.0)
        self.pause_known = self.safe is None or self.safe.t_s <= told_s + 1e-6
        timeline = Timeline()
        begun: list[Event] = []
        for seq in range(self.safe.seq if self.safe else 1, until + 1):
            self.read_again += 1
            for stretch in timeline.take(self.audio[seq - 1], seq):
                for event in hearing.take(stretch):
                    begun = self._note(event, begun)

    def _note(self, event: Event, begun: list[Event]) -> list[Event]:
        safe = None
        match event:
            case Heard():
                if event.second.index not in self.seconds:
                    self.seconds[event.second.index] = event
                    safe = event.safe
            case UtteranceOpened():
                begun = [event]
            case UtteranceSound():
                begun.append(event)
            case UtteranceClosed():
                turn = _turn(begun, event)
                if not self.turns or turn.speech_s > self.turns[-1].speech_s:
                    self.turns.append(turn)
                    safe = event.safe
        if safe and (self.safe is None or safe.t_s > self.safe.t_s):
            self.safe = safe
        return begun


def follower(silero: SileroBackend, safe: SafePoint | None, seconds: dict[int, Heard]) -> Hearing:
    """The hearing of a worker that finds `seconds` in the log."""
    last = _as_heard(seconds[max(seconds)].second) if seconds else None
    pause_s = resume._pause_at(last, safe)
    return Hearing(silero, VadTuning(), EndpointTuning(), resume=safe, pause_s=pause_s)


def _as_heard(second: Second) -> SpeechHeard:
    return SpeechHeard(
        session="s",
        source="speech",
        seq=second.index,
        t_s=second.t_s,
        duration_s=second.duration_s,
        speech_s=second.speech_s,
        level_dbfs=second.level_dbfs,
        pause_s=second.pause_s,
    )


def _turn(begun: Sequence[Event], closed: UtteranceClosed) -> Turn:
    opened, *rest = begun
    assert isinstance(opened, UtteranceOpened)
    windows = [*opened.windows, *(event.window for event in rest if isinstance(event, UtteranceSound))]
    # Where the first piece was cut depends on who heard it; what matters is where the sound begins.
    told = tuple((round(w.t_s, 6), round(w.end_s, 6), w.speech) for w in windows if w.t_s >= opened.speech_s - 1e-6)
    begins = (round(windows[0].t_s, 6), round(opened.speech_s, 6), False)
    return Turn(opened.speech_s, closed.speech_end_s, (begins, *told))

"""One session's transcript: when to decode which sound, and which words that commits. Knows no clock and no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.backends.whisper import Hypothesis
from inference.speech.agreement import Agreement
from inference.speech.hearing import Event, Heard, SafePoint, UtteranceClosed, UtteranceOpened, UtteranceSound
from inference.speech.utterance import SoundBuffer
from inference.speech.vad import Window
from inference.speech.words import Span, credible
from proto.observations import Word

TAIL_S = 0.3
"""Sound after the last speech that is decoded with it: word ends fade."""
KEEP_S = 1.5
"""A full window without agreement is committed but for so much, where a word may still be cut."""
SURE_OF_LANGUAGE = 0.7
_SAME_S = 1e-3


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An utterance of which a predecessor committed `words`, last decoding `window_start_s` to `heard_until_s`."""

    words: tuple[Word, ...]
    window_start_s: float
    heard_until_s: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What the log says of a session's transcript: the number of the next (or unfinished) utterance, the language
    heard, and until when utterances are done.
    """

    utterance: int = 0
    language: str = ""
    done_until_s: float = float("-inf")
    unfinished: Unfinished | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Sound to decode. `language` is "" where it is to be found out."""

    samples: NDArray[np.float32]
    language: str
    final: bool
    until_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decode changes. `words` are newly committed; `tentative` is the text from `start_s` that may still change.

    `worth_telling` is False where an utterance without a single word ends.
    """

    utterance: int
    words: tuple[Word, ...]
    final: bool
    heard_until_s: float
    window_start_s: float
    language: str
    tentative: str
    start_s: float
    safe: SafePoint | None
    worth_telling: bool


class Transcriber:
    """Follows one session's utterances. `window_s` is the most sound decoded at once.

    `take` an event; where it returns a request, decode that and give the answer to `apply` before the next event.
    """

    def __init__(self, *, step_s: float, window_s: float, memory: Memory, language: str = "") -> None:
        self.step_s = step_s
        self._window_s = window_s
        self._utterance = memory.utterance
        self._done_until_s = memory.done_until_s
        self._unfinished = memory.unfinished
        self._given_language = language
        self._language = memory.language
        self._open = False
        self._safe: SafePoint | None = None
        self._begin(())

    def _begin(self, committed: Sequence[Word]) -> None:
        self._agreement = Agreement(committed)
        self._sound = SoundBuffer()
        self._keep_from_s = float("-inf")
        self._spans: list[Span] = []
        self._next_s = 0.0
        self._skip_until_s = float("-inf")
        self._decoded_until_s = float("-inf")
        self._told = ""

    def take(self, event: Event) -> Request | None:
        """Follow an event; a request when it is time to decode."""
        match event:
            case UtteranceOpened():
                return self._opened(event)
            case UtteranceSound():
                return self._grow(event.window) if self._open else None
            case UtteranceClosed():
                return self._closed(event) if self._open else None
            case Heard():
                return None

    def apply(self, request: Request, hypothesis: Hypothesis | None) -> Outcome:
        """The answer to a request; None where the sound needs (or could get) no decoding."""
        if hypothesis is None:
            new = self._agreement.finish(self._agreement.pending) if request.final else ()
        else:
            self._learn_language(hypothesis)
            words = credible(hypothesis, self._sound.time_at, self._spans, request.until_s)
            new = self._agreement.finish(words) if request.final else self._agreement.update(words)
        self._decoded_until_s = request.until_s
        # A successor decodes the same window again, so it is told of the one before it is trimmed.
        window_start_s = self._sound.start_s
        if not request.final:
            new += self._trim(request.until_s)
        return self._outcome(request, new, window_start_s)

    def _opened(self, event: UtteranceOpened) -> Request | None:
        self._open = event.speech_s >= self._done_until_s
        if not self._open:
            return None
        old, self._unfinished = self._unfinished, None
        if old is not None and event.speech_s < old.heard_until_s:
            self._begin(old.words)
            self._keep_from_s, self._skip_until_s = old.window_start_s, old.heard_until_s
        else:
            self._utterance += 1 if old is not None else 0
            self._begin(())
        self._safe = event.safe
        self._next_s = event.speech_s + self.step_s
        for window in event.windows:
            self._hear(window)
        return self._due()

    def _grow(self, window: Window) -> Request | None:
        self._hear(window)
        return self._due()

    def _hear(self, window: Window) -> None:
        if window.speech:
            if self._spans and window.t_s - self._spans[-1][1] < _SAME_S:
                self._spans[-1] = (self._spans[-1][0], window.end_s)
            else:
                self._spans.append((window.t_s, window.end_s))
        self._sound.append(window.t_s, window.samples)
        if self._sound.start_s < self._keep_from_s:
            self._sound.drop_before(self._keep_from_s)

    def _due(self) -> Request | None:
        end_s = self._sound.end_s
        full = self._sound.duration_s >= self._window_s
        if end_s < self._next_s and not full:
            return None
        while self._next_s <= end_s:
            self._next_s += self.step_s
        if end_s < self._skip_until_s - _SAME_S:
            return None
        return self._request(final=False, until_s=end_s)

    def _closed(self, event: UtteranceClosed) -> Request:
        self._safe = event.safe
        self._open = False
        until_s = min(self._sound.end_s, event.speech_end_s + TAIL_S)
        return self._request(final=True, until_s=until_s)

    def _request(self, *, final: bool, until_s: float) -> Request:
        language = self._given_language or self._language
        return Request(self._sound.samples(until_s), language, final, until_s)

    def needs_decoding(self, request: Request) -> bool:
        """False for the end of an utterance whose speech was decoded already, to the end."""
        if not request.final:
            return True
        last_speech_s = self._spans[-1][1] if self._spans else float("-inf")
        return self._decoded_until_s < min(request.until_s, last_speech_s + TAIL_S / 2)

    def _learn_language(self, hypothesis: Hypothesis) -> None:
        if hypothesis.language_probability >= SURE_OF_LANGUAGE:
            self._language = hypothesis.language

    def _trim(self, until_s: float) -> tuple[Word, ...]:
        """Keep the window short: cut it behind committed words, in the longest pause between them."""
        forced: tuple[Word, ...] = ()
        if self._sound.duration_s <= self._window_s / 2:
            return forced
        cut_s = self._cut_s()
        if cut_s is None and self._sound.duration_s > self._window_s - self.step_s:
            forced = self._agreement.force(until_s - KEEP_S)
            cut_s = self._cut_s() or until_s - 2 * KEEP_S
        if cut_s is not None:
            self._sound.drop_before(cut_s)
            self._spans = [(max(begin, cut_s), end) for begin, end in self._spans if end > cut_s]
        return forced

    def _cut_s(self) -> float | None:
        """A good place to cut, at least a quarter into the window; None if no committed word ends there."""
        words = [*self._agreement.committed, *self._agreement.pending[:1]]
        earliest_s = self._sound.start_s + self._window_s / 4
        best: tuple[float, float] | None = None
        for word, following in zip(self._agreement.committed, [*words[1:], None], strict=False):
            if word.end_s < earliest_s:
                continue
            pause_s = following.start_s - word.end_s if following is not None else 0.0
            if best is None or pause_s >= best[0]:
                best = (pause_s, word.end_s + min(pause_s, 0.2) / 2)
        return best[1] if best else None

    def _outcome(self, request: Request, new: tuple[Word, ...], window_start_s: float) -> Outcome:
        pending = () if request.final else self._agreement.pending
        text = " ".join(word.text for word in pending)
        told, self._told = self._told, text
        outcome = Outcome(
            utterance=self._utterance,
            words=new,
            final=request.final,
            heard_until_s=request.until_s,
            window_start_s=window_start_s,
            language=self._given_language or self._language,
            tentative=text,
            start_s=pending[0].start_s if pending else request.until_s,
            safe=self._safe,
            worth_telling=bool(new) or text != told or (request.final and bool(self._agreement.committed)),
        )
        if request.final:
            self._utterance += 1 if self._agreement.committed else 0
            self._begin(())
        return outcome

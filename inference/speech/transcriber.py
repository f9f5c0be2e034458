"""One session's transcript: when to decode which sound, and which words that commits. Knows no clock and no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.backends.whisper import Hypothesis, Passage
from inference.speech.agreement import Agreement
from inference.speech.hearing import Event, Heard, SafePoint, UtteranceClosed, UtteranceOpened, UtteranceSound
from inference.speech.utterance import SoundBuffer
from inference.speech.vad import Window
from inference.speech.words import Span, credible, doubt, stuck
from proto.observations import Word

TAIL_S = 0.3
"""Sound after the last speech that is decoded with it: word ends fade."""
KEEP_S = 1.5
"""A full window without agreement is committed but for so much, where a word may still be cut."""
NEARLY_FULL_S = 1.0
SURE_OF_LANGUAGE = 0.7
CONTEXT_WORDS = 60
CONTEXT_CHARACTERS = 200
CONTEXT_PAUSE_S = 8.0
"""Words said longer ago than this, before the decoded sound, are no context for it."""
KEPT_WORDS = 100
"""Of a talk without end so many committed words are kept to go on from."""
SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")  # noqa: RUF001 - marks of scripts that have their own
SENTENCE_END_S = 0.3
"""Behind a sentence's end is as good a place to cut as in a pause that is so much longer."""
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
    heard, until when utterances are done, and the last words of those.
    """

    utterance: int = 0
    language: str = ""
    done_until_s: float = float("-inf")
    unfinished: Unfinished | None = None
    recent: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """Sound to decode. `language` is "" where it is to be found out, `prompt` what was said before."""

    samples: NDArray[np.float32]
    language: str
    final: bool
    until_s: float
    prompt: str = ""
    hotwords: tuple[str, ...] = ()

    @property
    def passage(self) -> Passage:
        """What the model is given."""
        return Passage(self.samples, self.language, self.prompt, self.hotwords)

    @property
    def kind(self) -> Literal["final", "partial"]:
        return "final" if self.final else "partial"

    def again(self, hypothesis: Hypothesis) -> Request | None:
        """The same without its prompt, where a model that was given one answers with what nobody can believe: text that
        it was told to go on with is what it is easily stuck in. A function of the sound, as all of a request is.
        """
        if not self.prompt or not (doubt(hypothesis) or stuck(hypothesis)):
            return None
        return replace(self, prompt="")


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
    """Follows one session's utterances. `window_s` is the most sound decoded at once. With `context`, the words
    committed before the decoded sound go along as a prompt: a function of the log and of where the window begins, so
    that a successor gives the same.

    `take` an event; where it returns a request, decode that and give the answer to `apply` before the next event.
    """

    def __init__(
        self,
        *,
        step_s: float,
        window_s: float,
        memory: Memory,
        language: str = "",
        hotwords: tuple[str, ...] = (),
        context: bool = False,
    ) -> None:
        self.step_s = step_s
        self._window_s = window_s
        self._hotwords = hotwords
        self._context = context
        self._recent = memory.recent
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
        elif doubt(hypothesis) and not request.final:
            # It says nothing about the words before: what it should agree with waits for the next.
            new = ()
        else:
            if not doubt(hypothesis):
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
            self._recent = (*self._recent, *(old.words if old is not None else ()))[-CONTEXT_WORDS:]
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
        return Request(self._sound.samples(until_s), language, final, until_s, self._prompt(), self._hotwords)

    def _prompt(self) -> str:
        """The last words that ended before the decoded sound begins, if that was not long before."""
        if not self._context:
            return ""
        start_s = self._sound.start_s
        committed = self._agreement.committed[-KEPT_WORDS:]
        words = [word for word in (*self._recent, *committed) if word.end_s <= start_s][-CONTEXT_WORDS:]
        if not words or start_s - words[-1].end_s > CONTEXT_PAUSE_S:
            return ""
        text = " ".join(word.text for word in words)
        if len(text) <= CONTEXT_CHARACTERS:
            return text
        return text[-CONTEXT_CHARACTERS:].partition(" ")[2]

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
        # Before it is full it will be decoded once more, however long the step is.
        if cut_s is None and self._sound.duration_s > self._window_s - min(self.step_s, NEARLY_FULL_S):
            forced = self._agreement.force(until_s - KEEP_S)
            cut_s = self._cut_s() or until_s - 2 * KEEP_S
        if cut_s is not None:
            self._sound.drop_before(cut_s)
            self._spans = [(max(begin, cut_s), end) for begin, end in self._spans if end > cut_s]
            self._agreement.forget(KEPT_WORDS)
        return forced

    def _cut_s(self) -> float | None:
        """A good place to cut, at least a quarter into the window: a sentence's end or the longest pause; None if no
        committed word ends there.
        """
        words = [*self._agreement.committed, *self._agreement.pending[:1]]
        earliest_s = self._sound.start_s + self._window_s / 4
        best: tuple[float, float] | None = None
        for word, following in zip(self._agreement.committed, [*words[1:], None], strict=False):
            if word.end_s < earliest_s:
                continue
            pause_s = following.start_s - word.end_s if following is not None else 0.0
            worth_s = pause_s + (SENTENCE_END_S if word.text.endswith(SENTENCE_ENDS) else 0.0)
            if best is None or worth_s >= best[0]:
                best = (worth_s, word.end_s + min(pause_s, 0.2) / 2)
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
            self._recent = (*self._recent, *self._agreement.committed)[-CONTEXT_WORDS:]
            self._begin(())
        return outcome

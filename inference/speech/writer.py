"""The transcript of one session: decodes when it is time, commits words to the log, has utterances translated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from inference.backends.whisper import ENGLISH, FEATURE, Hypothesis
from inference.speech import metrics
from inference.speech.cadence import Cadence
from inference.speech.decoding import Decoder
from inference.speech.hearing import Event, UtteranceClosed, UtteranceOpened
from inference.speech.publishing import SWITCHED_OFF, LeaseLost, Publisher
from inference.speech.resume import SOURCE, Standing
from inference.speech.settings import SpeechSettings
from inference.speech.transcriber import Outcome, Request, Transcriber
from inference.speech.translation import FEATURE as TRANSLATION
from inference.speech.translation import Spoken, Translator
from inference.speech.words import doubt
from proto import codec, subjects
from proto.errors import Full, Unavailable
from proto.observations import Word, WordsCommitted
from proto.views import Committed, Tentative
from runtime.log import get_logger

FINISH_S = 30.0
"""A session whose sound is over waits so long at most for its last translations."""

log = get_logger("speech")


class Writer:
    """Follows the events of one session's hearing. `prepare` first: it may be that nothing is to be written."""

    def __init__(self, publisher: Publisher, standing: Standing, settings: SpeechSettings, decoder: Decoder) -> None:
        self._publisher = publisher
        self._session = publisher.session
        self._standing = standing
        self._settings = settings
        self._decoder = decoder
        self._cadence = Cadence(settings.step_s, settings.max_step_s)
        self._next_commit = standing.next_commit
        self._transcriber: Transcriber | None = None
        self._translator: Translator | None = None
        self._opened_seq = 1
        unfinished = standing.memory.unfinished
        self._spoken: tuple[int, tuple[Word, ...]] = (standing.memory.utterance, unfinished.words if unfinished else ())

    async def prepare(self) -> None:
        """Be ready to transcribe, and to translate where that is asked for, or say once why not."""
        standing = self._standing
        missing = await self._decoder.ensure() if standing.analysis.transcript else None
        language = standing.language or self._settings.language
        reason = missing.reason if missing else self._unfit_reason(language)
        if not reason:
            self._transcriber = Transcriber(
                step_s=self._settings.step_s,
                window_s=self._settings.window_s,
                memory=standing.memory,
                language=language,
                hotwords=standing.hotwords,
                context=self._settings.context,
            )
        if not standing.told_feature:
            await self._publisher.feature(FEATURE, reason, missing.command if missing else "")
        if not standing.translate or language == ENGLISH:
            return
        if not reason and not self._decoder.multilingual:
            reason = f"the model {self._decoder.model} knows English only"
        if not reason:
            self._translator = Translator(self._publisher.bus, self._session, self._decoder, self._publisher.observe)
        if not standing.told_translation:
            await self._publisher.feature(TRANSLATION, reason)

    @asynccontextmanager
    async def translating(self, finishes: Callable[[], bool]) -> AsyncIterator[None]:
        """Translate while inside, first what a predecessor left; at the end wait for the rest where it `finishes`."""
        if self._translator is None:
            yield
            return
        for spoken in self._standing.untranslated:
            self._translator.add(spoken)
        task = asyncio.create_task(self._translator.run(), name=f"speech-translate-{self._session}")
        try:
            yield
            if finishes():
                await self._translator.drained(FINISH_S)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def lags(self, behind_s: float) -> None:
        """The sound is `behind_s` old when it comes: decode the less often."""
        if self._transcriber is not None:
            self._transcriber.step_s = self._cadence.step_s(behind_s, self._decoder.load.step_s())

    async def hear(self, event: Event) -> None:
        """Decode where it is time to, and publish what comes of it.

        Raises:
            LeaseLost: somebody else may have the session.
            BusUnavailable: words were not acknowledged.
        """
        self._note_turn(event)
        if self._transcriber is not None and (request := self._transcriber.take(event)) is not None:
            needed = self._transcriber.needs_decoding(request)
            hypothesis = await self._decode(request) if needed else None
            await self._outcome(self._transcriber.apply(request, hypothesis))

    def leave(self) -> None:
        """The session is given back: it is no load any more."""
        self._decoder.load.is_silent(self._session)

    def _unfit_reason(self, language: str) -> str:
        """Why this worker does not transcribe the session, "" if it does."""
        if not self._standing.analysis.transcript:
            return SWITCHED_OFF
        if language and not self._decoder.knows(language):
            # It would write words of a language it knows for sounds of another: better none than made up.
            return f"the model {self._decoder.model} does not know the session's language, {language}"
        return ""

    def _note_turn(self, event: Event) -> None:
        """Who speaks is part of the worker's load; where an utterance begins is where its sound is read again."""
        match event:
            case UtteranceOpened():
                self._opened_seq = event.safe.seq if event.safe else 1
                self._decoder.load.speaks(self._session)
            case UtteranceClosed():
                self._decoder.load.is_silent(self._session)
            case _:
                pass

    async def _decode(self, request: Request) -> Hypothesis | None:
        """The words of a request. A decode that fails twice is given up: the transcript goes on behind it."""
        for _attempt in range(2):
            try:
                asked_s = time.perf_counter()
                hypothesis = await self._decoder.decode(request.passage, request.kind)
                if (again := request.again(hypothesis)) is not None:
                    hypothesis = await self._decoder.decode(again.passage, again.kind)
                self._cadence.note(time.perf_counter() - asked_s)
                if doubtful := doubt(hypothesis):
                    metrics.REJECTED.labels(doubtful).inc()
                return hypothesis
            except (Unavailable, Full) as error:
                log.warning("speech.decode_failed", session=self._session, error=str(error))
        return None

    async def _outcome(self, outcome: Outcome) -> None:
        if not outcome.worth_telling:
            return
        if outcome.words or outcome.final:
            await self._commit(outcome)
        text = Tentative(
            session=self._session, utterance=outcome.utterance, start_s=outcome.start_s, text=outcome.tentative
        )
        await self._publisher.live(text)

    async def _commit(self, outcome: Outcome) -> None:
        first = self._next_commit == self._standing.next_commit
        committed = WordsCommitted(
            session=self._session,
            source=SOURCE,
            seq=self._next_commit,
            t_s=outcome.heard_until_s,
            utterance=outcome.utterance,
            words=outcome.words,
            language=outcome.language,
            model=self._decoder.model,
            final=outcome.final,
            heard_until_s=outcome.heard_until_s,
            window_start_s=outcome.window_start_s,
            resume_s=outcome.safe.t_s if outcome.safe else None,
            resume_seq=outcome.safe.seq if outcome.safe else 0,
        )
        await self._publisher.observe(committed)
        if first:
            await self._make_sure(committed)
        self._next_commit += 1
        if self._translator is not None:
            self._follow_utterance(self._translator, outcome)
        metrics.WORDS.inc(len(outcome.words))
        for word in outcome.words:
            metrics.COMMIT_DELAY.observe(max(0.0, outcome.heard_until_s - word.end_s))
        if outcome.words:
            text = " ".join(word.text for word in outcome.words)
            start_s, end_s = outcome.words[0].start_s, outcome.words[-1].end_s
            await self._publisher.live(
                Committed(session=self._session, utterance=outcome.utterance, start_s=start_s, end_s=end_s, text=text)
            )

    def _follow_utterance(self, translator: Translator, outcome: Outcome) -> None:
        """Have an utterance translated when it is over."""
        utterance, words = self._spoken
        words = (words if utterance == outcome.utterance else ()) + outcome.words
        self._spoken = (outcome.utterance, words)
        if outcome.final and words and outcome.language != ENGLISH:
            translator.add(Spoken(outcome.utterance, outcome.language, words, self._opened_seq))

    async def _make_sure(self, committed: WordsCommitted) -> None:
        """A predecessor's last commit, on its way at the takeover, may have come first under this number."""
        last = await self._publisher.bus.last(subjects.LOG, subjects.log(self._session, "words.committed"))
        if last is None or last.data != codec.encode(committed):
            raise LeaseLost(f"another worker wrote commit {committed.seq} of session {self._session}")

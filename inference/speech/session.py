"""One session's sound, from the stream to the log, for as long as this worker holds its lease."""

from __future__ import annotations

import asyncio
import time

from inference.backends.silero import SileroBackend
from inference.backends.voice_encoder import FEATURE as VOICES
from inference.backends.whisper import ENGLISH, FEATURE, Hypothesis
from inference.speech import metrics
from inference.speech.cadence import Cadence
from inference.speech.decoding import Decoder
from inference.speech.encoder import VoiceEncoder
from inference.speech.hearing import Event, Heard, Hearing, UtteranceClosed, UtteranceOpened
from inference.speech.resume import SOURCE, Standing
from inference.speech.settings import SpeechSettings
from inference.speech.speakers import Speakers
from inference.speech.timeline import End, Gap, Piece, Stretch, Timeline, check, is_interviewer
from inference.speech.transcriber import Outcome, Request, Transcriber
from inference.speech.translation import FEATURE as TRANSLATION
from inference.speech.translation import Spoken, Translator
from inference.speech.words import doubt
from proto import codec, subjects
from proto.errors import BadMessage, CandorError, Full, Unavailable
from proto.media import Audio
from proto.observations import FeatureStatus, Observation, SpeechHeard, Word, WordsCommitted
from proto.views import Committed, Tentative
from runtime.bus import Bus, Delivery, Follow
from runtime.leases import Lease
from runtime.log import get_logger

BATCH = 64
WAIT_S = 0.5
SWITCHED_OFF = "the session's policy switches it off"
FINISH_S = 30.0
"""A session whose sound is over waits so long at most for its last translations."""

log = get_logger("speech")


class LeaseLost(Unavailable):
    """Another worker has this session now."""


class Session:
    """Follows one session's audio. Made anew at each takeover from what the log says."""

    def __init__(
        self,
        bus: Bus,
        session: str,
        lease: Lease,
        standing: Standing,
        settings: SpeechSettings,
        silero: SileroBackend,
        decoder: Decoder,
        encoder: VoiceEncoder,
    ) -> None:
        self._bus = bus
        self._session = session
        self._lease = lease
        self._settings = settings
        self._decoder = decoder
        self._standing = standing
        self._next_second = standing.next_second
        self._next_commit = standing.next_commit
        self._timeline = Timeline()
        self._hearing = Hearing(
            silero, settings.vad, settings.endpoints, resume=standing.safe, pause_s=standing.pause_s
        )
        self._encoder = encoder
        self._silero = silero
        self._speakers: Speakers | None = None
        self._transcriber: Transcriber | None = None
        self._translator: Translator | None = None
        self._opened_seq = 1
        unfinished = standing.memory.unfinished
        self._spoken: tuple[int, tuple[Word, ...]] = (standing.memory.utterance, unfinished.words if unfinished else ())
        self._cadence = Cadence(settings.step_s, settings.max_step_s)
        self.last_seq = 0
        self.behind_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Until the sound has ended or stayed away, `stop` is set or the lease is lost.

        Raises:
            LeaseLost: somebody else may have the session; nothing more was published.
            BusUnavailable: an observation was not acknowledged: the session must be taken up anew from the log.
        """
        if not self._standing.analysis.audio:
            return
        await self._prepare_text()
        await self._prepare_voices()
        from_seq = self._standing.safe.seq if self._standing.safe else 1
        translating = asyncio.create_task(self._translate(), name=f"speech-translate-{self._session}")
        try:
            async with self._bus.follow(subjects.AUDIO, subjects.audio(self._session), max(1, from_seq)) as follow:
                await self._listen(follow, stop)
            if self._translator is not None and not stop.is_set():
                await self._translator.drained(FINISH_S)
        finally:
            self._decoder.load.is_silent(self._session)
            translating.cancel()
            await asyncio.gather(translating, return_exceptions=True)

    async def _translate(self) -> None:
        """What a predecessor left untranslated, then what is said."""
        if self._translator is not None:
            for spoken in self._standing.untranslated:
                self._translator.add(spoken)
            await self._translator.run()

    async def _listen(self, follow: Follow, stop: asyncio.Event) -> None:
        clock = asyncio.get_running_loop()
        quiet_s, heard_s = 0.0, clock.time()
        ended = stalled = False
        while not stop.is_set():
            self._check_lease()
            batch = await follow.next(BATCH, WAIT_S)
            for delivery in batch:
                self.last_seq = delivery.seq
                end = await self._take(delivery)
                if stop.is_set():
                    return
                if end is not None:
                    ended, stalled, heard_s = end, False, clock.time()
                # A long takeover must not keep the other sessions of this process waiting.
                await asyncio.sleep(0)
            if not follow.opened:
                heard_s = clock.time()
                continue
            # An interviewer who talks on does not keep the candidate's last words waiting.
            if clock.time() - heard_s >= self._settings.stall_s and not stalled:
                stalled = True
                await self._tell(self._hearing.stall())
            quiet_s = 0.0 if batch else quiet_s + WAIT_S
            self.behind_s = self.behind_s if batch else 0.0
            if quiet_s and (ended or quiet_s >= self._settings.idle_release_s):
                return

    async def _take(self, delivery: Delivery) -> bool | None:
        """Hear one message; True if it ended the candidate's source, None if it was none of theirs."""
        behind_s = max(0.0, time.time() - delivery.unix_s)
        metrics.LAG.observe(behind_s)
        self.behind_s = behind_s
        if self._transcriber is not None:
            self._transcriber.step_s = self._cadence.step_s(behind_s, self._decoder.load.step_s())
        try:
            message: Audio = codec.decode(delivery.data, Audio)
            check(message, delivery.data)
        except BadMessage as error:
            await self._put_aside(delivery, error)
            return None
        try:
            if is_interviewer(message):
                if self._speakers is not None:
                    await self._speakers.hear_interviewer(message, delivery.seq)
                return None
            return await self._hear(message, delivery.seq)
        except CandorError:
            raise
        except Exception as error:
            # The message boundary: what breaks the listener is put aside like what cannot be decoded, but what the
            # listener knows may be half done, so it is made anew from the log.
            log.exception("speech.message_failed", session=self._session, seq=delivery.seq)
            await self._put_aside(delivery, error)
            raise Unavailable(f"message {delivery.seq} of session {self._session} broke the listener") from error

    async def _put_aside(self, delivery: Delivery, error: Exception) -> None:
        """AUDIO is not acknowledged: gone from there, the message cannot stop a successor again."""
        await self._bus.dead_letter("speech", delivery, error)
        await self._bus.delete_message(subjects.AUDIO, delivery.seq)

    async def _hear(self, message: Audio, seq: int) -> bool:
        overlapped_s = self._timeline.overlapped_s
        stretches = self._timeline.take(message, seq)
        metrics.OVERLAPPED.inc(self._timeline.overlapped_s - overlapped_s)
        for stretch in stretches:
            _count(stretch)
            await self._tell(self._hearing.take(stretch))
        return any(isinstance(stretch, End) for stretch in stretches)

    async def _prepare_text(self) -> None:
        """Be ready to transcribe, or say once why there is no transcript."""
        analysis = self._standing.analysis
        missing = await self._decoder.ensure() if analysis.transcript else None
        language = self._standing.language or self._settings.language
        reason = missing.reason if missing else self._unfit_reason(language)
        available = not reason
        if available:
            self._transcriber = Transcriber(
                step_s=self._settings.step_s,
                window_s=self._settings.window_s,
                memory=self._standing.memory,
                language=language,
                hotwords=self._standing.hotwords,
                context=self._settings.context,
            )
        if not self._standing.told_feature:
            await self._tell_feature(0, FEATURE, reason, missing.command if missing else "")
        if self._standing.translate and language != ENGLISH:
            await self._prepare_translation(reason)

    def _unfit_reason(self, language: str) -> str:
        """Why this worker does not transcribe the session, "" if it does."""
        if not self._standing.analysis.transcript:
            return SWITCHED_OFF
        if language and not self._decoder.knows(language):
            # It would write words of a language it knows for sounds of another: better none than made up.
            return f"the model {self._decoder.model} does not know the session's language, {language}"
        return ""

    async def _prepare_translation(self, reason: str) -> None:
        if not reason and not self._decoder.multilingual:
            reason = f"the model {self._decoder.model} knows English only"
        if not reason:
            self._translator = Translator(self._bus, self._session, self._decoder, self._observe)
        if not self._standing.told_translation:
            await self._tell_feature(1, TRANSLATION, reason)

    async def _prepare_voices(self) -> None:
        """Be ready to tell voices apart, or say once why they are not."""
        wanted = self._settings.voices and self._standing.analysis.voices
        missing = await self._encoder.ensure() if wanted else None
        if wanted and missing is None:
            self._speakers = Speakers(self._session, self._encoder, self._silero, self._settings, self._observe)
            if self._standing.resumed:
                await self._speakers.restore(self._bus)
        if not self._standing.told_voices:
            reason = missing.reason if missing else "" if wanted else SWITCHED_OFF
            await self._tell_feature(2, VOICES, reason, missing.command if missing else "")

    async def _tell_feature(self, seq: int, feature: str, reason: str, command: str = "") -> None:
        """Say once whether a feature works for this session; without a reason against it, it does."""
        status = FeatureStatus(
            session=self._session,
            source=SOURCE,
            seq=seq,
            t_s=0.0,
            feature=feature,
            available=not reason,
            reason=reason,
            command=command,
        )
        await self._observe(status)

    async def _tell(self, events: list[Event]) -> None:
        """Publish what was heard, and decode where it is time to."""
        for event in events:
            self._note_turn(event)
            if self._speakers is not None:
                # Before the words: once an utterance's last words are in the log, nobody listens to it again.
                await self._speakers.hear(event)
            if isinstance(event, Heard):
                await self._heard(event)
            elif self._transcriber is not None and (request := self._transcriber.take(event)) is not None:
                needed = self._transcriber.needs_decoding(request)
                hypothesis = await self._decode(request) if needed else None
                await self._outcome(self._transcriber.apply(request, hypothesis))

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

    async def _heard(self, heard: Heard) -> None:
        second, safe = heard.second, heard.safe
        if second.index < self._next_second:
            return
        self._next_second = second.index + 1
        observation = SpeechHeard(
            session=self._session,
            source=SOURCE,
            seq=second.index,
            t_s=round(second.t_s, 4),
            duration_s=round(second.duration_s, 4),
            speech_s=round(second.speech_s, 4),
            level_dbfs=round(second.level_dbfs, 2),
            pause_s=round(second.pause_s, 4),
            gap_s=round(second.gap_s, 4),
            clipped=round(second.clipped, 6),
            whisper_likelihood=_rounded(second.figures.whisper_likelihood, 4),
            ended_pause_s=round(second.ended_pause_s, 4),
            resume_s=safe.t_s if safe else None,
            resume_seq=safe.seq if safe else 0,
            voiced_share=_rounded(second.figures.voiced_share, 4),
            speech_dbfs=_rounded(second.figures.speech_dbfs, 2),
            noise_dbfs=_rounded(second.figures.noise_dbfs, 2),
            problems=second.figures.problems,
        )
        await self._observe(observation)

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
        self._check_lease()
        text = Tentative(
            session=self._session, utterance=outcome.utterance, start_s=outcome.start_s, text=outcome.tentative
        )
        await self._bus.publish(subjects.live(self._session), text)

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
        await self._observe(committed)
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
            news = Committed(
                session=self._session, utterance=outcome.utterance, start_s=start_s, end_s=end_s, text=text
            )
            self._check_lease()
            await self._bus.publish(subjects.live(self._session), news)

    def _follow_utterance(self, translator: Translator, outcome: Outcome) -> None:
        """Have an utterance translated when it is over."""
        utterance, words = self._spoken
        words = (words if utterance == outcome.utterance else ()) + outcome.words
        self._spoken = (outcome.utterance, words)
        if outcome.final and words and outcome.language != ENGLISH:
            translator.add(Spoken(outcome.utterance, outcome.language, words, self._opened_seq))

    async def _make_sure(self, committed: WordsCommitted) -> None:
        """A predecessor's last commit, on its way at the takeover, may have come first under this number."""
        last = await self._bus.last(subjects.LOG, subjects.log(self._session, "words.committed"))
        if last is None or last.data != codec.encode(committed):
            raise LeaseLost(f"another worker wrote commit {committed.seq} of session {self._session}")

    async def _observe(self, observation: Observation) -> None:
        self._check_lease()
        await self._bus.observe(observation)

    def _check_lease(self) -> None:
        if not self._lease.held:
            raise LeaseLost(f"the lease of session {self._session} is lost")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _count(stretch: Stretch) -> None:
    match stretch:
        case Piece():
            metrics.AUDIO.inc(stretch.end_s - stretch.t_s)
        case Gap():
            metrics.GAPS.inc(stretch.duration_s)
        case End():
            pass

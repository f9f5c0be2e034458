"""Finished utterances of one session into English, each once, after all transcription that waits.

What is needed is in the log and in AUDIO: an utterance's words say from when to when it lasted, and its sound is read
again from the stream. So nothing is kept in memory, and a successor that finds an utterance in the log without its
translation makes it in the same way, as long as AUDIO (15 minutes) has the sound; after that it stays untranslated.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from inference.backends.whisper import ENGLISH, Hypothesis, Passage
from inference.speech import metrics
from inference.speech.decoding import Decoder
from inference.speech.timeline import Piece, Timeline, check
from inference.speech.utterance import SoundBuffer
from inference.speech.words import doubt
from proto import codec, subjects
from proto.errors import BadMessage, CandorError, Full, Unavailable
from proto.media import Audio
from proto.observations import Observation, Word, WordsCommitted, WordsTranslated
from runtime.bus import Bus, Delivery
from runtime.log import get_logger

FEATURE = "translation"
MAX_PART_S = 25.0
"""Longer utterances are translated in parts, cut at their longest pauses."""
EDGE_S = 0.2
"""Sound around the words that is decoded with them."""
GONE_S = 0.5
"""Less missing of an utterance's beginning than this is no loss."""
MAX_WAITING = 64
READ_BATCH = 64
READ_TIMEOUT_S = 30.0
TRIES = 3
RETRY_S = 1.0

log = get_logger("speech")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A finished utterance; its sound is in AUDIO from message `from_seq` on. An empty language is not known."""

    utterance: int
    language: str
    words: tuple[Word, ...]
    from_seq: int


def untranslated(commits: Iterable[WordsCommitted], done: Iterable[WordsTranslated]) -> list[Spoken]:
    """The finished utterances of a session's log with words of another language than English and no translation."""
    translated = {message.utterance for message in done}
    found: list[Spoken] = []
    words: dict[int, tuple[Word, ...]] = {}
    from_seq = opened_at = 1
    for commit in commits:
        if commit.utterance not in words:
            # Until its end the safe point of an utterance is the one before it.
            opened_at = from_seq if commit.final else max(from_seq, commit.resume_seq)
        words = {commit.utterance: words.get(commit.utterance, ()) + commit.words}
        spoken = Spoken(commit.utterance, commit.language, words[commit.utterance], opened_at)
        if commit.final and spoken.words and commit.language != ENGLISH and commit.utterance not in translated:
            found.append(spoken)
        from_seq = max(from_seq, commit.resume_seq)
    return found


def parts(words: tuple[Word, ...]) -> list[tuple[float, float]]:
    """From when to when to decode: an utterance in one part, or in several of at most MAX_PART_S cut in its pauses."""
    first, last = words[0], words[-1]
    if last.end_s - first.start_s <= MAX_PART_S or len(words) == 1:
        return [(first.start_s, min(last.end_s, first.start_s + MAX_PART_S))]
    fitting = [i for i in range(1, len(words)) if words[i - 1].end_s - first.start_s <= MAX_PART_S] or [1]
    late = fitting[len(fitting) // 2 :]
    cut = max(late, key=lambda i: (words[i].start_s - words[i - 1].end_s, i))
    return [*parts(words[:cut]), *parts(words[cut:])]


class _Left(CandorError):
    """An utterance that stays as it is; `result` says why."""

    def __init__(self, result: str) -> None:
        super().__init__(result)
        self.result = result


class Translator:
    """Takes utterances of one session and publishes their English by `observe`. At most MAX_WAITING wait: the oldest is
    left to whoever takes the session up next.
    """

    def __init__(
        self, bus: Bus, session: str, decoder: Decoder, observe: Callable[[Observation], Awaitable[None]]
    ) -> None:
        self._bus = bus
        self._session = session
        self._decoder = decoder
        self._observe = observe
        self._waiting: deque[Spoken] = deque()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, spoken: Spoken) -> None:
        """Translate this one when there is time for it."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            metrics.TRANSLATIONS.labels("skipped").inc()
        self._waiting.append(spoken)
        self._idle.clear()
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._news.wait()
            while self._waiting:
                spoken = self._waiting.popleft()
                metrics.TRANSLATIONS.labels(await self._try(spoken)).inc()
            self._news.clear()
            self._idle.set()

    async def drained(self, timeout_s: float) -> bool:
        """Wait until nothing waits any more; False if that takes longer."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _try(self, spoken: Spoken) -> str:
        """Translate and publish an utterance; returns what became of it, for the counter."""
        for attempt in range(TRIES):
            try:
                await self._translate(spoken)
            except _Left as left:
                return left.result
            except (Unavailable, Full) as error:
                log.warning("speech.translation_failed", session=self._session, attempt=attempt, error=str(error))
                await asyncio.sleep(RETRY_S)
            except Exception:
                # The boundary of an utterance: whatever is wrong with it must not cost the ones behind it.
                log.exception("speech.translation_broke", session=self._session, utterance=spoken.utterance)
                break
            else:
                return "done"
        return "failed"

    async def _translate(self, spoken: Spoken) -> None:
        found = [await self._part(spoken, start_s, end_s) for start_s, end_s in parts(spoken.words)]
        text = " ".join(segment.text for hypothesis in found for segment in hypothesis.segments if segment.text)
        if not text:
            raise _Left("empty")
        first, last = spoken.words[0], spoken.words[-1]
        await self._observe(
            WordsTranslated(
                session=self._session,
                source="speech",
                seq=spoken.utterance,
                t_s=last.end_s,
                utterance=spoken.utterance,
                text=text,
                language=found[0].language,
                model=self._decoder.model,
                start_s=first.start_s,
                end_s=last.end_s,
            )
        )

    async def _part(self, spoken: Spoken, start_s: float, end_s: float) -> Hypothesis:
        passage = await self._passage(spoken, start_s, end_s)
        if passage is None:
            log.warning("speech.translation_without_sound", session=self._session, utterance=spoken.utterance)
            raise _Left("gone")
        hypothesis = await self._decode(passage)
        if hypothesis.language == ENGLISH:
            raise _Left("english")
        if doubt(hypothesis):
            raise _Left("doubtful")
        return hypothesis

    async def _decode(self, passage: Passage) -> Hypothesis:
        if not passage.language:
            # What is found to be English must not be "translated" into other English words.
            heard = await self._decoder.decode(replace(passage, task="transcribe"), "translation")
            if heard.language == ENGLISH:
                return heard
            passage = replace(passage, language=heard.language)
        return await self._decoder.decode(passage, "translation")

    async def _passage(self, spoken: Spoken, start_s: float, end_s: float) -> Passage | None:
        """The sound of a part, read from AUDIO; None if the stream has not kept its beginning."""
        timeline, sound = Timeline(), SoundBuffer()
        subject = subjects.audio(self._session)
        async with self._bus.follow(subjects.AUDIO, subject, max(1, spoken.from_seq)) as follow:
            deadline_s = asyncio.get_running_loop().time() + READ_TIMEOUT_S
            while sound.end_s < end_s + EDGE_S:
                batch = await follow.next(READ_BATCH, 0.1)
                for piece in (piece for delivery in batch for piece in _pieces(timeline, delivery)):
                    if piece.end_s > start_s - EDGE_S and sound.end_s < end_s + EDGE_S:
                        sound.append(piece.t_s, piece.samples)
                if not batch and follow.opened:
                    break
                if asyncio.get_running_loop().time() > deadline_s:
                    raise Unavailable(f"AUDIO did not answer for {READ_TIMEOUT_S:g} s")
        if not sound.duration_s or sound.start_s > start_s + GONE_S:
            return None
        sound.drop_before(start_s - EDGE_S)
        return Passage(sound.samples(end_s + EDGE_S), spoken.language, task="translate")


def _pieces(timeline: Timeline, delivery: Delivery) -> list[Piece]:
    try:
        message: Audio = codec.decode(delivery.data, Audio)
        check(message, delivery.data)
    except BadMessage:
        # Whoever listens to the session has put it aside, or will.
        return []
    return [stretch for stretch in timeline.take(message, delivery.seq) if isinstance(stretch, Piece)]

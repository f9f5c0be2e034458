"""One session's sound, from the stream to the log, for as long as this worker holds its lease."""

from __future__ import annotations

import asyncio
import time

from inference.backends.silero import SileroBackend
from inference.backends.voice_encoder import FEATURE as VOICES
from inference.speech import metrics
from inference.speech.decoding import Decoder
from inference.speech.encoder import VoiceEncoder
from inference.speech.hearing import Event, Heard, Hearing
from inference.speech.publishing import SWITCHED_OFF, Publisher
from inference.speech.resume import SOURCE, Standing
from inference.speech.settings import SpeechSettings
from inference.speech.speakers import Speakers
from inference.speech.timeline import End, Gap, Piece, Stretch, Timeline, check, is_interviewer
from inference.speech.writer import Writer
from proto import codec, subjects
from proto.errors import BadMessage, CandorError, Unavailable
from proto.media import Audio
from proto.observations import SpeechHeard
from runtime.bus import Bus, Delivery, Follow
from runtime.leases import Lease
from runtime.log import get_logger

BATCH = 64
WAIT_S = 0.5

log = get_logger("speech")


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
        self._settings = settings
        self._standing = standing
        self._silero = silero
        self._encoder = encoder
        self._publisher = Publisher(bus, session, lease)
        self._next_second = standing.next_second
        self._timeline = Timeline()
        self._hearing = Hearing(
            silero, settings.vad, settings.endpoints, resume=standing.safe, pause_s=standing.pause_s
        )
        self._writer = Writer(self._publisher, standing, settings, decoder)
        self._speakers: Speakers | None = None
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
        await self._writer.prepare()
        await self._prepare_voices()
        from_seq = self._standing.safe.seq if self._standing.safe else 1
        try:
            async with (
                self._writer.translating(lambda: not stop.is_set()),
                self._bus.follow(subjects.AUDIO, subjects.audio(self._session), max(1, from_seq)) as follow,
            ):
                await self._listen(follow, stop)
        finally:
            self._writer.leave()

    async def _prepare_voices(self) -> None:
        """Be ready to tell voices apart, or say once why they are not."""
        wanted = self._settings.voices and self._standing.analysis.voices
        missing = await self._encoder.ensure() if wanted else None
        if wanted and missing is None:
            observe = self._publisher.observe
            self._speakers = Speakers(self._session, self._encoder, self._silero, self._settings, observe)
            if self._standing.resumed:
                await self._speakers.restore(self._bus)
        if not self._standing.told_voices:
            reason = missing.reason if missing else "" if wanted else SWITCHED_OFF
            await self._publisher.feature(VOICES, reason, missing.command if missing else "")

    async def _listen(self, follow: Follow, stop: asyncio.Event) -> None:
        clock = asyncio.get_running_loop()
        quiet_s, heard_s = 0.0, clock.time()
        ended = stalled = False
        while not stop.is_set():
            self._publisher.check_lease()
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
        self._writer.lags(behind_s)
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

    async def _tell(self, events: list[Event]) -> None:
        """Publish what was heard, by whom, and which words."""
        for event in events:
            if self._speakers is not None:
                # Before the words: once an utterance's last words are in the log, nobody listens to it again.
                await self._speakers.hear(event)
            if isinstance(event, Heard):
                await self._heard(event)
            else:
                await self._writer.hear(event)

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
        await self._publisher.observe(observation)


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

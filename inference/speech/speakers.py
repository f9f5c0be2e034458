"""Whose voice it is, for one session: cells of speech to the encoder, and what comes of them to the log.

The candidate's sound comes as events of the session's own hearing. The interviewer's source has a timeline and a
hearing of its own: its words are nobody's transcript, its voice is what the candidate's side is compared with.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.backends.silero import SileroBackend
from inference.signals.mel import Sound
from inference.speech.cells import Batch
from inference.speech.encoder import VoiceEncoder
from inference.speech.hearing import Event, Hearing
from inference.speech.settings import SpeechSettings
from inference.speech.timeline import Piece, Timeline, check, is_interviewer
from inference.speech.voices import Again, Voiced, Voices, again
from proto import codec, subjects
from proto.errors import BadMessage
from proto.media import SAMPLE_RATE_HZ, Audio
from proto.observations import Observation, VoiceHeard
from runtime.bus import Bus
from runtime.log import get_logger

SOURCE = "speech"
INTERVIEWER_AGAIN_S = 120.0
"""So much of the interviewer's latest sound a successor hears again to know the voice."""

log = get_logger("speech")

Observe = Callable[[Observation], Awaitable[None]]


class Speakers:
    """Follows both sides of one session; `observe` publishes. `restore` first, where a predecessor was at work."""

    def __init__(
        self, session: str, encoder: VoiceEncoder, silero: SileroBackend, settings: SpeechSettings, observe: Observe
    ) -> None:
        self._session = session
        self._encoder = encoder
        self._observe = observe
        self._voices = Voices()
        self._timeline = Timeline("interviewer")
        self._hearing = Hearing(silero, settings.vad, settings.endpoints)

    async def hear(self, event: Event) -> None:
        """Follow what the candidate's source gives to hear."""
        await self._take(self._voices.take(event))

    async def hear_interviewer(self, message: Audio, seq: int) -> None:
        """Follow a message (already checked) of the interviewer's own source."""
        for stretch in self._timeline.take(message, seq):
            for event in self._hearing.take(stretch):
                await self._take(self._voices.take(event, interviewer=True))

    async def restore(self, bus: Bus) -> None:
        """Make anew what a predecessor knew, from the log and the sound that AUDIO still has.

        Raises:
            BusUnavailable: NATS does not answer.
        """
        heard = [one async for one in self._told(bus)]
        timeline, theirs = Timeline(), deque[tuple[Audio, int]]()
        wanted: list[_Wanted] | None = None
        async for message, seq in self._sound_left(bus):
            if is_interviewer(message):
                theirs.append((message, seq))
                while theirs[0][0].t_s < message.t_s - INTERVIEWER_AGAIN_S:
                    theirs.popleft()
                continue
            if wanted is None:
                wanted = [_Wanted(one) for one in again(heard, since_s=message.t_s)]
            for piece in timeline.take(message, seq):
                if isinstance(piece, Piece):
                    for one in wanted:
                        one.take(piece)
        for message, seq in theirs:
            await self.hear_interviewer(message, seq)
            # A long takeover must not keep the other sessions of this process waiting.
            await asyncio.sleep(0)
        if heard:
            await self._restore(heard, wanted or [])

    async def _restore(self, heard: Sequence[VoiceHeard], wanted: Sequence[_Wanted]) -> None:
        left = [one for one in wanted if one.sound.size]
        embeddings = await self._encoder.embed([one.sound for one in left])
        self._voices.restore(heard, [one.stretch for one in left], embeddings or [None] * len(left))
        log.info("speech.voices_restored", session=self._session, voices=self._voices.count, stretches=len(left))

    async def _told(self, bus: Bus) -> AsyncIterator[VoiceHeard]:
        """What the log says of the session's voices; what is no such observation is the aggregator's to put aside."""
        async for delivery in bus.read(subjects.LOG, subjects.log(self._session, "voice.heard")):
            try:
                yield codec.decode(delivery.data, VoiceHeard)
            except BadMessage:
                log.warning("speech.foreign_message", seq=delivery.seq)

    async def _sound_left(self, bus: Bus) -> AsyncIterator[tuple[Audio, int]]:
        async for delivery in bus.read(subjects.AUDIO, subjects.audio(self._session)):
            try:
                message: Audio = codec.decode(delivery.data, Audio)
                check(message, delivery.data)
            except BadMessage:
                # It is put aside, and counted, where the session comes to it.
                continue
            yield message, delivery.seq

    async def _take(self, batch: Batch | None) -> None:
        if batch is None:
            return
        for voiced in self._voices.apply(batch, await self._encoder.embed(batch.sounds)):
            await self._observe(self._observation(voiced))

    def _observation(self, voiced: Voiced) -> VoiceHeard:
        return VoiceHeard(
            session=self._session,
            source=SOURCE,
            seq=voiced.seq,
            t_s=round(voiced.t_s, 4),
            duration_s=round(voiced.duration_s, 4),
            model=self._encoder.model,
            voice=voiced.voice,
            role=voiced.role,
            similarity=None if voiced.similarity is None else round(voiced.similarity, 4),
            silhouette=None if voiced.silhouette is None else round(voiced.silhouette, 4),
            overlap_s=voiced.overlap_s,
            reason=voiced.reason,
        )


class _Wanted:
    """Sound of a stretch that is embedded again, as far as AUDIO has it."""

    def __init__(self, stretch: Again) -> None:
        self.stretch = stretch
        self._parts: list[NDArray[np.int16]] = []

    def take(self, piece: Piece) -> None:
        """Keep what of a piece lies in the stretch."""
        start = max(0, round((self.stretch.from_s - piece.t_s) * SAMPLE_RATE_HZ))
        end = round((self.stretch.until_s - piece.t_s) * SAMPLE_RATE_HZ)
        if start < end and start < len(piece.samples):
            self._parts.append(piece.samples[start:end].copy())

    @property
    def sound(self) -> Sound:
        """Floats in -1..1; empty where nothing is left."""
        joined = np.concatenate(self._parts) if self._parts else np.zeros(0, np.int16)
        return joined.astype(np.float32) / 32768.0

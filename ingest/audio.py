"""One track of sound: packets in order to 16 kHz mono chunks in AUDIO, each loss a gap of its own."""

from __future__ import annotations

import asyncio
import math

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from ingest import metrics
from ingest.assembly import Packet
from ingest.chunks import Chunker, Gap, GapReason, Sound
from ingest.clock import SessionClock
from ingest.codecs import AUDIO, audio_decoder
from ingest.outbox import AudioOutbox
from ingest.reorder import Lost
from ingest.timeline import Timeline
from proto import codec, media, subjects
from proto.errors import BusUnavailable
from runtime.bus import Bus
from runtime.log import get_logger

log = get_logger("ingest")

_CLOCK_HZ = {"opus": 48_000, "g722": 8_000, "pcma": 8_000, "pcmu": 8_000}
"""RTP clocks; that of G.722 is 8000 although it samples at 16000 (RFC 3551, 4.5.2)."""

PACKET_S = 0.02
"""How long a packet of sound is until one was decoded: what every sender uses unless it is told otherwise."""


class AudioTrack:
    """Decodes as packets arrive (about 2 ms a second of sound, so on the event loop) and appends what comes out.

    `take` never waits. `run` appends until `close` was called and everything is sent.
    """

    def __init__(self, bus: Bus, session: str, source: str, clock: SessionClock, outbox_s: float) -> None:
        self._bus = bus
        self._session = session
        self._source = source
        self._clock = clock
        self._outbox = AudioOutbox(outbox_s)
        self._work = asyncio.Event()
        self._closed = False
        self._chunker = Chunker()
        self._codec = ""
        self._decoder: AudioCodecContext | None = None
        self._resampler = _resampler()
        self._timeline: Timeline | None = None
        self._began = False
        self._packet_s = PACKET_S
        self._missing_s = 0.0
        self._seq = 0
        self.chunks_sent = 0

    @property
    def waiting(self) -> int:
        """Chunks and gaps not yet handed to the bus."""
        return len(self._outbox)

    @property
    def dropped(self) -> int:
        """Chunks that became a gap because NATS was away."""
        return self._outbox.dropped

    def take(self, item: Packet | Lost) -> None:
        """The next packet in sending order, or the news that some never came."""
        if self._closed:
            return
        if isinstance(item, Lost):
            self._missing_s += math.inf if item.restart else item.packets * self._packet_s
            return
        if not item.data or item.codec not in AUDIO:
            return
        if item.codec != self._codec:
            self._change_codec(item.codec)
        self._place(item)
        self._decode(item)

    def _change_codec(self, name: str) -> None:
        self._codec, self._decoder = name, audio_decoder(name)
        self._timeline = Timeline(_CLOCK_HZ[name])

    def _place(self, packet: Packet) -> None:
        """Where the packet lies on the session's time; whatever is missing before it becomes a gap.

        What is missing beyond the packets that were lost was never sent. Where in it the loss was nobody knows; it is
        put last, where a sender that leaves out silence began to speak again.
        """
        assert self._timeline is not None
        moment = self._timeline.at(packet.timestamp, self._clock.at(packet.arrived_unix_s))
        if not self._began:
            self._began = True
            self._chunker.start(moment.t_s)
        if moment.jump_s:
            metrics.CLOCK_JUMPS.labels("audio").inc()
        missing_s, self._missing_s = self._missing_s, 0.0
        if moment.t_s - self._chunker.end_s <= media.CHUNK_S / 10:
            return
        self._drain_resampler()
        reason: GapReason = "loss" if missing_s else "pause"
        if moment.jump_s:
            reason = "jump"
        elif missing_s and moment.t_s - self._chunker.end_s - missing_s > self._packet_s:
            self._push(self._chunker.gap(moment.t_s - missing_s, "pause"))
        self._push(self._chunker.gap(moment.t_s, reason))

    def _decode(self, packet: Packet) -> None:
        assert self._decoder is not None
        try:
            frames = self._decoder.decode(av.Packet(packet.data))
        except av.FFmpegError:
            # The next packet's timestamp shows how much is missing.
            self._missing_s += self._packet_s
            return
        self._packet_s = sum(frame.samples / frame.sample_rate for frame in frames) or self._packet_s
        for frame in frames:
            self._resample(frame)

    def _resample(self, frame: AudioFrame | None) -> None:
        if frame is not None:
            frame.pts = None
        for piece in self._resampler.resample(frame):
            self._push(self._chunker.add(bytes(piece.planes[0])[: piece.samples * 2]))

    def _drain_resampler(self) -> None:
        """Get out what its filter holds back (about a millisecond), so that sound ends where the gap begins."""
        self._resample(None)
        self._resampler = _resampler()

    def _push(self, items: list[Sound] | list[Sound | Gap]) -> None:
        for item in items:
            self._outbox.push(item)
        if items:
            self._work.set()

    def close(self) -> None:
        """No more packets: what is left goes out, and then the end."""
        if self._closed:
            return
        if self._timeline is not None:
            self._drain_resampler()
            self._push(self._chunker.flush())
        self._closed = True
        self._work.set()

    async def run(self) -> None:
        """Append in order until closed and empty; then the end of the source."""
        while True:
            item = self._outbox.pop()
            if item is not None:
                await self._append(_message(self._session, self._source, self._seq, item))
            elif self._closed:
                break
            else:
                self._work.clear()
                await self._work.wait()
        end_s = self._chunker.end_s if self._began else self._clock.now()
        await self._append(media.AudioEnd(self._session, self._source, self._seq, end_s))

    async def _append(self, message: media.Audio) -> None:
        """Store one message, however long NATS is away: its id makes a second copy harmless."""
        message_id = codec.message_id(self._session, self._source, message.seq, "audio")
        while True:
            try:
                await self._bus.append(subjects.audio(self._session), message, message_id)
                break
            except BusUnavailable as error:
                log.warning("ingest.audio_waits", session=self._session, waiting=self.waiting, reason=str(error))
        self._seq += 1
        if isinstance(message, media.AudioChunk):
            self.chunks_sent += 1
            metrics.AUDIO_CHUNKS.inc()
        elif isinstance(message, media.AudioGap):
            metrics.AUDIO_GAPS.labels(message.reason).inc()


def _message(session: str, source: str, seq: int, item: Sound | Gap) -> media.AudioChunk | media.AudioGap:
    if isinstance(item, Sound):
        return media.AudioChunk(session, source, seq, item.t_s, item.pcm)
    return media.AudioGap(session, source, seq, item.t_s, item.duration_s, item.reason)


def _resampler() -> AudioResampler:
    return AudioResampler(format="s16", layout="mono", rate=media.SAMPLE_RATE_HZ)

"""One publisher: from its offer to its last word in the log."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

from ingest import metrics, roles
from ingest.assembly import Assembler, Packet
from ingest.audio import AudioTrack
from ingest.clock import SessionClock
from ingest.frames import FramePublisher
from ingest.reorder import Lost
from ingest.reports import Reports
from ingest.ring import Ring
from ingest.rtc import OnPacket, RtcConnection
from ingest.sdp import CheckedOffer, parse_fragment
from ingest.settings import IngestSettings
from ingest.video import Limits, VideoTrack
from proto.observations import LossReason, SourceLost, SourceStats, SourceUp
from proto.signalling import Answer, Declined, Done, Offer, Patch, PeerReply
from runtime.bus import Bus
from runtime.log import get_logger

log = get_logger("ingest")

STATS_EVERY_S = 2.0
WATCH_EVERY_S = 0.5
CLOSE_TIMEOUT_S = 3.0
FLUSH_S = 30.0
"""How long a peer that is gone waits for NATS to take what it left."""


class Peer:
    """A peer connection and what is made of its tracks. `answer` once, then `run` until it has ended."""

    def __init__(self, bus: Bus, settings: IngestSettings, node: str, offer: Offer, checked: CheckedOffer) -> None:
        self.id = roles.name(offer.role, secrets.token_hex(8))
        self.role = offer.role
        self.session = offer.session
        self.etag = secrets.token_hex(8)
        self.ring = Ring(settings.ring_s, int(settings.ring_mib * 1024 * 1024))
        self._settings = settings
        self._node = node
        self._checked = checked
        self._clock = SessionClock(offer.created_unix_s)
        self._rtc = RtcConnection(settings, self._clock, self._changed)
        self._reports = Reports(bus)
        self._frames = FramePublisher(bus, offer.session, self.id, self.ring, keep_text=offer.analysis.keep_text)
        limits = Limits(settings.thin_after_s, settings.cut_after_s)
        self.video = VideoTrack(self._clock, offer.analysis, limits, self._frames.offer)
        self.audio = AudioTrack(bus, offer.session, self.id, self._clock, settings.audio_outbox_s)
        self._hears = checked.audio and offer.analysis.audio
        self._sees = roles.sees(offer.role, checked)
        self._assembler = Assembler()
        self._connected = asyncio.Event()
        self._settled = asyncio.Event()
        self._reason: asyncio.Future[LossReason] = asyncio.get_running_loop().create_future()
        self._stats_seq = 0

    async def answer(self) -> Answer:
        """SDP answer with all of our candidates; media is taken from its first packet on.

        Raises:
            BadInput: the offer cannot be answered.
            Unavailable: no UDP port is free.
        """
        on_packet: dict[str, OnPacket] = {"audio": self._audio_packet}
        if self.role == "candidate":
            on_packet["video"] = self._video_packet
        sdp = await self._rtc.answer(self._checked, on_packet, self.video.wants_key)
        return Answer(sdp=sdp, node=self._node, peer=self.id, etag=self.etag)

    def _video_packet(self, item: Packet | Lost) -> None:
        for coded in self._assembler.add(item):
            self.video.take(coded)

    def _audio_packet(self, item: Packet | Lost) -> None:
        if self._hears:
            self.audio.take(item)

    def patch(self, patch: Patch) -> PeerReply:
        """Trickle ICE. A restart is refused (RFC 9725, 4.3.3 allows it): the peer sends a new offer instead."""
        fragment = parse_fragment(patch.sdpfrag)
        if isinstance(fragment, Declined):
            return fragment
        if patch.etag.strip('"') not in ("", "*", self.etag):
            return Declined(status=412, detail="If-Match names another ICE session")
        same = (fragment.ufrag in ("", self._checked.ufrag)) and (fragment.pwd in ("", self._checked.pwd))
        if not same or patch.etag == "*":
            return Declined(status=422, detail="ICE restarts are not supported; send a new offer")
        self._rtc.add_candidates(fragment.candidates)
        return Done()

    async def discard(self) -> None:
        """Free what an offer that came to nothing has taken."""
        await self._rtc.close()

    def end(self, reason: LossReason) -> None:
        """End with this reason, unless it is ending already."""
        if not self._reason.done():
            self._reason.set_result(reason)

    @property
    def connected(self) -> asyncio.Event:
        """Set once the peer is connected."""
        return self._connected

    def _changed(self, state: str) -> None:
        if state == "connected":
            self._connected.set()
            self._settled.set()
        else:
            self.end("failed" if state == "failed" else "closed")

    async def run(self) -> None:
        """Publish what the peer sends until it ends, then its end."""
        if self._sees:
            self.video.start()
        sending = [asyncio.create_task(self._frames.run())]
        storing = [asyncio.create_task(self._reports.run())]
        if self._hears:
            storing.append(asyncio.create_task(self.audio.run()))
        try:
            for task in (*sending, *storing):
                task.add_done_callback(self._worker_ended)
            reason = await self._live()
            await self._hang_up()
            if self._connected.is_set():
                self._last_words(reason)
                await asyncio.wait(storing, timeout=FLUSH_S)
        finally:
            for task in (*sending, *storing):
                if not task.done():
                    task.cancel()
            await asyncio.gather(*sending, *storing, return_exceptions=True)
            self.video.stop()
        if self.audio.waiting:
            log.error("ingest.audio_abandoned", session=self.session, waiting=self.audio.waiting)

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        """A worker that broke ends the peer: half a source would be taken for the whole."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("ingest.worker_failed", session=self.session, peer=self.id, exc_info=error)
            self.end("failed")

    async def _live(self) -> LossReason:
        """Wait for the end; says why."""
        self._reason.add_done_callback(lambda _: self._settled.set())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), self._settings.connect_timeout_s)
        if not self._connected.is_set():
            self.end("failed")
            log.warning("ingest.never_connected", session=self.session, peer=self.id, missing=self._rtc.missing)
            return self._reason.result()
        log.info("ingest.peer_up", session=self.session, peer=self.id, role=self.role)
        up = SourceUp(
            session=self.session,
            source=self.id,
            seq=0,
            t_s=self._clock.now(),
            node=self._node,
            video=self._sees,
            audio=self._checked.audio,
        )
        self._reports.up(up)
        return await self._watch()

    async def _watch(self) -> LossReason:
        """Report statistics; end a peer that fell silent or too far behind."""
        next_stats_s = 0.0
        while not self._reason.done():
            if self._rtc.silent_s > self._settings.silence_s:
                self.end("failed")
            elif self.video.given_up:
                self.end("behind")
            elif self._clock.unix() >= next_stats_s:
                next_stats_s = self._clock.unix() + STATS_EVERY_S
                self._reports.stats(self._stats())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._reason), WATCH_EVERY_S)
        return self._reason.result()

    def _stats(self) -> SourceStats:
        width_px, height_px = self.video.size
        seq, self._stats_seq = self._stats_seq, self._stats_seq + 1
        return SourceStats(
            session=self.session,
            source=self.id,
            seq=seq,
            t_s=self._clock.now(),
            frames_sent=self._frames.sent,
            frames_dropped=self._frames.dropped + self.video.dropped,
            audio_chunks=self.audio.chunks_sent,
            packets_received=self._rtc.packets_received,
            packets_lost=self._rtc.packets_lost,
            lag_s=round(self.video.lag_s, 3),
            width_px=width_px,
            height_px=height_px,
        )

    async def _hang_up(self) -> None:
        self.video.stop()
        self._frames.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._rtc.close()
        except TimeoutError:
            log.warning("ingest.close_timed_out", session=self.session, peer=self.id)
        self.audio.close()

    def _last_words(self, reason: LossReason) -> None:
        self._reports.stats(self._stats())
        self._reports.lost(
            SourceLost(session=self.session, source=self.id, seq=0, t_s=self._clock.now(), reason=reason)
        )
        metrics.PEERS_LOST.labels(reason).inc()
        log.info("ingest.peer_lost", session=self.session, peer=self.id, reason=reason)

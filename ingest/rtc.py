"""One WebRTC connection that receives: aiortc's transport and negotiation, our own way with the packets.

aiortc queues received media without a bound in two places (coded pictures for its decoder thread, decoded frames for
the track) and hides losses. Here its jitter buffer is replaced by one that hands every packet on at once, so neither
queue is ever filled. The private names that are touched, all of them on the objects of this one connection:

- `RTCRtpReceiver.__jitter_buffer`: `add(packet) -> (ask for a key picture, coded picture or None)`, replaced by `_Tap`;
- `RTCRtpReceiver.__decoder_queue`: replaced, so that the decoder thread that aiortc starts ends at once;
- `RTCRtpReceiver.__codecs`: read, payload type to codec;
- `RTCIceTransport._connection`: aioice's connection, whose gathering `ingest.ice` replaces and whose
  `request_received` is wrapped to know when the peer was last heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aioice import stun
from aioice.ice import Connection, StunProtocol
from aiortc import RTCIceCandidate, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtp import RtpPacket
from aiortc.sdp import SessionDescription

from ingest import ice, metrics
from ingest.assembly import Packet
from ingest.clock import SessionClock
from ingest.reorder import Lost, Reorder
from ingest.sdp import MAX_CANDIDATES, CheckedOffer, RemoteCandidate
from ingest.settings import IngestSettings
from proto.errors import BadInput, Unavailable
from runtime.log import get_logger

log = get_logger("ingest")

JITTER_BUFFER = "_RTCRtpReceiver__jitter_buffer"
DECODER_QUEUE = "_RTCRtpReceiver__decoder_queue"
CODECS = "_RTCRtpReceiver__codecs"
ICE_CONNECTION = "_connection"
REQUEST_RECEIVED = "request_received"

VIDEO_WAIT_S = 0.25
"""How long a hole in the video waits for its retransmission."""
AUDIO_WAIT_S = 0.12
"""How long a hole in the sound waits for a packet that was overtaken; sound is not retransmitted."""
SSRC_SILENT_S = 1.0
RESOLVE_TIMEOUT_S = 3.0
CODEC = "codec"
"""Field of the BadInput that says that no codec of the offer can be decoded."""

OnPacket = Callable[[Packet | Lost], None]


class _EndedQueue:
    """Stands for aiortc's decoder queue: tells the thread that reads it to end."""

    def get(self) -> None:
        return None

    def put(self, _item: object) -> None:
        return None


class _Tap:
    """Stands for aiortc's jitter buffer: packets of one track into sending order, and on at once."""

    def __init__(
        self,
        receiver: RTCRtpReceiver,
        kind: str,
        clock: SessionClock,
        on_packet: OnPacket,
        wants_key: Callable[[], bool],
    ) -> None:
        self._receiver = receiver
        self._clock = clock
        self._on_packet = on_packet
        self._wants_key = wants_key
        self._capacity, self._wait_s = (512, VIDEO_WAIT_S) if kind == "video" else (32, AUDIO_WAIT_S)
        self._order: Reorder[Packet] = Reorder(self._capacity, self._wait_s)
        self._ssrc: int | None = None
        self._received = metrics.PACKETS_RECEIVED.labels(kind)
        self._lost = metrics.PACKETS_LOST.labels(kind)
        self.heard_unix_s = 0.0
        self.received = 0
        self.lost = 0

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """aiortc's side: called with each packet after retransmissions are unwrapped and its payload header is off."""
        now_unix_s = self._clock.unix()
        if packet.ssrc != self._ssrc:
            # One stream at a time: another one takes over only when this one has fallen silent.
            if self._ssrc is not None and now_unix_s - self.heard_unix_s < SSRC_SILENT_S:
                return False, None
            self._ssrc = packet.ssrc
            self._order = Reorder(self._capacity, self._wait_s)
            self._on_packet(Lost(0, restart=True))
        self.heard_unix_s = now_unix_s
        self.received += 1
        self._received.inc()
        codec = getattr(self._receiver, CODECS)[packet.payload_type].name.lower()
        data: bytes = packet._data  # type: ignore[attr-defined]  # set by the receiver before it calls us
        held = Packet(codec, packet.timestamp, bool(packet.marker), data, now_unix_s)
        for item in self._order.add(packet.sequence_number, held, now_unix_s):
            if isinstance(item, Lost):
                self.lost += item.packets
                self._lost.inc(item.packets)
            self._on_packet(item)
        return self._wants_key(), None


class RtcConnection:
    """A connection that answers one offer. `on_change` is called with "connected", "failed" or "closed"."""

    def __init__(self, settings: IngestSettings, clock: SessionClock, on_change: Callable[[str], None]) -> None:
        self._clock = clock
        self._policy = ice.IcePolicy.of(settings)
        self._pc = RTCPeerConnection(ice.configuration(settings))
        self._on_change = on_change
        self._taps: dict[str, _Tap] = {}
        self._resolving: set[asyncio.Task[None]] = set()
        self._candidates = 0
        self._heard_unix_s = clock.unix()
        self._pc.on("connectionstatechange", self._changed)

    async def answer(self, offer: CheckedOffer, on_packet: dict[str, OnPacket], wants_key: Callable[[], bool]) -> str:
        """SDP answer with all of our candidates; packets of each kind of track go to `on_packet[kind]` from then on.

        A kind that `on_packet` leaves out is answered inactive, and whatever comes of it goes nowhere.

        Raises:
            BadInput: the offer has nothing that can be decoded, or does not parse after all.
            Unavailable: no UDP port is free.
        """
        await self._set_offer(offer)
        for transceiver in self._pc.getTransceivers():
            kind = transceiver.kind
            if kind not in on_packet:
                transceiver.direction = "inactive"
            tap = _Tap(transceiver.receiver, kind, self._clock, on_packet.get(kind, _nowhere), wants_key)
            setattr(transceiver.receiver, JITTER_BUFFER, tap)
            setattr(transceiver.receiver, DECODER_QUEUE, _EndedQueue())
            if kind in on_packet:
                self._taps[kind] = tap
        ice.apply(self._policy, self._connection)
        self._listen(self._connection)
        try:
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except (ValueError, InvalidStateError) as error:
            raise BadInput("cannot be answered", field="offer") from error
        if not self._connection.local_candidates:
            raise Unavailable("no UDP port is free on this node")
        self.add_candidates(offer.candidates)
        return str(self._pc.localDescription.sdp)

    async def _set_offer(self, offer: CheckedOffer) -> None:
        _check_parses(offer.sdp)
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        except OperationError as error:
            raise BadInput(
                "needs VP8 or H.264 baseline (packetization mode 1), Opus, G.722 or G.711", field=CODEC
            ) from error
        except (ValueError, LookupError, AssertionError, InvalidAccessError, InvalidStateError) as error:
            raise BadInput("cannot be answered", field="offer") from error

    @property
    def _connection(self) -> Connection:
        transport = self._pc.getTransceivers()[0].receiver.transport.transport
        connection: Connection = getattr(transport, ICE_CONNECTION)
        return connection

    def _listen(self, connection: Connection) -> None:
        answer_check: Any = getattr(connection, REQUEST_RECEIVED)

        def heard(message: stun.Message, address: tuple[str, int], protocol: StunProtocol) -> None:
            self._heard_unix_s = self._clock.unix()
            answer_check(message, address, protocol)

        setattr(connection, REQUEST_RECEIVED, heard)

    def _changed(self) -> None:
        if self._pc.connectionState in ("connected", "failed", "closed"):
            self._on_change(self._pc.connectionState)

    def add_candidates(self, candidates: tuple[RemoteCandidate, ...]) -> None:
        """Add remote candidates, so many at most; those that turn out to be of no use are dropped silently."""
        for candidate in candidates[: MAX_CANDIDATES - self._candidates]:
            self._candidates += 1
            task = asyncio.create_task(self._add(candidate))
            self._resolving.add(task)
            task.add_done_callback(self._resolving.discard)

    async def _add(self, candidate: RemoteCandidate) -> None:
        transport = self._pc.getTransceivers()[0].receiver.transport.transport
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                await transport.addRemoteCandidate(
                    RTCIceCandidate(
                        component=1,
                        foundation=candidate.foundation,
                        ip=candidate.host,
                        port=candidate.port,
                        priority=candidate.priority,
                        protocol="udp",
                        type=candidate.kind,
                    )
                )
        except (OSError, ValueError, TimeoutError):
            # A `.local` name where multicast does not work.
            metrics.CANDIDATES_DROPPED.inc()

    @property
    def missing(self) -> str:
        """What a connection that did not come about lacked: a way through the network, or the secure handshake."""
        return "handshake" if self._pc.iceConnectionState == "completed" else "route"

    @property
    def silent_s(self) -> float:
        """For how long nothing was heard of the peer, media or connectivity checks."""
        return self._clock.unix() - max(self._heard_unix_s, *(tap.heard_unix_s for tap in self._taps.values()))

    @property
    def packets_received(self) -> int:
        return sum(tap.received for tap in self._taps.values())

    @property
    def packets_lost(self) -> int:
        return sum(tap.lost for tap in self._taps.values())

    async def close(self) -> None:
        """Say goodbye to the peer and free the ports."""
        for task in self._resolving:
            task.cancel()
        await self._pc.close()


def _nowhere(_item: Packet | Lost) -> None:
    """What becomes of a packet that nobody wanted."""


def _check_parses(sdp: str) -> None:
    """aiortc's parser says what it does not understand in any of these, and inside a coroutine the last would be lost.

    Raises:
        BadInput: it does not understand it.
    """
    try:
        SessionDescription.parse(sdp)
    except (ValueError, LookupError, AssertionError, AttributeError, TypeError, StopIteration) as error:
        raise BadInput("does not parse", field="offer") from error

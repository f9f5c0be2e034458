"""A real WebRTC publisher made of aiortc, that speaks to an ingest node by its messages; and what it sends."""

from __future__ import annotations

import asyncio
import fractions
import time
from collections.abc import Callable

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcconfiguration import RTCBundlePolicy
from av import AudioFrame, VideoFrame

from proto import subjects
from proto.policy import Analysis
from proto.signalling import Answer, Declined, Delete, Offer, OfferReply, Patch, PeerReply, Role
from runtime.bus import Bus
from tests.support.wait import eventually

TONE_HZ = 440.0
AUDIO_RATE_HZ = 48_000
PTIME_S = 0.02


class Picture(MediaStreamTrack):
    """Video at `fps` whose brightness steps with time: 8 bars that move, so that every picture differs."""

    kind = "video"

    def __init__(self, width: int = 640, height: int = 360, fps: int = 15) -> None:
        super().__init__()
        self._shape = (height, width)
        self._fps = fps
        self._count = 0
        self._start = 0.0

    def draw(self, number: int) -> VideoFrame:
        height, width = self._shape
        column = ((np.arange(width) * 8 // width + number) % 8 * 28 + 16).astype(np.uint8)
        frame = VideoFrame(width, height, "yuv420p")
        for plane, data in zip(frame.planes, (np.tile(column, (height, 1)), None, None), strict=True):
            values = np.full((plane.height, plane.line_size), 128, np.uint8)
            if data is not None:
                values[:, : plane.width] = data
            plane.update(values.tobytes())
        return frame

    async def recv(self) -> VideoFrame:
        await pace(self, self._count / self._fps)
        frame = self.draw(self._count)
        frame.pts, frame.time_base = self._count * (90_000 // self._fps), fractions.Fraction(1, 90_000)
        self._count += 1
        return frame


class Tone(MediaStreamTrack):
    """A 440 Hz tone in 20 ms frames, with a click (full scale, 1 ms) every second."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._start = 0.0

    async def recv(self) -> AudioFrame:
        await pace(self, self._count * PTIME_S)
        samples = int(PTIME_S * AUDIO_RATE_HZ)
        at = self._count * samples + np.arange(samples)
        wave = 8000 * np.sin(2 * np.pi * TONE_HZ * at / AUDIO_RATE_HZ)
        wave[at % AUDIO_RATE_HZ < AUDIO_RATE_HZ // 1000] = 32000
        frame = AudioFrame.from_ndarray(wave.astype(np.int16)[None, :], format="s16", layout="mono")
        frame.sample_rate = AUDIO_RATE_HZ
        frame.pts, frame.time_base = self._count * samples, fractions.Fraction(1, AUDIO_RATE_HZ)
        self._count += 1
        return frame


async def pace(track: MediaStreamTrack, media_s: float) -> None:
    """Wait until a track's frame is due."""
    if track.readyState != "live":
        raise MediaStreamError
    if not track._start:
        track._start = time.monotonic()
    await asyncio.sleep(max(0.0, track._start + media_s - time.monotonic()))


class Publisher:
    """Sends tracks to whichever node answers. `lose(kind, n)` decides which RTP packets never leave."""

    def __init__(
        self,
        bus: Bus,
        session: str,
        *tracks: MediaStreamTrack,
        analysis: Analysis | None = None,
        role: Role = "candidate",
    ) -> None:
        self._bus = bus
        self.session = session
        self.role = role
        self.created_unix_s = time.time()
        self.analysis = analysis or Analysis()
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        for track in tracks:
            self.pc.addTransceiver(track, direction="sendonly")
        self.answer: Answer | None = None

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def ask(self, sdp: str) -> OfferReply:
        offer = Offer(
            session=self.session,
            sdp=sdp,
            created_unix_s=self.created_unix_s,
            analysis=self.analysis,
            role=self.role,
        )
        return await self._bus.request(subjects.INGEST_OFFER, offer, OfferReply, 10)

    async def start(self) -> Answer:
        self.take(await self.ask(await self.offer()))
        return await self.receive()

    def take(self, reply: OfferReply) -> None:
        assert isinstance(reply, Answer), reply
        self.answer = reply

    async def receive(self) -> Answer:
        assert self.answer
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer.sdp, "answer"))
        return self.answer

    async def connected(self) -> None:
        await eventually(lambda: self.pc.connectionState == "connected", 10)

    async def patch(self, sdpfrag: str, etag: str | None = None, peer: str | None = None) -> PeerReply:
        assert self.answer
        subject = subjects.ingest_peer(self.answer.node, peer or self.answer.peer, "patch")
        chosen = self.answer.etag if etag is None else etag
        return await self._bus.request(subject, Patch(session=self.session, sdpfrag=sdpfrag, etag=chosen), PeerReply, 5)

    async def delete(self, session: str | None = None) -> PeerReply:
        assert self.answer
        subject = subjects.ingest_peer(self.answer.node, self.answer.peer, "delete")
        return await self._bus.request(subject, Delete(session=session or self.session), PeerReply, 5)

    def lose(self, lost: Callable[[str, int], bool]) -> None:
        """Script the network: `lost(kind, n)` says whether the n-th RTP packet of this kind is swallowed."""
        transport = self.pc.getSenders()[0].transport
        kinds = {sender._ssrc: sender.kind for sender in self.pc.getSenders()}
        kinds |= {sender._rtx_ssrc: "rtx" for sender in self.pc.getSenders()}
        counts = {"video": 0, "audio": 0, "rtx": 0}
        unscripted = transport._send_rtp

        async def send(data: bytes) -> None:
            rtcp = 192 <= data[1] <= 223
            kind = None if rtcp else kinds.get(int.from_bytes(data[8:12], "big"))
            if kind is not None:
                counts[kind] += 1
                if lost(kind, counts[kind] - 1):
                    return
            await unscripted(data)

        transport._send_rtp = send

    async def vanish(self) -> None:
        """Die without a word, as a killed process does: nothing more is sent or answered."""
        for sender in self.pc.getSenders():
            connection = sender.transport.transport._connection
            for protocol in connection._protocols:
                protocol.transport.abort()

    async def close(self) -> None:
        await self.pc.close()


def declined(reply: object) -> Declined:
    assert isinstance(reply, Declined), reply
    return reply

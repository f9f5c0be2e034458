"""Many WebRTC peers in one process that send encoded packets as they are: load without the cost of encoding.

`python -m bench.peers URL COUNT FILE POLICY` creates the sessions, prints their ids as one JSON line when all are
connected, and streams until its standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import httpx
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from av.packet import Packet

CONNECT_S = 30.0


@dataclass(frozen=True)
class Loop:
    """Packets of one stream with their times from 0, and how long the whole is."""

    packets: tuple[tuple[float, bytes], ...]
    duration_s: float


def read(path: str, kind: str) -> Loop:
    """Packets of the first `kind` (video or audio) stream of a file."""
    with av.open(path) as container:
        stream = getattr(container.streams, kind)[0]
        packets = [p for p in container.demux(stream) if p.pts is not None and p.size]
        times = [max(0.0, float(p.pts * p.time_base)) for p in packets]
        duration_s = float(container.duration or 0) / av.time_base
        return Loop(tuple(zip(times, (bytes(p) for p in packets), strict=True)), max(duration_s, times[-1] + 0.02))


class LoopTrack(MediaStreamTrack):
    """Sends a loop in real time, for ever."""

    def __init__(self, kind: str, loop: Loop, rate_hz: int) -> None:
        self.kind = kind
        super().__init__()
        self._recorded = loop
        self._rate_hz = rate_hz
        self._index = 0
        self._begin_s: float | None = None

    async def recv(self) -> Packet[Any]:
        clock = asyncio.get_running_loop()
        if self._begin_s is None:
            self._begin_s = clock.time()
        rounds, position = divmod(self._index, len(self._recorded.packets))
        t_s, data = self._recorded.packets[position]
        t_s += rounds * self._recorded.duration_s
        self._index += 1
        await asyncio.sleep(max(0.0, self._begin_s + t_s - clock.time()))
        packet = Packet(data)
        packet.pts = round(t_s * self._rate_hz)
        packet.time_base = Fraction(1, self._rate_hz)
        return packet


async def connect(http: httpx.AsyncClient, url: str, path: str, policy: str) -> tuple[str, RTCPeerConnection]:
    """Create one session and publish into it."""
    created = (await http.post(f"{url}/v1/sessions", json={"policy": policy})).raise_for_status().json()
    peer = RTCPeerConnection()
    video = peer.addTransceiver(LoopTrack("video", read(path, "video"), 90_000), "sendonly")
    vp8 = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType == "video/VP8"]
    video.setCodecPreferences(vp8)
    peer.addTransceiver(LoopTrack("audio", read(path, "audio"), 48_000), "sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Authorization": f"Bearer {created['token']}", "Content-Type": "application/sdp"}
    answer = await http.post(created["whip_url"], content=peer.localDescription.sdp, headers=headers)
    answer.raise_for_status()
    connected = asyncio.Event()

    def on_state() -> None:
        if peer.connectionState == "connected":
            connected.set()

    peer.on("connectionstatechange", on_state)
    await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    async with asyncio.timeout(CONNECT_S):
        await connected.wait()
    return created["id"], peer


async def main(url: str, count: int, path: str, policy: str) -> None:
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient(timeout=CONNECT_S) as http:
        connected = [await connect(http, url, path, policy) for _ in range(count)]
        print(json.dumps([session for session, _ in connected]), flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        await asyncio.gather(*(peer.close() for _, peer in connected))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))

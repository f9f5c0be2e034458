"""Publishers we did not write, and our own, through the api into a node: real HTTP, real WebRTC, real recordings."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import simplejpeg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploy import whip
from deploy.publish import ProgressLine, publish, publish_command
from deploy.sources import Tracks, open_source
from ingest.settings import IngestSettings
from proto import media as bus_media
from proto import observations
from proto.errors import BadInput, Full, NotFound, Refused, Unavailable
from runtime.bus import Bus
from tests.support.api import running_api
from tests.support.ingest import Heard, running
from tests.support.publisher import Picture, Tone
from tests.support.wait import eventually

QUICK = IngestSettings(drain_s=0)


@pytest.fixture
async def url(bus: Bus) -> AsyncIterator[str]:
    async with running_api(bus) as url:
        yield url


@pytest.fixture
async def heard(bus: Bus) -> AsyncIterator[Heard]:
    async with Heard(bus) as heard:
        yield heard


async def create(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient() as http:
        response = await http.post(f"{url}/v1/sessions", json={"label": "test"})
        response.raise_for_status()
        return dict(response.json())


def p256(folder: Path) -> tuple[str, str]:
    """Files of a P-256 certificate: its GnuTLS build makes a P-224 one by itself, which OpenSSL refuses."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    lasting = builder.not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(30))
    certificate = lasting.sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(pem)
    return str(folder / "cert.pem"), str(folder / "key.pem")


async def ffmpeg(url: str, token: str, seconds: float, *certificate: str) -> tuple[int, str]:
    """Publish with FFmpeg's WHIP muxer; exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.ffmpeg_whip", url, token, str(seconds), *certificate),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode()


async def test_ffmpeg_publishes_h264_and_opus(bus: Bus, url: str, heard: Heard, tmp_path: Path) -> None:
    async with running(bus, QUICK) as node:
        session = await create(url)
        whip_url = str(httpx.URL(url).join(session["whip_url"]))
        code, said = await ffmpeg(whip_url, session["token"], 4, *p256(tmp_path))
        assert code == 0, said
        assert len(heard.frames) >= 15
        await eventually(lambda: heard.observed(observations.SourceLost) and not node.peers, 15)
        assert {(frame.width_px, frame.height_px) for frame in heard.frames} == {(640, 360)}
        assert np.diff([frame.t_s for frame in heard.frames][2:]) == pytest.approx(0.2, abs=0.05)
        chunks = [message for message in heard.audio if isinstance(message, bus_media.AudioChunk)]
        tone = np.frombuffer(b"".join(chunk.pcm for chunk in chunks[2:12]), "<i2").astype(float)
        assert np.argmax(np.abs(np.fft.rfft(tone))) / (len(tone) / 16_000) == pytest.approx(440, abs=2)
        assert [lost.reason for lost in heard.observed(observations.SourceLost)] == ["closed"]


async def test_a_recording_from_a_phone_is_published_upright(bus: Bus, url: str, heard: Heard, media: Path) -> None:
    """The whole command: a session is made, the file sent in real time and upright, the session ended."""
    recording = media / "video" / "single_face.mp4"
    turned = media / "video" / "gaze_center.mp4"
    said: list[str] = []
    async with running(bus, QUICK) as node:
        session = await publish_command(str(recording), url=url, say=said.append)
        await eventually(lambda: not node.peers and heard.ended, 10)
        [lost] = heard.observed(observations.SourceLost)
        assert (lost.session, lost.reason) == (session, "closed")
        with av.open(str(recording)) as container:
            length_s = container.duration / av.time_base
        assert heard.frames[-1].t_s - heard.frames[0].t_s == pytest.approx(length_s, abs=0.8)
        assert said[0] == f"session {session}"
        assert any(line.startswith("live") for line in said)
        assert heard.observed(observations.SessionEnded)

        created = await create(url)
        stop = asyncio.Event()
        whip_url = str(httpx.URL(url).join(created["whip_url"]))
        sending = asyncio.create_task(publish(open_source(str(turned)), whip_url, created["token"], stop=stop))
        upright = [480, 848]
        await eventually(lambda: sum(frame.session == created["id"] for frame in heard.frames) >= 3, 15)
        stop.set()
        assert await sending > 0
        frame = next(frame for frame in heard.frames if frame.session == created["id"])
        assert [frame.width_px, frame.height_px] == upright
        with av.open(str(turned)) as container:
            expected = np.rot90(next(container.decode(video=0)).to_ndarray(format="rgb24"), -1)
        seen = simplejpeg.decode_jpeg(frame.jpeg, "RGB")
        assert np.corrcoef(seen[::8, ::8].ravel(), expected[::8, ::8].ravel())[0, 1] > 0.95


async def test_a_short_recording_can_be_looped(bus: Bus, url: str, heard: Heard, media: Path) -> None:
    created = await create(url)
    stop = asyncio.Event()
    async with running(bus, QUICK):
        source = open_source(str(media / "video" / "single_face.mp4"), loop=True)
        whip_url = str(httpx.URL(url).join(created["whip_url"]))
        sending = asyncio.create_task(publish(source, whip_url, created["token"], stop=stop))
        await eventually(lambda: heard.frames and heard.frames[-1].t_s - heard.frames[0].t_s > 3.5, 20)
        stop.set()
        await sending
    assert np.diff([frame.t_s for frame in heard.frames]).max() < 0.7


async def test_tracks_outlive_a_node_that_drains(bus: Bus, url: str, heard: Heard) -> None:
    """The node goes away in mid-session; the publisher goes on at the next one, as a new source of the same session."""
    created = await create(url)
    stop = asyncio.Event()
    said: list[str] = []
    sending: asyncio.Task[float] | None = None
    async with running(bus, QUICK):
        source = whip_tracks()
        whip_url = str(httpx.URL(url).join(created["whip_url"]))
        sending = asyncio.create_task(publish(source, whip_url, created["token"], stop=stop, say=said.append))
        await eventually(lambda: heard.frames, 10)
    async with running(bus, QUICK):
        await eventually(lambda: len({frame.source for frame in heard.frames}) == 2, 20)
        stop.set()
        assert await sending > 0
    assert "the connection was lost; connecting again" in said
    assert [lost.reason for lost in heard.observed(observations.SourceLost)] == ["drained", "closed"]


def whip_tracks() -> Tracks:
    return Tracks(video=Picture(320, 180, fps=10), audio=Tone())


async def test_tracks_outlive_a_node_that_is_killed(
    bus: Bus, url: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node says nothing more, not even goodbye: missing receiver reports tell, and a new connection is made."""
    monkeypatch.setattr(whip, "SILENCE_S", 3.0)
    created = await create(url)
    stop = asyncio.Event()
    async with running(bus, QUICK) as node:
        whip_url = str(httpx.URL(url).join(created["whip_url"]))
        sending = asyncio.create_task(publish(whip_tracks(), whip_url, created["token"], stop=stop))
        await eventually(lambda: len(heard.frames) > 5, 10)
        for protocol in node.peers[0]._rtc._connection._protocols:
            protocol.transport.abort()
        await eventually(lambda: len({frame.source for frame in heard.frames}) == 2, 20)
        stop.set()
        await sending


async def test_recording_that_breaks_off_ends_there(
    bus: Bus, url: str, heard: Heard, media: Path, tmp_path: Path
) -> None:
    with (
        av.open(str(media / "video" / "talking_head_8s.mp4")) as container,
        av.open(str(tmp_path / "whole.mkv"), "w") as out,
    ):
        stream = out.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    whole = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "broken.mkv").write_bytes(whole[: len(whole) // 4])
    async with running(bus, QUICK) as node:
        await publish_command(str(tmp_path / "broken.mkv"), url=url, say=lambda _text: None)
        await eventually(lambda: not node.peers, 10)
    assert 1 <= len(heard.frames) < 25
    assert [lost.reason for lost in heard.observed(observations.SourceLost)] == ["closed"]


async def test_full_server_is_asked_again_after_its_retry_after(bus: Bus, url: str, heard: Heard) -> None:
    """No node yet: 503 with Retry-After; a node comes, and the same call goes through."""
    created = await create(url)
    stop = asyncio.Event()
    said: list[str] = []
    whip_url = str(httpx.URL(url).join(created["whip_url"]))
    sending = asyncio.create_task(publish(whip_tracks(), whip_url, created["token"], stop=stop, say=said.append))
    await eventually(lambda: said, 10)
    assert "trying again in 5 s" in said[0]
    async with running(bus, QUICK):
        await eventually(lambda: heard.frames, 15)
        stop.set()
        await sending


async def test_what_goes_wrong_is_said_in_words(bus: Bus, url: str, tmp_path: Path, media: Path) -> None:
    created = await create(url)
    whip_url, token = str(httpx.URL(url).join(created["whip_url"])), created["token"]

    async def refused(kind: type[Exception], words: str, to: str, with_token: str) -> None:
        with pytest.raises(kind, match=words):
            await publish(whip_tracks(), to, with_token, patience_s=0)

    await refused(Unavailable, "nothing answers at http://127.0.0.1:9", "http://127.0.0.1:9/v1/whip/x", token)
    await refused(Refused, "token is not accepted", whip_url, "wrong")
    await refused(NotFound, "no such session", whip_url + "x", token)
    await refused(Full, "no ingest node has room", whip_url, token)
    await refused(BadInput, "not an http", "ftp://example.org/x", token)
    with pytest.raises(NotFound, match="no file"):
        open_source(str(tmp_path / "none.mp4"))
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(BadInput, match="not a recording"):
        open_source(str(tmp_path / "text.mp4"))
    with pytest.raises(NotFound, match="no camera"):
        open_source("/dev/video99")


async def test_trickle_and_goodbye_over_http(bus: Bus, url: str, heard: Heard) -> None:
    """PATCH with the answer's ETag is 204, with another 412, a restart 422; DELETE ends the peer."""
    created = await create(url)
    async with running(bus, QUICK) as node, httpx.AsyncClient() as http:
        authorized = {"Authorization": f"Bearer {created['token']}"}
        whip_url = str(httpx.URL(url).join(created["whip_url"]))
        async with whip.WhipConnection(whip_url, created["token"], whip_tracks().all) as connection:
            await eventually(lambda: heard.frames, 10)
            location = connection.location
            headers = {**authorized, "Content-Type": "application/trickle-ice-sdpfrag"}
            candidate = "a=candidate:1 1 udp 5 0123.local 50000 typ host\r\n"
            restart = "a=ice-ufrag:abcdef\r\na=ice-pwd:0123456789012345678901\r\n"
            cases = [(connection.etag, candidate, 204), ('"other"', candidate, 412), ("*", restart, 422)]
            for etag, body, status in cases:
                response = await http.patch(location, content=body, headers={**headers, "If-Match": etag})
                assert response.status_code == status, response.text
        await eventually(lambda: not node.peers, 10)
        assert (await http.delete(location, headers=authorized)).status_code == 404


def test_progress_is_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def __init__(self, tty: bool) -> None:
            super().__init__()
            self._tty = tty

        def isatty(self) -> bool:
            return self._tty

    shown = {}
    for tty in (True, False):
        monkeypatch.setattr("sys.stderr", stream := Terminal(tty))
        say = ProgressLine()
        for text in ("live", "live 00:01", "live 00:02", "sent 2 s"):
            say(text)
        shown[tty] = stream.getvalue()
    assert shown == {True: "live\n\rlive 00:01\rlive 00:02\nsent 2 s\n", False: "live\nsent 2 s\n"}

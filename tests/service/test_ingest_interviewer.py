"""The interviewer's source beside the candidate's: sound only, never the candidate's presence, in whatever order."""

from __future__ import annotations

import fractions
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
from aiortc import RTCSessionDescription
from av import AudioFrame
from pydantic import SecretStr

from api.settings import ApiSettings
from deploy.client import Client
from deploy.whip import WhipConnection
from inference.speech.timeline import End, Piece, Timeline, is_interviewer
from ingest.node import Node
from ingest.settings import IngestSettings
from proto import codec, media, observations, subjects
from proto.observations import INTERVIEWER
from proto.policy import Analysis
from proto.signalling import Answer, Close, Role
from proto.views import Alert
from runtime.bus import Bus, NoResponders
from tests.conftest import Connect
from tests.support.api import assert_problem, running_api
from tests.support.ingest import Heard, running
from tests.support.observed import Folded
from tests.support.publisher import AUDIO_RATE_HZ, PTIME_S, TONE_HZ, Picture, Publisher, Tone, declined, pace
from tests.support.sessions import create_session
from tests.support.wait import eventually

QUICK = IngestSettings(drain_s=0)
OTHER_HZ = 1320.0
INGEST_KEY = "i" * 24


class Other(Tone):
    """Another tone than the candidate's, without clicks."""

    async def recv(self) -> AudioFrame:
        await pace(self, self._count * PTIME_S)
        samples = int(PTIME_S * AUDIO_RATE_HZ)
        at = self._count * samples + np.arange(samples)
        wave = (8000 * np.sin(2 * np.pi * OTHER_HZ * at / AUDIO_RATE_HZ)).astype(np.int16)
        frame = AudioFrame.from_ndarray(wave[None, :], format="s16", layout="mono")
        frame.sample_rate = AUDIO_RATE_HZ
        frame.pts, frame.time_base = self._count * samples, fractions.Fraction(1, AUDIO_RATE_HZ)
        self._count += 1
        return frame


@pytest.fixture
async def heard(bus: Bus) -> AsyncIterator[Heard]:
    async with Heard(bus) as heard:
        yield heard


@pytest.fixture
async def node(bus: Bus, heard: Heard) -> AsyncIterator[Node]:
    async with running(bus, QUICK) as node:
        yield node


def candidate(bus: Bus) -> Publisher:
    return Publisher(bus, "s1", Picture(320, 180, fps=10), Tone())


def interviewer(bus: Bus) -> Publisher:
    """With a camera, as people have: of it nothing may be taken."""
    return Publisher(bus, "s1", Picture(320, 180, fps=10), Other(), role="interviewer")


async def joined(peer: Publisher) -> str:
    """Connect; the peer's name."""
    answer = await peer.start()
    await peer.connected()
    return answer.peer


def ups(heard: Heard) -> list[str]:
    return [up.source for up in heard.observed(observations.SourceUp)]


def losses(heard: Heard) -> list[str]:
    return [lost.source for lost in heard.observed(observations.SourceLost)]


def sources(heard: Heard) -> set[str]:
    return {message.source for message in heard.audio if isinstance(message, media.AudioChunk)}


def pitch_hz(pieces: list[Piece]) -> float:
    """The strongest frequency."""
    samples = np.concatenate([piece.samples for piece in pieces]).astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum[10:]) + 10) * media.SAMPLE_RATE_HZ / len(samples)


async def test_both_are_heard_and_only_the_candidate_is_seen(bus: Bus, node: Node, heard: Heard) -> None:
    ours, theirs = candidate(bus), interviewer(bus)
    source, other = await joined(ours), await joined(theirs)
    assert other.startswith(f"{INTERVIEWER}-")
    assert not source.startswith(INTERVIEWER)
    await eventually(lambda: len(heard.audio) >= 24 and len(heard.frames) >= 8, 20)
    assert [t.currentDirection for t in theirs.pc.getTransceivers() if t.kind == "video"] == ["inactive"]
    for peer in (ours, theirs):
        await peer.close()
    await eventually(lambda: len(losses(heard)) == 2, 10)

    assert {frame.source for frame in heard.frames} == {source}
    known = {up.source: (up.video, up.audio) for up in heard.observed(observations.SourceUp)}
    assert known == {source: (True, True), other: (False, True)}
    reported = [stats for stats in heard.observed(observations.SourceStats) if stats.source == other]
    assert reported[-1].audio_chunks >= 10
    assert (reported[-1].frames_sent, reported[-1].frames_dropped, reported[-1].width_px) == (0, 0, 0)

    stored = [d async for d in bus.read(subjects.AUDIO, subjects.audio("s1"))]
    messages = [(codec.decode(d.data, media.Audio), d.seq) for d in stored]
    assert {is_interviewer(message) for message, _ in messages} == {True, False}
    roles: dict[Role, float] = {"candidate": TONE_HZ, "interviewer": OTHER_HZ}
    for role, expected_hz in roles.items():
        timeline = Timeline(role)
        pieces = [s for message, seq in messages for s in timeline.take(message, seq) if isinstance(s, Piece)]
        assert pitch_hz(pieces) == pytest.approx(expected_hz, abs=5)
        assert timeline.overlapped_s == 0.0


async def test_video_that_an_interviewer_sends_all_the_same_goes_nowhere(bus: Bus, node: Node, heard: Heard) -> None:
    theirs = interviewer(bus)
    reply = await theirs.ask(await theirs.offer())
    theirs.take(reply)
    assert isinstance(reply, Answer)
    assert "a=inactive" in reply.sdp
    forced = RTCSessionDescription(reply.sdp.replace("a=inactive", "a=recvonly"), "answer")
    await theirs.pc.setRemoteDescription(forced)
    await theirs.connected()
    await eventually(lambda: len(heard.audio) >= 8, 15)
    video = next(sender for sender in theirs.pc.getSenders() if sender.kind == "video")
    sent = [entry.packetsSent for entry in (await video.getStats()).values() if entry.type == "outbound-rtp"]
    assert sent[0] > 5, "the video was sent"
    [held] = node.peers
    assert held.video.size == (0, 0)
    assert heard.frames == []
    await theirs.close()


async def test_either_may_come_first_come_back_and_go(bus: Bus, node: Node, heard: Heard) -> None:
    """Each replaces itself and nobody else, and the fold of what was logged knows only of the candidate."""
    theirs = interviewer(bus)
    first_other = await joined(theirs)
    await eventually(lambda: sources(heard) == {first_other}, 10)
    assert Folded(heard.observations).state.status == "created"

    ours = candidate(bus)
    first = await joined(ours)
    await eventually(lambda: sources(heard) == {first, first_other}, 10)
    assert Folded(heard.observations).state.status == "live"
    assert losses(heard) == []

    again = interviewer(bus)
    second_other = await joined(again)
    await eventually(lambda: losses(heard) == [first_other], 10)
    back = candidate(bus)
    second = await joined(back)
    await eventually(lambda: losses(heard) == [first_other, first], 10)
    await eventually(lambda: sources(heard) == {first, first_other, second, second_other}, 10)
    assert {peer.id for peer in node.peers} == {second, second_other}
    folded = Folded(heard.observations)
    assert (folded.state.status, set(folded.state.sources)) == ("live", {first, second})

    await back.close()
    await eventually(lambda: losses(heard)[-1] == second, 10)
    folded = Folded(heard.observations)
    assert (folded.state.status, folded.rules) == ("stalled", ["SOURCE_LOST"])
    assert [peer.id for peer in node.peers] == [second_other]
    await again.close()
    await eventually(lambda: losses(heard)[-1] == second_other, 10)
    assert Folded(heard.observations).rules == ["SOURCE_LOST"]
    assert ups(heard) == [first_other, first, second_other, second]
    for peer in (ours, theirs):
        await peer.close()


async def test_an_interviewer_that_vanishes_is_noticed_and_leaves_the_candidate_alone(bus: Bus, heard: Heard) -> None:
    async with running(bus, IngestSettings(silence_s=1.5, drain_s=0)) as node:
        ours, theirs = candidate(bus), interviewer(bus)
        source, other = await joined(ours), await joined(theirs)
        await eventually(lambda: sources(heard) == {source, other}, 10)
        await theirs.vanish()
        await eventually(lambda: losses(heard) == [other], 10)
        assert [lost.reason for lost in heard.observed(observations.SourceLost)] == ["failed"]
        before = len(heard.frames)
        await eventually(lambda: len(heard.frames) > before + 3, 10)
        assert Folded(heard.observations).state.status == "live"
        assert [peer.id for peer in node.peers] == [source]
        for peer in (ours, theirs):
            await peer.close()


async def test_a_candidate_who_vanishes_comes_back_beside_the_interviewer(bus: Bus, heard: Heard) -> None:
    """On two nodes, wherever the offers go; the interviewer is the first to leave."""
    settings = IngestSettings(silence_s=1.5, drain_s=0)
    async with running(bus, settings) as one, running(bus, settings) as two:
        theirs, ours = interviewer(bus), candidate(bus)
        other, first = await joined(theirs), await joined(ours)
        await eventually(lambda: sources(heard) == {first, other}, 10)
        await ours.vanish()
        await eventually(lambda: losses(heard) == [first], 10)
        assert Folded(heard.observations).state.status == "stalled"
        heard_before = sum(message.source == other for message in heard.audio)
        await eventually(lambda: sum(message.source == other for message in heard.audio) > heard_before + 5, 10)
        assert Folded(heard.observations).state.status == "stalled"

        back = candidate(bus)
        second = await joined(back)
        await eventually(lambda: sources(heard) == {first, other, second}, 10)
        assert Folded(heard.observations).state.status == "live"
        await theirs.close()
        await eventually(lambda: losses(heard) == [first, other], 10)
        assert Folded(heard.observations).state.status == "live"
        assert [peer.id for peer in (*one.peers, *two.peers)] == [second]
        await back.close()
        await eventually(lambda: losses(heard) == [first, other, second], 10)
    ends = {message.source for message in heard.audio if isinstance(message, media.AudioEnd)}
    assert ends == {first, other, second}
    timeline = Timeline()
    stored = [d async for d in bus.read(subjects.AUDIO, subjects.audio("s1"))]
    stretches = [s for d in stored for s in timeline.take(codec.decode(d.data, media.Audio), d.seq)]
    assert [type(s) for s in stretches].count(End) == 2
    assert pitch_hz([s for s in stretches if isinstance(s, Piece)][-8:]) == pytest.approx(TONE_HZ, abs=5)
    await ours.close()


async def test_an_interviewer_takes_a_place_of_the_node(bus: Bus, heard: Heard) -> None:
    async with running(bus, IngestSettings(max_sessions=1, drain_s=0)) as node:
        ours = candidate(bus)
        await joined(ours)
        assert (node.taken, node.accepting) == (1, False)
        theirs = interviewer(bus)
        with pytest.raises(NoResponders):
            await theirs.ask(await theirs.offer())
        for peer in (ours, theirs):
            await peer.close()


async def test_what_has_no_sound_to_take_is_refused(bus: Bus, node: Node) -> None:
    seen = Publisher(bus, "s1", Picture(320, 180), role="interviewer")
    refusal = declined(await seen.ask(await seen.offer()))
    assert (refusal.status, "only sound" in refusal.detail) == (406, True)
    deaf = Publisher(bus, "s1", Other(), role="interviewer", analysis=Analysis(audio=False))
    refusal = declined(await deaf.ask(await deaf.offer()))
    assert (refusal.status, "policy" in refusal.detail) == (422, True)
    await eventually(lambda: node.taken == 0)
    for peer in (seen, deaf):
        await peer.close()


async def test_the_end_of_the_session_closes_both(bus: Bus, node: Node, heard: Heard) -> None:
    ours, theirs = candidate(bus), interviewer(bus)
    both = {await joined(ours), await joined(theirs)}
    await bus.publish(subjects.INGEST_CLOSE, Close(session="s1"))
    await eventually(lambda: not node.peers and set(losses(heard)) == both, 10)
    for peer in (ours, theirs):
        await peer.close()


async def test_evidence_is_the_candidates_pictures_whoever_came_last(bus: Bus, heard: Heard) -> None:
    async with running(bus, IngestSettings(evidence_after_s=0.05, drain_s=0)):
        await create_session(bus, "s1")
        ours, theirs = candidate(bus), interviewer(bus)
        source = await joined(ours)
        await joined(theirs)
        await eventually(lambda: len(heard.frames) >= 4, 10)
        alert = Alert(id="a1", session="s1", rule="R", severity="high", t_s=heard.frames[2].t_s, seq=1, message="Look.")
        await bus.publish(subjects.alerts("s1"), alert)
        await eventually(lambda: len(heard.observed(observations.EvidenceStored)) == 2, 10)
        assert {stored.source for stored in heard.observed(observations.EvidenceStored)} == {source}
        for peer in (ours, theirs):
            await peer.close()


async def test_the_whole_way_over_http_with_keys(bus: Bus, connect: Connect, node: Node, heard: Heard) -> None:
    """The candidate's token does not publish an interviewer, nor hang one up; the platform's key does both."""
    settings = ApiSettings(keys=SecretStr(f"ingest:{INGEST_KEY}"))
    sdp = {"Content-Type": "application/sdp"}
    key = {"Authorization": f"Bearer {INGEST_KEY}"}
    theirs = interviewer(bus)
    async with running_api(await connect(), settings) as base_url, httpx.AsyncClient(base_url=base_url) as http:
        created = (await http.post("/v1/sessions", headers=key)).json()
        token = {"Authorization": f"Bearer {created['token']}"}
        url, offer = created["whip_url"], await theirs.offer()
        as_interviewer = {"role": "interviewer"}
        refused = await http.post(url, params=as_interviewer, content=offer, headers=sdp | token)
        assert_problem(refused, 403, "API key")
        assert node.taken == 0
        answer = await http.post(url, params=as_interviewer, content=offer, headers=sdp | key)
        assert answer.status_code == 201, answer.text
        await theirs.pc.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        await theirs.connected()
        await eventually(lambda: len(sources(heard)) == 1, 10)
        location = answer.headers["location"]
        assert f".{INTERVIEWER}-" in location
        assert_problem(await http.delete(location, headers=token), 403)
        assert len(node.peers) == 1
        assert (await http.delete(location, headers=key)).status_code == 200
        await eventually(lambda: not node.peers, 10)
    assert ups(heard) == losses(heard)
    assert heard.frames == []
    await theirs.close()


async def test_the_clients_of_ours_need_only_the_address(bus: Bus, connect: Connect, node: Node, heard: Heard) -> None:
    """The WHIP client of `candor publish`: the role is a part of the address, and the goodbye finds its way back."""
    settings = ApiSettings(keys=SecretStr(f"ingest:{INGEST_KEY}"))
    async with running_api(await connect(), settings) as base_url:
        async with Client(base_url, INGEST_KEY) as client:
            created = await client.create("interview", "standard")
        url = f"{created['whip_url']}?role=interviewer"
        async with WhipConnection(url, INGEST_KEY, [Other()]) as connection:
            await eventually(lambda: sources(heard), 10)
            assert f".{INTERVIEWER}-" in connection.location
        await eventually(lambda: losses(heard), 10)
    assert [lost.reason for lost in heard.observed(observations.SourceLost)] == ["closed"]
    assert ups(heard) == losses(heard)

"""How a node takes offers, keeps its limits, and lets its peers go."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import re

import av
import pytest
import simplejpeg

from ingest.node import Node
from ingest.settings import IngestSettings
from proto import observations, subjects
from proto.policy import Analysis
from proto.signalling import Answer, Close, Declined, Done, Offer, OfferReply
from proto.views import Alert
from runtime.bus import Bus, NoResponders
from tests.support.ingest import Heard, running
from tests.support.publisher import Picture, Publisher, Tone, declined
from tests.support.wait import eventually

QUICK = IngestSettings(drain_s=0)


async def sending(bus: Bus, session: str = "s1") -> Publisher:
    """A peer that is connected and sends."""
    peer = Publisher(bus, session, Picture(320, 180, fps=10), Tone())
    await peer.start()
    await peer.connected()
    return peer


async def created(bus: Bus, session: str) -> None:
    """The session's record, as the api appends it."""
    record = observations.SessionCreated(
        session=session, source="api", seq=0, t_s=0, created_unix_s=0, policy_name="p", policy_toml="", token_sha256=""
    )
    await bus.observe(record)


async def test_full_node_leaves_the_queue_group_and_comes_back(bus: Bus) -> None:
    async with running(bus, IngestSettings(max_sessions=2, drain_s=0)) as node:
        first, second = await sending(bus, "s1"), await sending(bus, "s2")
        assert not node.accepting
        third = Publisher(bus, "s3", Picture())
        offer = await third.offer()
        with pytest.raises(NoResponders):
            await third.ask(offer)
        await first.close()
        await eventually(lambda: node.accepting, 10)
        third.take(await third.ask(offer))
        await third.receive()
        await third.connected()
        for peer in (second, third):
            await peer.close()


async def test_offers_that_race_for_the_last_place(bus: Bus) -> None:
    """Ten at once for one place: one is answered, the others hear 503 or that nobody is there."""
    async with running(bus, IngestSettings(max_sessions=1, retry_after_s=7, drain_s=0)) as node:
        peers = [Publisher(bus, f"s{number}", Picture(320, 180)) for number in range(10)]
        offers = [await peer.offer() for peer in peers]
        asked = [peer.ask(offer) for peer, offer in zip(peers, offers, strict=True)]
        replies = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(reply, Answer) for reply in replies) == 1
        for reply in replies:
            if not isinstance(reply, Answer | NoResponders):
                assert (declined(reply).status, declined(reply).retry_after_s) == (503, 7)
        assert len(node.peers) == 1
        for peer in peers:
            await peer.close()
        node.peers[0].end("closed")


async def test_offers_go_to_the_node_with_room(bus: Bus) -> None:
    one = IngestSettings(max_sessions=1, drain_s=0)
    async with running(bus, one) as first, running(bus, one) as second:
        peers = [await sending(bus, "s1"), await sending(bus, "s2")]
        assert {peer.answer.node for peer in peers if peer.answer} == {first.name, second.name}
        for peer in peers:
            await peer.close()


async def test_refused_offers_leave_nothing_behind(bus: Bus) -> None:
    async with running(bus, QUICK) as node:
        peer = Publisher(bus, "s1", Picture(), Tone())
        good = await peer.offer()
        refusals = {
            "hello": 400,
            "": 400,
            good.replace("a=sendonly", "a=recvonly"): 406,
            re.sub(r"(VP8|H264|opus|PCMU|PCMA|G722)/", r"FOO/", good): 406,
            good.replace("a=fmtp:99 ", "a=fmtp:77 "): 400,
        }
        for sdp, status in refusals.items():
            reply = declined(await peer.ask(sdp))
            assert (reply.status, bool(reply.detail)) == (status, True)
        bad_session = Offer(session="no/pe", sdp=good, created_unix_s=0, analysis=Analysis())
        assert declined(await bus.request(subjects.INGEST_OFFER, bad_session, OfferReply, 5)).status == 400
        unreadable = declined(await bus.request(subjects.INGEST_OFFER, Close(session="s1"), OfferReply, 5))
        assert unreadable.status == 400
        await eventually(lambda: node.taken == 0)
        await peer.close()


async def test_fuzzed_offers_are_answered_or_declined(bus: Bus) -> None:
    """Real offers with broken lines: always a reply, never a leak."""
    async with running(bus, IngestSettings(max_sessions=100, connect_timeout_s=0.2, drain_s=0)) as node:
        peer = Publisher(bus, "s1", Picture(), Tone())
        lines = (await peer.offer()).splitlines()
        chance = random.Random(11)
        outcomes: dict[object, int] = {}
        for _ in range(120):
            broken = list(lines)
            for _ in range(chance.randint(1, 3)):
                at = chance.randrange(1, len(broken))
                keep = chance.randrange(len(broken[at]) + 1)
                broken[at] = chance.choice(
                    [broken[at][:keep], broken[at] + "x", broken[at].replace(":", " "), "a=fmtp:1 a"]
                )
            reply = await peer.ask("\r\n".join(broken) + "\r\n")
            kind = reply.status if isinstance(reply, Declined) else "answer"
            outcomes[kind] = outcomes.get(kind, 0) + 1
        assert set(outcomes) <= {"answer", 400, 406}
        assert outcomes[400] > 10
        await eventually(lambda: node.taken == 0, 20)
        await peer.close()


async def test_trickle_is_checked(bus: Bus) -> None:
    async with running(bus, QUICK):
        peer = await sending(bus)
        assert peer.answer
        junk = "a=candidate:1 1 udp 5 nowhere.local 1234 typ host\r\na=candidate:nonsense\r\na=end-of-candidates\r\n"
        assert await peer.patch(junk) == Done()
        assert await peer.patch(junk, etag="") == Done()
        assert await peer.patch(junk, etag=f'"{peer.answer.etag}"') == Done()
        assert declined(await peer.patch(junk, etag="other")).status == 412
        assert declined(await peer.patch(junk, peer="0000")).status == 404
        assert declined(await peer.patch("nonsense")).status == 400
        restart = "a=ice-ufrag:newone\r\na=ice-pwd:0123456789012345678901234\r\n"
        assert declined(await peer.patch(restart)).status == 422
        assert declined(await peer.patch(restart, etag="*")).status == 422
        assert declined(await peer.patch(restart, etag="other")).status == 412
        assert peer.pc.connectionState == "connected"
        await peer.close()


async def test_delete_is_a_goodbye(bus: Bus) -> None:
    async with Heard(bus) as heard, running(bus, QUICK) as node:
        peer = await sending(bus)
        assert declined(await peer.delete(session="another")).status == 404
        assert await peer.delete() == Done()
        await eventually(lambda: not node.peers)
        [lost] = heard.observed(observations.SourceLost)
        assert lost.reason == "closed"
        assert heard.ended
        assert declined(await peer.delete()).status == 404
        await peer.close()


async def test_end_of_the_session_closes_its_peers_only(bus: Bus) -> None:
    async with running(bus, QUICK) as node:
        first, second = await sending(bus, "s1"), await sending(bus, "s2")
        await bus.publish(subjects.INGEST_CLOSE, Close(session="s1"))
        await eventually(lambda: [peer.session for peer in node.peers] == ["s2"])
        for peer in (first, second):
            await peer.close()


async def test_publisher_that_comes_back_replaces_itself(bus: Bus) -> None:
    async with Heard(bus) as heard, running(bus, QUICK) as node:
        old, new = await sending(bus), await sending(bus)
        await eventually(lambda: len(node.peers) == 1)
        assert new.answer
        assert node.peers[0].id == new.answer.peer
        await eventually(lambda: heard.observed(observations.SourceLost))
        assert old.answer
        assert [lost.source for lost in heard.observed(observations.SourceLost)] == [old.answer.peer]
        for peer in (old, new):
            await peer.close()


async def test_peer_that_vanishes_is_noticed(bus: Bus) -> None:
    async with Heard(bus) as heard, running(bus, IngestSettings(silence_s=1.5, drain_s=0)) as node:
        peer = await sending(bus)
        await eventually(lambda: heard.frames, 10)
        await peer.vanish()
        await eventually(lambda: heard.observed(observations.SourceLost) and not node.peers, 10)
        assert [lost.reason for lost in heard.observed(observations.SourceLost)] == ["failed"]
        assert heard.ended
        await peer.close()


async def test_peer_that_never_connects_frees_its_place(bus: Bus) -> None:
    async with Heard(bus) as heard, running(bus, IngestSettings(connect_timeout_s=0.3, drain_s=0)) as node:
        peer = Publisher(bus, "s1", Picture())
        peer.take(await peer.ask(await peer.offer()))
        await eventually(lambda: node.taken == 0, 10)
        assert heard.observations == []
        await peer.close()


async def test_drain_lets_peers_go_on_and_then_closes_them(bus: Bus) -> None:
    stop = asyncio.Event()
    node = Node(IngestSettings(drain_s=1.0), bus)
    serving = asyncio.create_task(node.run(stop))
    await eventually(lambda: node.accepting)
    async with Heard(bus) as heard:
        peer = await sending(bus)
        await eventually(lambda: heard.frames, 10)
        stop.set()
        await eventually(lambda: not node.accepting)
        late = Publisher(bus, "s2", Picture())
        with pytest.raises(NoResponders):
            await late.ask(await late.offer())
        before = len(heard.frames)
        await eventually(lambda: len(heard.frames) > before + 1)
        assert heard.observed(observations.SourceLost) == []
        async with asyncio.timeout(10):
            await serving
        await eventually(lambda: heard.ended and heard.observed(observations.SourceLost))
        assert [lost.reason for lost in heard.observed(observations.SourceLost)] == ["drained"]
        for each in (peer, late):
            await each.close()


async def test_media_ports_are_those_of_the_range(bus: Bus) -> None:
    """Two ports, on loopback only: the third peer finds none, is told 503, and takes no place."""
    settings = IngestSettings(ice_hosts="127.0.0.1", udp_port_min=41_820, udp_port_max=41_821, drain_s=0)
    async with running(bus, settings) as node:
        peers = [Publisher(bus, f"s{number}", Picture(320, 180)) for number in range(3)]
        replies = [await peer.ask(await peer.offer()) for peer in peers]
        assert declined(replies[2]).status == 503
        seen = set()
        for reply in replies[:2]:
            assert isinstance(reply, Answer)
            seen |= set(re.findall(r"udp \d+ (\S+) (\d+) typ host", reply.sdp))
            assert "a=end-of-candidates" in reply.sdp
        assert seen == {("127.0.0.1", "41820"), ("127.0.0.1", "41821")}
        await eventually(lambda: node.taken == 2)
        for peer in peers:
            await peer.close()
        for held in node.peers:
            held.end("closed")


async def test_public_address_is_announced(bus: Bus) -> None:
    async with running(bus, IngestSettings(public_address="203.0.113.9", drain_s=0)) as node:
        peer = Publisher(bus, "s1", Picture(320, 180))
        reply = await peer.ask(await peer.offer())
        assert isinstance(reply, Answer)
        hosts = dict(re.findall(r"udp \d+ (?!127)(\d\S+) (\d+) typ host", reply.sdp))
        public = re.findall(r"udp \d+ 203.0.113.9 (\d+) typ srflx", reply.sdp)
        assert sorted(public) == sorted(hosts.values())
        node.peers[0].end("closed")
        await peer.close()


async def test_alert_leaves_a_still_and_a_clip(bus: Bus) -> None:
    settings = IngestSettings(evidence_after_s=0.6, drain_s=0)
    async with Heard(bus) as heard, running(bus, settings):
        await created(bus, "s1")
        peer = await sending(bus)
        await eventually(lambda: len(heard.frames) >= 8, 10)
        alert = Alert(
            id="s1:PHONE/7",
            session="s1",
            rule="PHONE",
            severity="high",
            t_s=heard.frames[4].t_s,
            seq=7,
            message="Look.",
        )
        for _ in range(2):
            await bus.publish(subjects.alerts("s1"), alert)
        await bus.publish(subjects.alerts("other"), alert)
        await eventually(lambda: len(heard.observed(observations.EvidenceStored)) == 2, 10)
        await peer.close()
        still, clip = heard.observed(observations.EvidenceStored)
        assert (still.media_type, clip.media_type) == ("image/jpeg", "video/mp4")
        objects = await bus.objects(subjects.OBJECTS_EVIDENCE)
        for stored in (still, clip):
            data = await objects.get(subjects.evidence("s1", stored.name))
            assert hashlib.sha256(data).hexdigest() == stored.sha256
            assert (len(data), stored.alert_id, stored.t_s) == (stored.size_bytes, alert.id, alert.t_s)
        jpeg = await objects.get(subjects.evidence("s1", still.name))
        assert jpeg == heard.frames[4].jpeg
        assert simplejpeg.decode_jpeg_header(jpeg)[:2] == (180, 320)
        with av.open(io.BytesIO(await objects.get(subjects.evidence("s1", clip.name)))) as container:
            assert len(list(container.decode(video=0))) >= 7
        assert await objects.names() == sorted(f"s1/{stored.name}" for stored in (still, clip))


@pytest.mark.parametrize("case", ["info", "policy", "erased"])
async def test_no_evidence_where_none_may_be(bus: Bus, case: str) -> None:
    settings = IngestSettings(evidence_after_s=0.05, drain_s=0)
    async with Heard(bus) as heard, running(bus, settings):
        if case != "erased":
            await created(bus, "s1")
        await created(bus, "s2")
        analysis = Analysis(evidence=case != "policy")
        peers = [Publisher(bus, "s1", Picture(320, 180), analysis=analysis), Publisher(bus, "s2", Picture(320, 180))]
        for peer in peers:
            await peer.start()
        await eventually(lambda: {frame.session for frame in heard.frames} == {"s1", "s2"}, 10)
        for session in ("s1", "s2"):
            severity = "info" if case == "info" and session == "s1" else "high"
            alert = Alert(id=f"{session}-1", session=session, rule="R", severity=severity, t_s=0, seq=1, message="m")
            await bus.publish(subjects.alerts(session), alert)
        await eventually(lambda: len(heard.observed(observations.EvidenceStored)) == 2, 10)
        assert {stored.session for stored in heard.observed(observations.EvidenceStored)} == {"s2"}
        for peer in peers:
            await peer.close()

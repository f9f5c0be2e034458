"""An ingest node: takes offers while it has room, keeps its peers, and lets them go."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from collections.abc import Coroutine

from ingest import metrics, roles
from ingest.evidence import Evidence
from ingest.peer import Peer
from ingest.rtc import CODEC
from ingest.sdp import check_offer
from ingest.settings import IngestSettings
from proto import codec, subjects
from proto.errors import BadInput, BadMessage, BusUnavailable, Unavailable
from proto.signalling import Answer, Close, Declined, Delete, Done, Offer, OfferReply, Patch, PeerReply
from runtime import tracing
from runtime.bus import Bus, Delivery, Subscription
from runtime.log import get_logger

log = get_logger("ingest")

ANSWER_TIMEOUT_S = 8.0
FINISH_S = 5.0
RETRY_S = 0.2


class Node:
    """`run` until stopped. Peers and offers in hand count as taken; `max_sessions` of them are a full node."""

    def __init__(self, settings: IngestSettings, bus: Bus) -> None:
        self.name = settings.node or _make_name()
        self._settings = settings
        self._bus = bus
        self._evidence = Evidence(bus, settings.ring_s, settings.evidence_after_s)
        self._peers: dict[str, Peer] = {}
        self._taken = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._offers: Subscription | None = None
        self._stopping = False

    @property
    def peers(self) -> list[Peer]:
        """The peers this node holds now."""
        return list(self._peers.values())

    @property
    def taken(self) -> int:
        """Peers and offers in hand."""
        return self._taken

    @property
    def accepting(self) -> bool:
        """Whether this node is in the queue group for offers."""
        return self._offers is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, then drain."""
        background = [
            asyncio.create_task(self._serve_peers()),
            asyncio.create_task(self._serve_close()),
            asyncio.create_task(self._evidence.run()),
        ]
        offers = asyncio.create_task(self._serve_offers())
        stopping = asyncio.create_task(stop.wait())
        try:
            log.info("ingest.node_up", node=self.name, max_sessions=self._settings.max_sessions)
            done, _ = await asyncio.wait({*background, offers, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
            await self._drain(offers)
        finally:
            for task in (*background, offers, stopping, *self._tasks):
                task.cancel()
            await asyncio.gather(*background, offers, stopping, *self._tasks, return_exceptions=True)

    async def _drain(self, offers: asyncio.Task[None]) -> None:
        """Leave the queue group, let the peers go on for a while, then close what is left."""
        self._stopping = True
        await self._leave()
        self._room.set()
        await offers
        if self._tasks:
            log.info("ingest.draining", peers=len(self._peers), for_s=self._settings.drain_s)
            await asyncio.wait(self._tasks, timeout=self._settings.drain_s)
        for peer in self.peers:
            peer.end("drained")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FINISH_S)

    # Offers.

    async def _serve_offers(self) -> None:
        """In the queue group while there is room, out of it while there is none."""
        while True:
            await self._room.wait()
            if self._stopping:
                return
            try:
                await self._take_offers()
            except BusUnavailable as error:
                log.warning("ingest.not_accepting", reason=str(error))
                await asyncio.sleep(RETRY_S)

    async def _take_offers(self) -> None:
        """Join the queue group; returns when this node has left it."""
        async with self._bus.subscribe(subjects.INGEST_OFFER, subjects.INGEST_QUEUE) as offers:
            self._offers = offers
            metrics.ACCEPTING.set(1)
            self._bus.health.set("room", ok=True, critical=False)
            self._bus.health.started()
            async for delivery in offers:
                await self._take(delivery)

    async def _leave(self) -> None:
        """Leave the queue group: offers go to other nodes, or the api hears that there are none."""
        offers, self._offers = self._offers, None
        if offers is not None:
            metrics.ACCEPTING.set(0)
            self._bus.health.set("room", ok=False, detail="full or draining", critical=False)
            await offers.close()

    async def _take(self, delivery: Delivery) -> None:
        if self._stopping or self._taken >= self._settings.max_sessions:
            # It was on its way when this node left the queue group.
            metrics.OFFERS.labels("full").inc()
            await _respond(delivery, self._full())
            return
        self._taken += 1
        self._spawn(self._host(delivery))
        if self._taken >= self._settings.max_sessions:
            self._room.clear()
            await self._leave()

    def _full(self) -> Declined:
        detail = "this node has no room; try again"
        return Declined(status=503, detail=detail, retry_after_s=self._settings.retry_after_s)

    async def _host(self, delivery: Delivery) -> None:
        """One offer, and if it becomes a peer, the whole life of that."""
        try:
            with tracing.of(delivery.headers):
                peer, reply = await self._answer(delivery)
                metrics.OFFERS.labels("answered" if peer else str(getattr(reply, "status", ""))).inc()
                answered = await _respond(delivery, reply)
            if peer is not None:
                if not answered:
                    peer.end("failed")
                await self._keep(peer)
        except Exception as error:  # one peer's boundary: the others go on
            metrics.OFFERS.labels("error").inc()
            log.exception("ingest.peer_crashed", error=type(error).__name__)
        finally:
            self._taken -= 1
            self._room.set()

    async def _answer(self, delivery: Delivery) -> tuple[Peer | None, OfferReply]:
        try:
            offer = codec.decode(delivery.data, Offer)
            subjects.check_session(offer.session)
        except BadInput as error:
            return None, Declined(status=400, detail=_reason(error))
        checked = check_offer(offer.sdp)
        if isinstance(checked, Declined):
            return None, checked
        if (refusal := roles.refused(offer.role, checked, offer.analysis)) is not None:
            return None, refusal
        peer = Peer(self._bus, self._settings, self.name, offer, checked)
        answer: Answer | Declined
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = await peer.answer()
        except BadInput as error:
            answer = Declined(status=406 if error.field == CODEC else 400, detail=str(error))
        except (Unavailable, TimeoutError) as error:
            log.warning("ingest.cannot_answer", session=offer.session, reason=str(error) or "timeout")
            answer = self._full()
        except Exception as error:  # noqa: BLE001  # per-message boundary: what a parser we did not write makes of an SDP
            log.warning("ingest.offer_unreadable", session=offer.session, error=type(error).__name__)
            answer = Declined(status=400, detail="the offer cannot be answered")
        if isinstance(answer, Declined):
            await _discard(peer)
            return None, answer
        if offer.analysis.evidence and offer.role == "candidate":
            self._evidence.watch(peer.session, peer.id, peer.ring)
        return peer, answer

    async def _keep(self, peer: Peer) -> None:
        self._peers[peer.id] = peer
        metrics.SESSIONS.set(len(self._peers))
        replacing = asyncio.create_task(self._replace_others(peer))
        try:
            await peer.run()
        finally:
            replacing.cancel()
            del self._peers[peer.id]
            metrics.SESSIONS.set(len(self._peers))
            self._evidence.forget(peer.session, peer.id)

    async def _replace_others(self, peer: Peer) -> None:
        """A publisher that came back has left its earlier connection behind; the other role's is not that one."""
        await peer.connected.wait()
        for other in self.peers:
            if (other.session, other.role) == (peer.session, peer.role) and other.id != peer.id:
                other.end("closed")

    # What is said to and about peers.

    async def _serve_peers(self) -> None:
        async with self._bus.subscribe(subjects.ingest_peer(self.name, "*", "*")) as requests:
            async for delivery in requests:
                _, _, peer_id, verb = delivery.subject.split(".")
                with tracing.of(delivery.headers):
                    await _respond(delivery, self._peer_reply(self._peers.get(peer_id), verb, delivery.data))

    def _peer_reply(self, peer: Peer | None, verb: str, data: bytes) -> PeerReply:
        try:
            request = codec.decode(data, Patch) if verb == "patch" else codec.decode(data, Delete)
        except BadMessage as error:
            return Declined(status=400, detail=_reason(error))
        if peer is None or request.session != peer.session:
            return Declined(status=404, detail="no such peer")
        if isinstance(request, Patch):
            return peer.patch(request)
        peer.end("closed")
        return Done()

    async def _serve_close(self) -> None:
        async with self._bus.subscribe(subjects.INGEST_CLOSE) as closes:
            async for delivery in closes:
                try:
                    close = codec.decode(delivery.data, Close)
                except BadMessage:
                    log.warning("ingest.close_unreadable", size_bytes=len(delivery.data))
                    continue
                for peer in self.peers:
                    if peer.session == close.session:
                        peer.end("closed")

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _discard(peer: Peer) -> None:
    try:
        await peer.discard()
    except Exception as error:  # noqa: BLE001  # the same boundary: who offered nonsense is told so all the same
        log.warning("ingest.discard_failed", session=peer.session, error=type(error).__name__)


async def _respond(delivery: Delivery, reply: OfferReply | PeerReply) -> bool:
    """Answer a request; False if NATS is away, when the one who asked gives up by itself."""
    try:
        await delivery.respond(reply)
    except BusUnavailable:
        log.warning("ingest.answer_lost", subject=delivery.subject.split(".")[0])
        return False
    return True


def _reason(error: BadInput) -> str:
    return "the request does not decode" if isinstance(error, BadMessage) else str(error)


def _make_name() -> str:
    host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname().split(".")[0])[:40]
    return f"{host}-{secrets.token_hex(4)}"

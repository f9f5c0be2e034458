"""An ingest node's end of the signalling, scripted: answers offers, patches and deletes as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from proto import codec, subjects
from proto.signalling import Answer, Delete, Done, Offer, Patch
from runtime.bus import Bus, Subscription

ANSWER = Answer(sdp="v=0\r\ns=answer\r\n", node="n1", peer="p1", etag="ice-1")


class Ingesting:
    """What it was asked, and what it replies."""

    def __init__(self) -> None:
        self.asked: list[Offer | Patch | Delete] = []
        self.offer_reply: msgspec.Struct = ANSWER
        self.peer_reply: msgspec.Struct = Done()

    async def serve(self, subscription: Subscription, kind: type[Offer | Patch | Delete]) -> None:
        async for delivery in subscription:
            self.asked.append(codec.decode(delivery.data, kind))
            await delivery.respond(self.offer_reply if kind is Offer else self.peer_reply)


@asynccontextmanager
async def ingesting(bus: Bus) -> AsyncIterator[Ingesting]:
    """Serve `ingest.offer` and the peer p1 of the node n1."""
    node = Ingesting()
    async with (
        bus.subscribe(subjects.INGEST_OFFER, subjects.INGEST_QUEUE) as offers,
        bus.subscribe(subjects.ingest_peer("n1", "p1", "patch")) as patches,
        bus.subscribe(subjects.ingest_peer("n1", "p1", "delete")) as deletes,
    ):
        tasks = [
            asyncio.create_task(node.serve(offers, Offer)),
            asyncio.create_task(node.serve(patches, Patch)),
            asyncio.create_task(node.serve(deletes, Delete)),
        ]
        try:
            yield node
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

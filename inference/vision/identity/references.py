"""The reference faces of the sessions a worker sees, read when they are needed and remembered for seconds."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from inference.vision.identity import metrics
from inference.vision.identity.vault import Reference, Vault
from proto import subjects
from proto.errors import BadInput, BusUnavailable
from runtime.bus import Bucket, Bus
from runtime.log import get_logger

log = get_logger("vision")

KEEP_S = 5.0
"""How long an answer holds: what is registered or erased elsewhere is known here no later."""

MAX_SESSIONS = 10_000
READ_TIMEOUT_S = 1.0


class _Known(NamedTuple):
    reference: Reference | None
    until_s: float


class References:
    """Reads, decrypts, remembers. At most MAX_SESSIONS are remembered, each for KEEP_S, also that there is none."""

    def __init__(self, bus: Bus, vault: Vault, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._vault = vault
        self._clock = clock
        self._bucket: Bucket | None = None
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def of(self, session: str) -> Reference | None:
        """The registered face of a session. None where there is none, where it does not open with this key, or while
        NATS does not answer: then nothing is said of this frame. Never raises.
        """
        self.forget_old()
        known = self._known.get(session)
        if known is not None:
            return known.reference
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                stored = await self._read(session)
        except (BusUnavailable, TimeoutError):
            metrics.REFERENCES.labels("unanswered").inc()
            return None
        reference = None if stored is None else self._opened(session, stored)
        if stored is None:
            metrics.REFERENCES.labels("none").inc()
        self._remember(session, reference)
        return reference

    def forget(self, session: str) -> None:
        """Read it again next time."""
        self._known.pop(session, None)

    def forget_old(self) -> None:
        """Drop what no longer holds; the oldest stand first."""
        now_s = self._clock()
        while self._known and next(iter(self._known.values())).until_s <= now_s:
            self._known.popitem(last=False)

    async def _read(self, session: str) -> bytes | None:
        if self._bucket is None:
            self._bucket = await self._bus.bucket(subjects.KV_IDENTITIES)
        entry = await self._bucket.get(session)
        return None if entry is None else entry.value

    def _opened(self, session: str, stored: bytes) -> Reference | None:
        try:
            reference = self._vault.open(session, stored)
        except BadInput as error:
            # Another deployment's key, or bytes that somebody changed: as if nothing were registered.
            metrics.REFERENCES.labels("unreadable").inc()
            log.warning("vision.reference_unreadable", session=session, reason=str(error))
            return None
        metrics.REFERENCES.labels("read").inc()
        return reference

    def _remember(self, session: str, reference: Reference | None) -> None:
        self._known[session] = _Known(reference, self._clock() + KEEP_S)
        self._known.move_to_end(session)
        if len(self._known) > MAX_SESSIONS:
            self._known.popitem(last=False)

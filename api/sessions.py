"""One session: made, read, ended. The log is the truth; the snapshot is what the aggregator made of it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from typing import TypeVar

import msgspec

from api import auth, metrics
from api.models import CreateSession
from api.policies import Policies
from api.settings import ApiSettings
from proto import codec, policy, subjects
from proto.errors import BadMessage, BusUnavailable, NotFound
from proto.observations import (
    EvidenceStored,
    Observation,
    SessionCreated,
    SessionEnded,
    WordsCommitted,
    WordsTranslated,
)
from proto.signalling import Close
from proto.views import CouldNotTell, Measures, SessionView, Status
from runtime.bus import Bucket, Bus
from runtime.log import get_logger

SOURCE = "api"
OVER: frozenset[Status] = frozenset({"ended", "expired"})
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_CHARS = 7
_RANDOM_CHARS = 9
MAX_TRANSLATIONS = 10_000
_SETTLE_POLL_S = 0.05

T = TypeVar("T", bound=Observation)
R = TypeVar("R")
log = get_logger("api")


class _SnapshotView(msgspec.Struct, frozen=True):
    """The part of `proto.views.Snapshot` that is shown: decoding this skips the fold's own state."""

    view: SessionView


class Sessions:
    """Reads and writes sessions on the bus. Every method raises BusUnavailable when NATS does not answer in time."""

    def __init__(self, settings: ApiSettings, bus: Bus, policies: Policies) -> None:
        self._settings = settings
        self._bus = bus
        self._policies = policies
        self._bucket: Bucket | None = None

    async def create(self, request: CreateSession) -> tuple[SessionCreated, str]:
        """Log a new session. Returns its record and its token, which is kept nowhere.

        Raises:
            BadInput: an unknown policy.
        """
        text = self._policies.load(request.policy)
        token = auth.new_token()
        now = time.time()
        record = SessionCreated(
            session=new_id(now),
            source=SOURCE,
            seq=0,
            t_s=0.0,
            created_unix_s=now,
            policy_name=request.policy,
            policy_toml=text,
            token_sha256=auth.digest(token),
            label=request.label,
            metadata=request.metadata,
            language=request.language,
            hotwords=request.hotwords,
            translate=request.translate,
        )
        await self._append(record)
        log.info("api.session_created", session=record.session, policy=record.policy_name)
        return record, token

    async def record(self, session: str) -> SessionCreated:
        """How the session began. Raises NotFound."""
        found = await self.last(session, SessionCreated)
        if found is None:
            raise NotFound(f"there is no session {session}")
        return found[0]

    async def view(self, session: str) -> SessionView:
        """The session as it is now; a fresh one that nobody has folded yet has status `created`. Raises NotFound."""
        snapshot = await self._snapshot(session)
        if snapshot is not None:
            return snapshot
        found = await self.last(session, SessionCreated)
        if found is None:
            raise NotFound(f"there is no session {session}")
        return first_view(*found)

    async def over(self, session: str) -> bool:
        """Whether the session has ended or expired, by the log where the aggregator has not caught up."""
        snapshot = await self._snapshot(session)
        if snapshot is not None and snapshot.status in OVER:
            return True
        return await self._within(self._bus.last(subjects.LOG, subjects.log(session, "session.ended"))) is not None

    async def end(self, session: str, reason: str) -> SessionView:
        """Log the end, have ingest close the peers, and give the state as soon as it says so (or after a bounded wait).

        Ending twice is harmless. Raises NotFound.
        """
        view = await self.view(session)
        if view.status in OVER:
            return view
        elapsed_s = max(0.0, time.time() - view.created_unix_s)
        await self._append(SessionEnded(session=session, source=SOURCE, seq=0, t_s=elapsed_s, reason=reason))
        await self._bus.publish(subjects.INGEST_CLOSE, Close(session=session))
        log.info("api.session_ended", session=session)
        deadline = asyncio.get_running_loop().time() + self._settings.settle_timeout_s
        while view.status not in OVER and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_SETTLE_POLL_S)
            view = await self.view(session)
        return view

    async def last(self, session: str, kind: type[T]) -> tuple[T, int] | None:
        """Newest observation of a kind, and its log sequence."""
        tag = str(kind.__struct_config__.tag)
        delivery = await self._within(self._bus.last(subjects.LOG, subjects.log(session, tag)))
        return None if delivery is None else (codec.decode(delivery.data, kind), delivery.seq)

    async def read(self, session: str, kind: type[T], *, after_seq: int = 0) -> AsyncIterator[tuple[T, int]]:
        """Observations of a kind in log order with their sequences; what does not decode is counted and left out."""
        subject = subjects.log(session, str(kind.__struct_config__.tag))
        async for delivery in self._bus.read(subjects.LOG, subject, from_seq=after_seq + 1):
            try:
                yield codec.decode(delivery.data, kind), delivery.seq
            except BadMessage:
                metrics.UNREADABLE.labels(kind.__name__).inc()

    async def words(
        self, session: str, after_seq: int, limit: int, *, from_s: float = 0.0
    ) -> list[tuple[WordsCommitted, int]]:
        """At most `limit` commits of the transcript after log sequence `after_seq`, none that ends before `from_s`."""

        def wanted(observation: WordsCommitted) -> bool:
            return (observation.words[-1].end_s if observation.words else observation.t_s) >= from_s

        return await self._collect(session, WordsCommitted, after_seq, limit, wanted)

    async def translations(self, session: str, utterances: Container[int]) -> list[tuple[WordsTranslated, int]]:
        """Translations of these utterances, in order."""
        return await self._collect(
            session, WordsTranslated, 0, MAX_TRANSLATIONS, lambda observation: observation.utterance in utterances
        )

    async def evidence(self, session: str, limit: int) -> list[tuple[EvidenceStored, int]]:
        """At most `limit` stills and clips, oldest first."""
        return await self._collect(session, EvidenceStored, 0, limit, lambda _: True)

    async def _collect(
        self, session: str, kind: type[T], after_seq: int, limit: int, wanted: Callable[[T], bool]
    ) -> list[tuple[T, int]]:
        found: list[tuple[T, int]] = []
        try:
            async with asyncio.timeout(self._settings.bus_timeout_s):
                async for observation, seq in self.read(session, kind, after_seq=after_seq):
                    if wanted(observation):
                        found.append((observation, seq))
                    if len(found) >= limit:
                        break
        except TimeoutError as error:
            raise BusUnavailable("the log did not answer in time") from error
        return found

    async def _snapshot(self, session: str) -> SessionView | None:
        async def read() -> SessionView | None:
            if self._bucket is None:
                # Opening asks the server once; what is opened outlives reconnects.
                self._bucket = await self._bus.bucket(subjects.KV_SESSIONS)
            entry = await self._bucket.get(session)
            return None if entry is None else codec.decode(entry.value, _SnapshotView).view

        return await self._within(read())

    async def _append(self, observation: Observation) -> None:
        await self._bus.observe(observation, self._settings.bus_timeout_s)

    async def _within(self, call: Awaitable[R]) -> R:
        try:
            async with asyncio.timeout(self._settings.bus_timeout_s):
                return await call
        except TimeoutError as error:
            raise BusUnavailable("NATS did not answer in time") from error


def new_id(unix_s: float) -> str:
    """A session id: 7 characters that sort by creation second, 9 random ones (45 bits), in Crockford's base 32."""
    seconds = int(unix_s)
    head = "".join(_ALPHABET[seconds >> 5 * place & 31] for place in reversed(range(_TIME_CHARS)))
    return head + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARS))


def first_view(record: SessionCreated, seq: int) -> SessionView:
    """View of a session of which only the beginning is known; `seq` is the beginning's place in the log."""
    return SessionView(
        session=record.session,
        seq=seq,
        status="created",
        label=record.label,
        policy=record.policy_name,
        policy_hash=policy.digest(record.policy_toml),
        created_unix_s=record.created_unix_s,
        clock_s=0.0,
        score=0.0,
        level="low",
        review_recommended=False,
        could_not_tell=CouldNotTell(active=False, reasons=(), total_s=0.0),
        active=(),
        ledger=(),
        timeline=(),
        alerts=(),
        features=(),
        measures=Measures(),
        metadata=record.metadata,
    )

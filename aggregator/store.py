"""Where states live: in memory for the sessions at hand, in the `sessions` bucket for good."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from aggregator import history
from aggregator.metrics import CACHED, REFOLDED
from aggregator.risk import state as states
from aggregator.risk.state import State
from aggregator.risk.view import view
from proto import codec, subjects
from proto.errors import BadMessage
from proto.views import SessionView, Snapshot
from runtime.bus import Bucket, Bus, Entry
from runtime.log import get_logger

log = get_logger("aggregator")


@dataclass(frozen=True, slots=True)
class Held:
    """A session's state as stored at `revision` (0: not stored yet). `told` is the view watchers last got from us.

    `told` is None right after loading: watchers then get the whole view, for nobody knows what a dead owner still sent.
    """

    state: State
    revision: int
    told: SessionView | None = None


class Store:
    """Loads and saves states. Memory is bounded: the session touched longest ago goes first."""

    def __init__(self, bus: Bus, bucket: Bucket, limit: int) -> None:
        self._bus = bus
        self._bucket = bucket
        self._limit = limit
        self._held: OrderedDict[str, Held] = OrderedDict()

    async def load(self, session: str, before_seq: int, *, newborn: bool) -> Held | None:
        """State that holds everything the log has of the session before `before_seq`.

        From memory, else from the snapshot and what the log has after it, else from the log alone. `newborn` says that
        `before_seq` is the session's creation: nothing comes before it, and without a snapshot the answer is None.

        Raises:
            Orphan: there is neither a snapshot nor a creation in the log.
            BadMessage: the snapshot does not decode and the log no longer begins with the creation.
            BusUnavailable: NATS does not answer.
        """
        held = self._held.get(session)
        if held is not None:
            self._held.move_to_end(session)
            return held
        entry = await self._bucket.get(session)
        if entry is None and newborn:
            return None
        state, unreadable = _stored(session, entry)
        revision = 0 if entry is None else entry.revision
        if state is None or state.seq < before_seq - 1:
            try:
                state, folded = await history.refold(self._bus, session, state, before_seq - 1)
            except history.Orphan:
                if unreadable is not None:
                    raise unreadable from None
                raise
            REFOLDED.inc(folded)
        if state is None:
            if unreadable is not None:
                raise unreadable
            raise history.Orphan("nothing in the log")
        return self.keep(Held(state, revision))

    async def save(self, held: Held, state: State) -> tuple[Held, SessionView]:
        """Store `state` over what `held` was read from; everything watchers see is in the same put.

        Raises:
            Conflict: somebody else changed or erased it first.
            BusUnavailable: NATS does not answer; whether it was stored is not known.
        """
        session = state.head.session
        packed = states.pack(state)
        shown = view(state)
        value = codec.encode(
            Snapshot(session=session, seq=state.seq, state_hash=states.state_hash(packed), view=shown, state=packed)
        )
        if held.revision:
            revision = await self._bucket.update(session, value, held.revision)
        else:
            revision = await self._bucket.create(session, value)
            await self._check_not_erased(session)
        return self.keep(Held(state, revision, held.told)), shown

    def keep(self, held: Held) -> Held:
        """Remember what was just stored or told."""
        session = held.state.head.session
        self._held[session] = held
        self._held.move_to_end(session)
        while len(self._held) > self._limit:
            self._held.popitem(last=False)
        CACHED.set(len(self._held))
        return held

    def forget(self, session: str) -> None:
        """What memory has of the session may be wrong: read it again next time."""
        self._held.pop(session, None)
        CACHED.set(len(self._held))

    def forget_partition(self, number: int) -> None:
        """Somebody else folds this partition from now on."""
        for session in [session for session in self._held if subjects.partition(session) == number]:
            self.forget(session)

    async def _check_not_erased(self, session: str) -> None:
        # An erasure purges the log first, then the snapshot. Had it run since the log was read, the snapshot just
        # created would outlive it; once created, any later erasure finds it.
        if await self._bus.last(subjects.LOG, subjects.log(session, "session.created")) is None:
            await self._bucket.purge(session)
            self.forget(session)
            raise history.Orphan("erased while it was folded")


def _stored(session: str, entry: Entry | None) -> tuple[State | None, BadMessage | None]:
    if entry is None:
        return None, None
    try:
        return states.unpack(codec.decode(entry.value, Snapshot).state), None
    except BadMessage as error:
        log.warning("aggregator.snapshot_unreadable", session=session, reason="folding it anew")
        return None, error

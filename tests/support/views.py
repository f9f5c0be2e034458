"""Hand-made states of a session, and an aggregator's way of storing and telling them."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from proto import codec, subjects
from proto.views import Changed, CouldNotTell, Episode, LedgerLine, Measures, SessionView, Snapshot
from runtime.bus import Bus


def a_view(session: str, seq: int, **changes: Any) -> SessionView:
    """A live session at log sequence `seq`, with these fields changed."""
    view = SessionView(
        session=session,
        seq=seq,
        status="live",
        label="",
        policy="standard",
        policy_hash="0" * 16,
        created_unix_s=time.time(),
        clock_s=seq / 10,
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
    )
    return msgspec.structs.replace(view, **changes)


def a_line(seq: int, **changes: Any) -> LedgerLine:
    """One ledger line caused by observation `seq`."""
    line = LedgerLine(
        seq=seq, t_s=seq / 10, rule="NO_FACE", severity="high", weight=20.0, half_life_s=120.0, why="No face for 4.0 s."
    )
    return msgspec.structs.replace(line, **changes)


def an_episode(start_s: float, end_s: float | None, **changes: Any) -> Episode:
    """A stretch without a face."""
    return msgspec.structs.replace(Episode(kind="NO_FACE", severity="high", start_s=start_s, end_s=end_s), **changes)


async def store(bus: Bus, view: SessionView) -> None:
    """Put the snapshot of a view, as the aggregator does before it tells anybody."""
    bucket = await bus.bucket(subjects.KV_SESSIONS)
    snapshot = Snapshot(session=view.session, seq=view.seq, state_hash="", view=view, state=b"\x00" * 100)
    await bucket.put(view.session, codec.encode(snapshot))


async def tell(bus: Bus, view: SessionView) -> None:
    """Store a view, then tell the watchers."""
    await store(bus, view)
    assert await bus.publish(subjects.live(view.session), Changed(session=view.session, seq=view.seq, view=view))

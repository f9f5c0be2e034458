"""Sessions as the aggregator would leave and tell them on the bus, for tests of what shows them."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from proto import codec, subjects
from proto.views import (
    Alert,
    Changed,
    CouldNotTell,
    Episode,
    Feature,
    LedgerLine,
    Measures,
    SessionView,
    Severity,
    Snapshot,
)
from runtime.bus import Bus


def a_line(
    seq: int,
    t_s: float | None = None,
    rule: str = "NO_FACE",
    weight: float = 20.0,
    severity: Severity = "high",
    why: str = "No face for 4.0 s.",
) -> LedgerLine:
    """One ledger line caused by observation `seq`; without a time, ten observations are a second."""
    return LedgerLine(
        seq=seq,
        t_s=seq / 10 if t_s is None else t_s,
        rule=rule,
        severity=severity,
        weight=weight,
        half_life_s=120.0,
        why=why,
    )


def an_episode(
    kind: str, start_s: float, end_s: float | None, severity: Severity = "high", detail: str = ""
) -> Episode:
    return Episode(kind=kind, severity=severity, start_s=start_s, end_s=end_s, detail=detail)


def an_alert(session: str, line: LedgerLine) -> Alert:
    return Alert(
        id=f"{session}-{line.seq}-{line.rule}",
        session=session,
        rule=line.rule,
        severity=line.severity,
        t_s=line.t_s,
        seq=line.seq,
        message=f"{line.why} Please have a look.",
    )


def a_view(session: str, seq: int = 10, **changes: Any) -> SessionView:
    """A quiet live session, with `changes` to its fields."""
    quiet = SessionView(
        session=session,
        seq=seq,
        status="live",
        label=f"Interview {session}",
        policy="standard",
        policy_hash="0123456789abcdef",
        created_unix_s=time.time() - 300,
        clock_s=300.0,
        score=0.0,
        level="low",
        review_recommended=False,
        could_not_tell=CouldNotTell(active=False, reasons=(), total_s=0.0),
        active=(),
        ledger=(),
        timeline=(),
        alerts=(),
        features=(),
        measures=Measures(frames_seen=1500, face_share=0.98),
    )
    return msgspec.structs.replace(quiet, **changes)


def an_eventful_view(session: str, seq: int = 1000) -> SessionView:
    """Ledger, timeline, alerts, a feature that is missing, and a spell of "could not tell" that lasts."""
    ledger = (
        a_line(310, 60.0, "LOOKING_AWAY", 10.0, "medium", "Head turned 34° to the left for 3.1 s."),
        a_line(705, 180.0, "MULTIPLE_FACES", 25.0, "critical", "Two faces in view for 2.4 s."),
        a_line(990, 300.0, "EYES_OFF_SCREEN", 15.0, "high", "Eyes off the screen for 4.2 s."),
    )
    away = an_episode("EYES_OFF_SCREEN", 295.0, None, "high", "lower left")
    unsure = an_episode("COULD_NOT_TELL", 290.0, None, "info", "dark")
    return a_view(
        session,
        seq,
        # 10 * 2^-2 + 25 * 2^-1 + 15: the decayed sum at 300 s with a half-life of 120 s.
        score=30.0,
        level="medium",
        peak_score=37.5,
        could_not_tell=CouldNotTell(active=True, reasons=("dark",), total_s=19.5),
        active=(unsure, away),
        ledger=ledger,
        timeline=(
            an_episode("LOOKING_AWAY", 57.0, 63.0, "medium"),
            an_episode("MULTIPLE_FACES", 178.0, 183.0, "critical"),
            unsure,
            away,
        ),
        alerts=tuple(an_alert(session, line) for line in ledger[1:]),
        features=(
            Feature(name="face", available=True),
            Feature(
                name="objects", available=False, reason="No object detector here.", command="candor models pull objects"
            ),
        ),
        measures=Measures(frames_seen=1500, face_share=0.96, eyes_off_share=0.08, blinks_per_min=17.0),
    )


async def store(bus: Bus, *views: SessionView) -> None:
    """Put each view into the snapshots."""
    bucket = await bus.bucket(subjects.KV_SESSIONS)
    for view in views:
        snapshot = Snapshot(session=view.session, seq=view.seq, state_hash="0" * 16, view=view, state=bytes(100))
        await bucket.put(view.session, codec.encode(snapshot))


async def change(bus: Bus, view: SessionView, **news: Any) -> SessionView:
    """Store `view` one observation later, with `news`, and tell the watchers; returns it.

    Lists in `news` hold what is new, and are added to what the view had.
    """
    whole = {name: (*getattr(view, name), *items) for name, items in news.items() if name in ("ledger", "alerts")}
    whole["seq"] = view.seq + 1
    after = msgspec.structs.replace(view, **{**news, **whole})
    await store(bus, after)
    told = msgspec.structs.replace(after, **{name: news.get(name, ()) for name in ("ledger", "timeline", "alerts")})
    await bus.publish(subjects.live(view.session), Changed(session=view.session, seq=after.seq, view=told))
    return after


async def tell(bus: Bus, view: SessionView) -> None:
    """Store a view, then tell the watchers."""
    await store(bus, view)
    assert await bus.publish(subjects.live(view.session), Changed(session=view.session, seq=view.seq, view=view))

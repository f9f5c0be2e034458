"""What the events of a feed say, in plain words: shared by `candor watch` and the demo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from deploy.client import Event
from proto.views import (
    Committed,
    CouldNotTell,
    Deleted,
    Episode,
    Feature,
    LedgerLine,
    Level,
    Status,
    Tentative,
)

LineKind = Literal["score", "state", "speech", "notice"]

MAX_LINES_REMEMBERED = 4096


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot event says of a session, whether it is the whole view or its summary."""

    session: str
    seq: int
    status: Status
    label: str
    created_unix_s: float
    clock_s: float
    score: float
    level: Level
    review_recommended: bool
    could_not_tell: CouldNotTell
    active: tuple[Episode, ...] = ()
    ledger: tuple[LedgerLine, ...] = ()
    features: tuple[Feature, ...] = ()


class _Change(msgspec.Struct, frozen=True):
    session: str
    view: Row


@dataclass(frozen=True)
class Line:
    """One thing to say. `t_s` is session time, None where the event has none."""

    session: str
    kind: LineKind
    text: str
    level: str = ""
    t_s: float | None = None


@dataclass
class Reader:
    """Turns events into lines, and keeps the newest row of each session. Says each thing once."""

    rows: dict[str, Row] = field(default_factory=dict)
    tentative: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    _said: dict[tuple[str, ...], None] = field(default_factory=dict)

    def read(self, event: Event) -> list[Line]:
        """Lines that `event` adds; none for what was said before.

        Raises:
            msgspec.DecodeError: the server speaks another dialect.
        """
        was_lost, self.lost = self.lost, event.name == "lost"
        if self.lost:
            reason = event.data.decode()
            return [] if was_lost else [Line("", "notice", f"the feed is away ({reason}); trying to get it back")]
        lines = self._read(event)
        return [Line("", "notice", "the feed is back"), *lines] if was_lost else lines

    def _read(self, event: Event) -> list[Line]:
        match event.name:
            case "snapshot":
                return self._row(msgspec.json.decode(event.data, type=Row))
            case "changed":
                return self._row(msgspec.json.decode(event.data, type=_Change).view)
            case "tentative":
                words = msgspec.json.decode(event.data, type=Tentative)
                self.tentative[words.session] = words.text
            case "committed":
                heard = msgspec.json.decode(event.data, type=Committed)
                self.tentative.pop(heard.session, None)
                return self._once(Line(heard.session, "speech", f"“{heard.text.strip()}”", t_s=heard.start_s))
            case "deleted":
                session = msgspec.json.decode(event.data, type=Deleted).session
                self.rows.pop(session, None)
                return [Line(session, "notice", "the session was erased")]
        return []

    def _row(self, row: Row) -> list[Line]:
        before = self.rows.get(row.session)
        self.rows[row.session] = row
        lines = self._state_lines(before, row)
        for entry in row.ledger:
            points = f"{entry.weight:+.0f}" if entry.weight else " 0"
            text = f"{points:>3}  {entry.rule}: {entry.why}"
            lines += self._once(Line(row.session, "score", text, entry.severity, entry.t_s))
        for feature in row.features:
            if not feature.available:
                hint = f" (run: {feature.command})" if feature.command else ""
                lines += self._once(Line(row.session, "notice", f"without {feature.name}: {feature.reason}{hint}"))
        return lines

    def _state_lines(self, before: Row | None, row: Row) -> list[Line]:
        lines = []
        if before is None or before.status != row.status:
            lines.append(Line(row.session, "state", f"the session is {row.status}", t_s=row.clock_s))
        unclear = row.could_not_tell
        if unclear.active != (before is not None and before.could_not_tell.active):
            reasons = ", ".join(unclear.reasons).replace("_", " ")
            words = f"could not tell ({reasons})" if unclear.active else "can tell again"
            lines.append(Line(row.session, "state", words, t_s=row.clock_s))
        if row.review_recommended and not (before is not None and before.review_recommended):
            lines.append(Line(row.session, "state", "a human should look at this session", row.level, row.clock_s))
        return lines

    def _once(self, line: Line) -> list[Line]:
        key = (line.session, line.kind, line.text, f"{line.t_s}")
        if key in self._said:
            return []
        self._said[key] = None
        if len(self._said) > MAX_LINES_REMEMBERED:
            del self._said[next(iter(self._said))]
        return [line]

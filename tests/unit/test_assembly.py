"""Video packets into coded pictures."""

from __future__ import annotations

from ingest.assembly import MAX_PICTURE_BYTES, Assembler, Coded, Packet
from ingest.reorder import Lost


def packet(timestamp: int, data: bytes, *, marker: bool = False, at: float = 0.0) -> Packet:
    return Packet("vp8", timestamp, marker, data, at)


def assemble(*items: Packet | Lost) -> list[Coded]:
    assembler = Assembler()
    return [coded for item in items for coded in assembler.add(item)]


def test_marker_completes_a_picture_at_once() -> None:
    coded = assemble(packet(1, b"a", at=1.0), packet(1, b"b", marker=True, at=2.0))
    assert coded == [Coded("vp8", 1, b"ab", 1.0, 2.0, damaged=False)]


def test_next_timestamp_completes_a_picture_without_marker() -> None:
    coded = assemble(packet(1, b"a"), packet(2, b"b"), packet(3, b"c"))
    assert [(c.timestamp, c.data) for c in coded] == [(1, b"a"), (2, b"b")]


def test_loss_drops_the_picture_and_marks_the_next() -> None:
    coded = assemble(
        packet(1, b"a", marker=True),
        packet(2, b"b"),
        Lost(1),
        packet(2, b"d", marker=True),
        packet(3, b"e", marker=True),
        packet(4, b"f", marker=True),
    )
    assert [(c.timestamp, c.damaged) for c in coded] == [(1, False), (3, True), (4, False)]


def test_picture_that_lost_its_beginning_is_never_handed_on() -> None:
    """The packet after a loss may be in the middle of a picture whose beginning is what was lost."""
    coded = assemble(
        packet(1, b"a"), Lost(2), packet(2, b"x"), packet(2, b"y", marker=True), packet(3, b"z", marker=True)
    )
    assert [c.data for c in coded] == [b"z"]


def test_loss_without_markers_ends_at_the_next_timestamp() -> None:
    coded = assemble(packet(1, b"a"), Lost(1), packet(1, b"b"), packet(2, b"c"), packet(3, b"d"))
    assert [(c.timestamp, c.data, c.damaged) for c in coded] == [(2, b"c", True)]


def test_restart_takes_the_first_picture() -> None:
    coded = assemble(Lost(0, restart=True), packet(9, b"k", marker=True))
    assert [(c.data, c.damaged) for c in coded] == [(b"k", True)]


def test_padding_is_no_picture() -> None:
    assert assemble(packet(1, b"a", marker=True), packet(1, b""), packet(1, b"", marker=True)) == assemble(
        packet(1, b"a", marker=True)
    )


def test_picture_without_end_is_given_up() -> None:
    assembler = Assembler()
    part = b"x" * 100_000
    for _ in range(MAX_PICTURE_BYTES // len(part) + 2):
        assert assembler.add(packet(1, part)) == []
    assert assembler.oversized == 1
    assembler.add(packet(1, b"", marker=True))
    assert [c.damaged for c in assembler.add(packet(2, b"ok", marker=True))] == [True]

"""A watcher's queue: bounded, cut when full, woken when asked."""

from __future__ import annotations

import asyncio
import json

from api.feed import Event, Watcher, event_of
from proto.views import Changed, Deleted, Tentative
from tests.support.views import a_view


def event(number: int) -> Event:
    return Event("changed", "s1", b"{}", number)


async def test_events_come_in_order() -> None:
    watcher = Watcher("s1", 3)
    for number in range(3):
        watcher.offer(event(number))
    assert [(await watcher.next(0.1)).seq for _ in range(3)] == [0, 1, 2]  # type: ignore[union-attr]
    assert await watcher.next(0.001) is None
    assert watcher.ending is None


async def test_one_too_many_cuts_and_frees() -> None:
    watcher = Watcher("s1", 2)
    for number in range(3):
        watcher.offer(event(number))
    assert watcher.ending == "slow"
    assert watcher.ended.is_set()
    assert await watcher.next(0.1) is None
    watcher.offer(event(4))
    assert await watcher.next(0.1) is None


async def test_a_waiting_reader_is_woken_by_an_event_an_end_and_a_resync() -> None:
    for wake in (
        lambda watcher: watcher.offer(event(1)),
        lambda watcher: watcher.end("stopping"),
        lambda watcher: watcher.ask_resync(),
    ):
        watcher = Watcher("", 2)
        waiting = asyncio.create_task(watcher.next(10))
        await asyncio.sleep(0)
        assert not waiting.done()
        wake(watcher)
        await asyncio.wait_for(waiting, 1)


async def test_what_is_queued_before_an_erasure_is_still_told() -> None:
    watcher = Watcher("s1", 4)
    watcher.offer(event(1))
    watcher.end("deleted")
    taken = await watcher.next(0.1)
    assert taken is not None
    assert taken.seq == 1
    assert await watcher.next(0.1) is None
    watcher.end("slow")
    assert watcher.ending == "deleted"


def test_an_event_on_both_wires() -> None:
    changed = event_of(Changed(session="s1", seq=7, view=a_view("s1", 7, label='quote " and ü\nline')))
    sse = changed.sse().decode()
    assert sse.startswith("id: 7\nevent: changed\ndata: {")
    assert sse.endswith("}\n\n")
    assert sse.count("\n") == 4
    frame = json.loads(changed.frame())
    assert (frame["event"], frame["id"]) == ("changed", 7)
    assert frame["data"] == json.loads(sse.split("data: ", 1)[1])
    assert frame["data"]["view"]["label"] == 'quote " and ü\nline'


def test_an_event_without_a_sequence_has_no_id() -> None:
    tentative = event_of(Tentative(session="s1", utterance=1, start_s=0.0, text="so"))
    assert not tentative.sse().startswith(b"id:")
    assert json.loads(tentative.frame())["id"] is None
    assert event_of(Deleted(session="s1")).name == "deleted"

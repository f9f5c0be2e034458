"""An empty search for hands holds for a moment; a find keeps the search going."""

from __future__ import annotations

from inference.vision import hand_watch
from inference.vision.analysis import Seen
from inference.vision.hand_watch import HandWatch
from proto.observations import Quality


def seen(*, searched: bool, occlusion: float = 0.0) -> Seen:
    return Seen(
        faces=(), quality=Quality(brightness=100, sharpness=100, occlusion=occlusion), person_present=None,
        models={"face": "m"} | ({"hands": "h"} if searched else {}), timings_ms={},
    )  # fmt: skip


def test_an_empty_search_rests_its_own_session_only():
    watch = HandWatch(1.0)
    assert watch.is_due("a", 0.0)
    watch.note("a", 0.0, seen(searched=True))
    assert not watch.is_due("a", 0.2)
    assert watch.is_due("b", 0.2)
    assert watch.is_due("a", 1.0)


def test_a_frame_that_was_not_searched_says_nothing():
    watch = HandWatch(1.0)
    watch.note("a", 0.0, seen(searched=False))
    assert watch.is_due("a", 0.2)


def test_a_find_keeps_the_search_going():
    watch = HandWatch(1.0)
    watch.note("a", 0.0, seen(searched=True))
    watch.note("a", 1.0, seen(searched=True, occlusion=0.4))
    assert watch.is_due("a", 1.2)


def test_a_clock_that_went_back_asks_anew():
    watch = HandWatch(1.0)
    watch.note("a", 50.0, seen(searched=True))
    assert watch.is_due("a", 3.0)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(hand_watch, "MAX_SESSIONS", 2)
    watch = HandWatch(1.0)
    for session in ("a", "b", "c"):
        watch.note(session, 0.0, seen(searched=True))
    assert [watch.is_due(session, 0.5) for session in ("a", "b", "c")] == [True, False, False]

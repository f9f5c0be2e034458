"""Where faces were a moment ago: what may be taken as a hint, and when a search is due."""

from __future__ import annotations

import numpy as np
import pytest

from inference.vision import tracks
from inference.vision.faces import FoundFaces
from inference.vision.tracks import Tracks


def found(faces: int = 1, *, searched: bool = True) -> FoundFaces:
    rois = np.arange(faces * 5, dtype=np.float32).reshape(faces, 5)
    return FoundFaces(np.zeros((faces, 478, 3), np.float32), rois, np.ones(faces, np.float32), searched)


def test_nothing_is_known_of_a_new_session() -> None:
    known = Tracks()
    known.note("a", 0.0, found())
    assert known.hint("b", 0.2) is None


def test_the_next_frame_gets_the_last_faces_regions() -> None:
    known = Tracks()
    known.note("a", 0.0, found(2))
    hint = known.hint("a", 0.2)
    assert hint is not None
    assert np.array_equal(hint, found(2).rois)


def test_a_picture_without_a_face_is_searched_again() -> None:
    known = Tracks()
    known.note("a", 0.0, found(0))
    assert known.hint("a", 0.2) is None


def test_a_search_is_due_every_so_often_however_often_faces_are_followed() -> None:
    known = Tracks(0.5)
    searches = []
    for frame in range(16):
        t_s = 10.0 + frame / 5
        hint = known.hint("a", t_s)
        if hint is None:
            searches.append(frame)
        known.note("a", t_s, found(searched=hint is None))
    assert searches == [0, 3, 6, 9, 12, 15]


def test_a_search_for_another_reason_counts() -> None:
    known = Tracks(0.5)
    known.note("a", 0.0, found())
    known.note("a", 0.4, found(searched=True))
    assert known.hint("a", 0.6) is not None


@pytest.mark.parametrize("t_s", [5.0, 4.8, 0.0, 7.0])
def test_time_that_stands_or_goes_back_or_leaps_asks_for_a_search(t_s: float) -> None:
    known = Tracks(0.5)
    known.note("a", 5.0, found())
    assert known.hint("a", t_s) is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracks, "MAX_SESSIONS", 2)
    known = Tracks()
    for session in ("a", "b", "a", "c"):
        known.note(session, 0.0, found())
    assert [known.hint(session, 0.1) is None for session in ("a", "b", "c")] == [False, True, False]

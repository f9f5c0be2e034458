"""Real recordings through the real vision models into the fold: what is true of a clip is what the ledger says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.vision.analysis import Analyst
from inference.vision.decode import picture_of
from proto.observations import FrameSeen
from tests.support.clips import frames
from tests.support.observed import POLICIES, Folded
from tests.support.vision import analyst_of

ALL_POLICIES = ["standard", "full", "eu-recruitment"]


@pytest.fixture(scope="module")
def analyst(built_dir: Path) -> Iterator[Analyst]:
    analyst = analyst_of(built_dir)
    missing = analyst.load()
    assert [missing[feature] for feature in ("face", "person", "hands")] == [None] * 3
    yield analyst
    analyst.close()


@pytest.fixture(scope="module")
def seen() -> dict[str, list[FrameSeen]]:
    """Clips already looked at: a clip is the same whatever the policy."""
    return {}


def watch(analyst: Analyst, seen: dict[str, list[FrameSeen]], clip: Path) -> list[FrameSeen]:
    if clip.name not in seen:
        seen[clip.name] = [
            FrameSeen(
                session="s1",
                source=frame.source,
                seq=frame.seq,
                t_s=frame.t_s,
                faces=look.faces,
                quality=look.quality,
                person_present=look.person_present,
            )
            for frame in frames(clip)
            for look in analyst.look([picture_of(frame.jpeg, 1_000_000, 4_000_000)])
        ]
    return seen[clip.name]


def fold(frames_seen: list[FrameSeen], policy: str = "standard") -> Folded:
    return Folded(frames_seen, (POLICIES / f"{policy}.toml").read_text("utf-8"))


@pytest.mark.parametrize("policy", ALL_POLICIES)
def test_a_second_person_is_reported_once_shortly_after_they_enter(analyst, seen, media, policy):
    folded = fold(watch(analyst, seen, media / "video" / "second_person_enters_at_3s.mp4"), policy)
    assert folded.rules == ["MULTIPLE_FACES"]
    assert 3.0 < folded.lines("MULTIPLE_FACES")[0] < 5.0
    assert folded.state.open["MULTIPLE_FACES"].start_s == pytest.approx(3.0, abs=0.3)


def test_a_look_to_the_left_is_seen_while_it_lasts_and_not_otherwise(analyst, seen, media):
    folded = fold(watch(analyst, seen, media / "video" / "gaze_center_left_center.mp4"))
    assert set(folded.rules) <= {"EYES_OFF_SCREEN", "LOOKING_AWAY"}
    assert len(folded.rules) == 1
    (episode,) = folded.state.timeline
    assert 5.0 <= episode.start_s <= 6.5
    assert episode.end_s is not None
    assert 9.0 <= episode.end_s <= 11.0
    assert episode.start_s < folded.state.ledger[0].t_s < 10.0


@pytest.mark.parametrize("policy", ALL_POLICIES)
@pytest.mark.parametrize("clip", ["gaze_center.mp4", "talking_head_8s.mp4", "single_face.mp4"])
def test_somebody_who_looks_and_talks_has_done_nothing(analyst, seen, media, clip, policy):
    folded = fold(watch(analyst, seen, media / "video" / clip), policy)
    assert folded.rules == []
    assert folded.state.timeline == ()
    assert folded.state.open == {}


@pytest.mark.parametrize(("clip", "from_s"), [("face_then_no_face.mov", 2.4), ("no_face.mp4", 0.0)])
def test_an_empty_picture_is_nobody(analyst, seen, media, clip, from_s):
    folded = fold(watch(analyst, seen, media / "video" / clip))
    assert folded.rules == ["NO_FACE"]
    assert folded.state.open["NO_FACE"].start_s == pytest.approx(from_s, abs=0.5)


@pytest.mark.parametrize("policy", ALL_POLICIES)
def test_hands_over_the_face_are_never_nobody(analyst, seen, media, policy):
    frames_seen = watch(analyst, seen, media / "video" / "hands_over_face_20s.mp4")
    assert frames_seen[-1].t_s > 18.0
    folded = fold(frames_seen, policy)
    kinds = {episode.kind for episode in (*folded.state.timeline, *folded.state.open.values())}
    assert "NO_FACE" not in folded.rules
    assert "NO_FACE" not in kinds
    assert "COULD_NOT_TELL" in kinds

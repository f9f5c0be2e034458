"""Real faces beside made seconds of speech: somebody who talks is the voice, a silent face is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aggregator.risk.view import view
from inference.vision.analysis import Analyst
from inference.vision.decode import picture_of
from proto.observations import AnyObservation, FrameSeen, SessionEnded
from tests.support.clips import frames
from tests.support.observed import POLICIES, STANDARD, Folded, second, up
from tests.support.vision import analyst_of

RULE = "VOICE_NOT_FROM_FACE"
DELAYS_S = (-3.0, 0.0, 1.2, 5.0)
"""How much later than a picture of the same moment its sound is told."""


@pytest.fixture(scope="module")
def analyst(built_dir: Path) -> Iterator[Analyst]:
    analyst = analyst_of(built_dir)
    assert analyst.load()["face"] is None
    yield analyst
    analyst.close()


@pytest.fixture(scope="module")
def looked() -> dict[str, list[FrameSeen]]:
    """Clips already looked at."""
    return {}


@pytest.fixture
def clips(analyst: Analyst, looked: dict[str, list[FrameSeen]], media: Path) -> Callable[[str], list[FrameSeen]]:
    def look(name: str) -> list[FrameSeen]:
        if name not in looked:
            looked[name] = [
                FrameSeen(
                    session="s1", source=frame.source, seq=frame.seq, t_s=frame.t_s, faces=found.faces,
                    quality=found.quality, person_present=found.person_present,
                )
                for frame in frames(media / "video" / f"{name}.mp4")
                for found in analyst.look([picture_of(frame.jpeg, 1_000_000, 4_000_000)])
            ]  # fmt: skip
        return looked[name]

    return look


def spoken_over(seen: list[FrameSeen], delay_s: float, speech_s: float = 0.95) -> list[AnyObservation]:
    """The clip with speech throughout, told `delay_s` after the pictures, until its last whole second."""
    last = int(seen[-1].t_s)
    sounds = [second(t, speech_s=speech_s, pause_s=0.0) for t in range(last)]
    order = sorted([*seen, *sounds], key=lambda one: one.t_s + (0.0 if isinstance(one, FrameSeen) else 1.0 + delay_s))
    return [up(), *order, SessionEnded(session="s1", source="api", seq=1, t_s=last + 1.0)]


@pytest.mark.parametrize("policy", ["standard", "full", "eu-recruitment"])
@pytest.mark.parametrize("delay_s", DELAYS_S)
def test_somebody_who_talks_is_the_voice(clips, policy, delay_s):
    policy_toml = (POLICIES / f"{policy}.toml").read_text("utf-8")
    folded = Folded(spoken_over(clips("talking_head_8s"), delay_s), policy_toml)
    assert folded.rules == []
    assert view(folded.state).measures.mouth_still_share == 0.0


@pytest.mark.parametrize("delay_s", DELAYS_S)
@pytest.mark.parametrize("clip", ["gaze_center", "gaze_center_left_center"])
def test_speech_over_a_silent_face_is_noted(clips, clip, delay_s):
    folded = Folded(spoken_over(clips(clip), delay_s))
    assert folded.lines(RULE) == [5.0]
    assert view(folded.state).measures.mouth_still_share == 1.0
    assert folded.state.peak_score <= 15.0, "the look aside may count, the voice never does"


def test_a_silent_face_without_speech_is_nothing(clips):
    folded = Folded(spoken_over(clips("gaze_center"), 0.0, speech_s=0.0))
    assert folded.rules == []


def test_a_mouth_behind_a_phone_is_not_a_still_one(clips):
    """The mesh draws lips over the phone that do not move. But they are parted, and their head seems turned."""
    policy_toml = STANDARD.replace(
        "hold_s = 4.0\nrelease_s = 2.0\ncooldown_s = 60.0", "hold_s = 1.0\ncooldown_s = 60.0"
    )
    assert policy_toml != STANDARD
    folded = Folded(spoken_over(clips("phone_from_2s_to_6s"), 0.0), policy_toml)
    assert RULE not in folded.rules
    share = view(folded.state).measures.mouth_still_share
    assert share is None or share == 0.0

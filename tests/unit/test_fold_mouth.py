"""A voice that is not the face's: only where the mouth was seen well, and matched by time however the two arrive."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from aggregator.risk import state
from aggregator.risk.mouth import MAX_SECONDS
from aggregator.risk.view import view
from proto.observations import AnyObservation, FrameSeen, Quality, SessionEnded, SourceLost, SpeechHeard
from tests.support.observed import Folded, face, frame, piece, second, span, stats, up

RULE = "VOICE_NOT_FROM_FACE"
FIT = Quality(brightness=120.0, sharpness=300.0, face_px=200.0)
END = SessionEnded(session="s1", source="api", seq=1, t_s=60.0)


def looks(start_s: float, end_s: float, opening: Callable[[int], float], **changes: object) -> list[FrameSeen]:
    """A living head, which is never quite still, with a mouth that opens as told by the frame's number."""
    given = {"quality": FIT} | changes
    shown = {name: given.pop(name) for name in list(given) if name in ("yaw_deg", "abstains", "pitch_deg")}
    return [
        frame(t, face(**({"yaw_deg": 1.0 + 0.2 * (i % 3), "mouth_opening": opening(i)} | shown)), **given)
        for i, t in enumerate(span(start_s, end_s))
    ]


def still(_number: int) -> float:
    return 0.0005


def talks(number: int) -> float:
    return (0.05, 0.01, 0.06, 0.03, 0.002)[number % 5]


def speech(start_s: int, end_s: int, **changes: object) -> list[SpeechHeard]:
    return [second(t, **({"speech_s": 0.95, "pause_s": 0.0} | changes)) for t in range(start_s, end_s)]


def merged(*observations: list[FrameSeen] | list[SpeechHeard]) -> list[AnyObservation]:
    """As they come live: a second of sound when it is over."""
    return sorted(
        (one for some in observations for one in some), key=lambda one: one.t_s + getattr(one, "duration_s", 0)
    )


def test_speech_from_a_still_mouth_is_noted_after_its_hold_and_weighs_nothing():
    folded = Folded([up(), *merged(looks(0, 20, still), speech(0, 20)), END])
    assert folded.lines(RULE) == [5.0]
    assert folded.rules == [RULE]
    assert folded.state.ledger[0].why == "A voice while the mouth in view was still for 4.0 s."
    assert folded.state.peak_score == 0.0
    assert folded.alerts == []
    assert folded.state.timeline[0].kind == RULE
    assert view(folded.state).measures.mouth_still_share == 1.0


def test_somebody_who_talks_is_the_voice():
    folded = Folded([up(), *merged(looks(0, 60, talks), speech(0, 60)), END])
    assert folded.rules == []
    assert folded.state.timeline == ()
    assert view(folded.state).measures.mouth_still_share == 0.0


def test_a_listener_with_a_still_mouth_is_nothing():
    folded = Folded([up(), *merged(looks(0, 30, still), speech(0, 30, speech_s=0.0)), END])
    assert folded.rules == []
    assert view(folded.state).measures.mouth_still_share is None


def test_it_ends_when_the_mouth_moves():
    seen = [*looks(0, 10, still), *looks(10, 20, talks)]
    folded = Folded([up(), *merged(seen, speech(0, 20)), END])
    (episode,) = folded.state.timeline
    assert episode.end_s == pytest.approx(11.0)
    assert view(folded.state).measures.mouth_still_share == pytest.approx(0.5)


@pytest.mark.parametrize(
    "shown",
    [
        {"quality": Quality(brightness=120.0, sharpness=300.0, face_px=90.0)},
        {"quality": Quality(brightness=120.0, sharpness=300.0)},
        {"quality": Quality(brightness=20.0, sharpness=5.0, problems=("dark",), face_px=200.0)},
        {"quality": Quality(brightness=120.0, sharpness=300.0, problems=("occluded",), face_px=200.0)},
        {"abstains": {"expression": "turned"}},
        {"abstains": {"pose": "blurred"}},
        {"abstains": {"gaze": "occluded"}},
        {"pitch_deg": -30.0},
        {"yaw_deg": 1.0},
    ],
)
def test_a_mouth_that_was_not_seen_well_never_fires(shown):
    folded = Folded([up(), *merged(looks(0, 30, still, **shown), speech(0, 30)), END])
    assert folded.rules == []
    assert view(folded.state).measures.mouth_still_share is None


@pytest.mark.parametrize("opening", [0.005, 0.05, float("nan"), -1.0, 7.0])
def test_lips_that_are_parted_and_never_move_are_covered_not_still(opening):
    folded = Folded([up(), *merged(looks(0, 30, lambda _: opening), speech(0, 30)), END])
    assert folded.rules == []


def test_a_movement_too_small_to_tell_is_neither():
    folded = Folded([up(), *merged(looks(0, 30, lambda i: 0.009 * (i % 2)), speech(0, 30)), END])
    assert folded.rules == []
    assert view(folded.state).measures.mouth_still_share is None


@pytest.mark.parametrize(
    "changes",
    [
        *({"problems": (problem,)} for problem in ("lost", "muted", "quiet", "clipped", "noisy", "music")),
        {"gap_s": 0.2},
        {"speech_s": 0.4},
        {"duration_s": 0.5, "speech_s": 0.5},
        {"duration_s": float("nan")},
    ],
)
def test_sound_that_was_not_heard_well_never_fires(changes):
    assert Folded([up(), *merged(looks(0, 30, still), speech(0, 30, **changes)), END]).rules == []


def test_two_faces_nobody_and_few_frames_never_fire():
    both = [
        frame(one.t_s, one.faces[0], face(x=0.75, height=0.1, width=0.06), quality=FIT) for one in looks(0, 30, still)
    ]
    assert Folded([up(), *merged(both, speech(0, 30)), END]).rules == []
    assert Folded([up(), *merged(looks(0, 30, still)[::2], speech(0, 30)), END]).rules == []
    assert Folded([up(), *speech(0, 30), END]).rules == []
    three = [one for i, one in enumerate(looks(0, 30, still)) if i % 5 not in (1, 3)]
    assert Folded([up(), *merged(three, speech(0, 30)), END]).rules == []
    late = [one for i, one in enumerate(looks(0, 30, still)) if i % 5 != 2]
    assert Folded([up(), *merged(late, speech(0, 30)), END]).rules == [RULE]


def test_lost_packets_never_fire():
    poor = [stats(0.0), stats(0.1, packets_received=1100, packets_lost=100)]
    assert Folded([up(), *poor, *merged(looks(1, 30, still), speech(1, 30)), END]).rules == []


@pytest.mark.parametrize("heard", [{"role": "interviewer"}, {"overlap_s": 0.3}])
def test_while_the_interviewer_may_be_heard_nothing_is_compared(heard):
    asks = [piece(t, 1, duration_s=1.0, **heard) for t in range(30)]
    observations = [*merged(looks(0, 30, still), speech(0, 30)), END]
    late = sorted([*asks, *observations], key=lambda one: one.t_s + (4.0 if one in asks else 1.0))
    assert Folded([up(), *late]).rules == []
    assert Folded([up(), *observations]).rules == [RULE]


def test_a_voice_that_is_nobodys_may_be_a_known_interviewers():
    unknown = [piece(t, None, duration_s=1.0) for t in range(30)]
    seen, heard = looks(0, 30, still), speech(0, 30)
    assert Folded([up(), *unknown, *merged(seen, heard), END]).rules == [RULE]
    assert Folded([up(), up(source="interviewer-1"), *unknown, *merged(seen, heard), END]).rules == []


@pytest.mark.parametrize("ahead_s", [0, 3, 20, -3, -20])
@pytest.mark.parametrize(("opening", "rules"), [(still, [RULE]), (talks, [])])
def test_pictures_and_sound_are_matched_by_their_times_however_they_come(ahead_s, opening, rules):
    frames, heard = looks(0, 40, opening), speech(0, 40)
    order = sorted([*frames, *heard], key=lambda one: one.t_s + (ahead_s if isinstance(one, SpeechHeard) else 0))
    folded = Folded([up(), *order, END])
    assert folded.rules == rules
    assert folded.lines(RULE) == [5.0][: len(rules)]
    assert folded.state.mouth.compared_s == 40.0
    share = view(folded.state).measures.mouth_still_share
    assert share == (1.0 if rules else 0.0)


def test_speech_of_another_time_is_not_held_against_a_silent_face():
    """The candidate listens for 10 s and then talks; the speech of the later seconds comes first."""
    frames = [*looks(0, 10, still), *looks(10, 20, talks)]
    heard = [*speech(0, 10, speech_s=0.0), *speech(10, 20)]
    assert Folded([up(), *heard, *frames, END]).rules == []
    assert Folded([up(), *frames, *heard, END]).rules == []


def test_what_comes_too_far_apart_is_not_compared():
    folded = Folded([up(), *looks(0, 100, still), *speech(0, 50)])
    assert folded.rules == []
    assert len(folded.state.mouth.looks) <= MAX_SECONDS
    folded = Folded([up(), *speech(0, 200)])
    assert len(folded.state.mouth.spoken) <= MAX_SECONDS
    assert len(state.pack(folded.state)) < len(state.pack(Folded([up()]).state)) + 2000


def test_what_waits_is_judged_when_the_connection_is_over():
    lost = SourceLost(session="s1", source="cam", seq=1, t_s=8.0, reason="closed")
    folded = Folded([up(), *merged(looks(0, 8, still), speech(0, 8)), lost])
    assert RULE in folded.rules
    assert RULE not in folded.state.open


def test_any_order_within_seconds_gives_the_same_answer():
    frames, heard = looks(0, 40, still), speech(0, 40)
    for seed in range(5):
        random_ = random.Random(seed)
        delay = {one.t_s: random_.uniform(0.0, 5.0) for one in heard}
        order = sorted([*frames, *heard], key=lambda one: one.t_s + (delay[one.t_s] if one in heard else 0.0))
        # Sound is told in order whatever its delay.
        sounds = iter(sorted(heard, key=lambda one: one.t_s))
        mixed = [next(sounds) if isinstance(one, SpeechHeard) else one for one in order]
        assert Folded([up(), *mixed, END]).lines(RULE) == [5.0]

"""Folding what pictures and sound say together: is it the face in view that speaks?"""

from __future__ import annotations

from aggregator.risk import mouth
from aggregator.risk.conditions import Moment
from aggregator.risk.draft import Draft
from aggregator.risk.look import Picture
from proto.observations import FrameSeen


def frame_seen(draft: Draft, frame: FrameSeen, picture: Picture, *, poor: bool) -> None:
    """A frame that is newer than all before it; `poor`: its source loses packets."""
    draft.mouth = mouth.see(draft.mouth, frame.t_s, mouth.lips(frame, picture, poor=poor))
    settle(draft)


def second_heard(draft: Draft, start_s: float, duration_s: float, speech_s: float, *, fit: bool) -> None:
    """A second of the candidate's sound; `fit`: all of it arrived and can be judged."""
    draft.mouth = mouth.hear(draft.mouth, start_s, duration_s, speech_s, fit=fit)
    settle(draft)


def settle(draft: Draft, *, final: bool = False) -> None:
    """Judge the seconds that are ready; with `final` every one that waits, for nothing more will come."""
    draft.mouth, settled = mouth.settle(draft.mouth, final=final)
    for second in settled:
        draft.judge("mouth", Moment(t_s=second.t_s, still=second.still))

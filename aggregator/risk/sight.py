"""Folding what was seen: it drives all rules about the picture, and says when nothing can be told."""

from __future__ import annotations

import msgspec

from aggregator.risk import (
    abstention,
    expression,
    eyes,
    gaze,
    hearing,
    identity,
    life,
    look,
    matching,
    mouth,
    quality,
    reading,
    text,
    voices,
)
from aggregator.risk.conditions import FRONTAL_TURN_DEG, Moment
from aggregator.risk.draft import Draft
from aggregator.risk.look import Picture
from aggregator.risk.state import Tally
from proto.observations import FrameSeen, FrameSkipped, TextSeen

READING_SWING_DEG = 4.0
EYES_OFF = "EYES_OFF_SCREEN"
READING = "READING_PATTERN"
SKIPPED_STALE = "stale"
LATE_S = 5.0
LATE_RUN = 10


def frame_seen(draft: Draft, frame: FrameSeen) -> None:
    """One frame. One that is not newer than the newest is counted and drives nothing."""
    t_s = frame.t_s
    if draft.state.final:
        life.count(draft, "after_end")
        return
    life.alive(draft, frame.source, t_s)
    if draft.frame_s is not None and t_s <= draft.frame_s and not _time_went_back(draft, draft.frame_s, t_s):
        life.count(draft, "frames_seen", "frames_late")
        return
    draft.late_run = 0
    draft.frame_s = t_s
    draft.clock_s = max(draft.clock_s, t_s)
    picture = look.picture(frame)
    moment = _moment(draft, frame, picture)
    draft.judge("frame", moment)
    _look_further(draft, frame, moment, picture)
    draft.expire("text", t_s)
    draft.expire("sound", t_s)
    matching.frame_seen(draft, frame, picture, poor=moment.poor)
    hearing.fell_silent(draft, t_s)
    reasons = (*picture.unfit, *picture.hidden)
    if moment.poor:
        reasons = (*reasons, quality.LOST_PACKETS)
    _could_not_tell(draft, reasons, t_s)
    _count(draft, moment, picture, looked=frame.objects is not None)


def frame_skipped(draft: Draft, frame: FrameSkipped) -> None:
    """A frame that could not be read: every rule about the picture pauses."""
    if draft.state.final:
        life.count(draft, "after_end")
        return
    life.count(draft, "frames_skipped")
    life.alive(draft, frame.source, frame.t_s)
    if draft.frame_s is not None and frame.t_s <= draft.frame_s:
        return
    draft.frame_s = frame.t_s
    draft.clock_s = max(draft.clock_s, frame.t_s)
    draft.judge("frame", Moment(t_s=frame.t_s))
    reason = quality.WORKERS_BEHIND if frame.reason == SKIPPED_STALE else quality.FRAME_UNREADABLE
    _could_not_tell(draft, (reason,), frame.t_s)


def text_seen(draft: Draft, seen: TextSeen) -> None:
    """A search for text. It comes after the frame it was made in, which is what moves the clock."""
    if draft.state.final:
        life.count(draft, "after_end")
        return
    if seen.t_s > draft.clock_s + text.MAX_AHEAD_S:
        life.count(draft, "rejected")
        return
    if draft.text.last_s is not None and seen.t_s <= draft.text.last_s:
        return
    source = draft.sources.get(seen.source)
    lost = source is not None and source.poor
    draft.text, lines = text.watch(draft.text, seen.regions, seen.t_s, keep=draft.policy.analysis.keep_text)
    unfit = quality.doubted(draft.blind, look.UNFIT_PICTURE)
    draft.judge("text", Moment(t_s=seen.t_s, poor=lost or unfit, lines=lines))


def _look_further(draft: Draft, frame: FrameSeen, moment: Moment, picture: Picture) -> None:
    """What was looked at on this frame only, each at its own rate."""
    t_s = frame.t_s
    if picture.main is not None and not picture.unfit and not picture.hidden:
        draft.abstentions = abstention.count(draft.abstentions, picture.main.abstains)
    if frame.objects is None:
        draft.expire("objects", t_s)
    else:
        draft.judge("objects", moment)
    if frame.identity is None:
        draft.expire("identity", t_s)
    else:
        doubted = moment.poor or t_s < draft.identity.settled_s
        found = identity.likeness(frame.identity, picture, doubted=doubted)
        draft.identity = identity.count(draft.identity, found)
        draft.judge("identity", Moment(t_s=t_s, likeness=found))
    if draft.policy.analysis.emotion and not moment.poor:
        _express(draft, frame, picture)


def _express(draft: Draft, frame: FrameSeen, picture: Picture) -> None:
    """Only called where the policy allows emotion: elsewhere not even what came uncalled for is kept."""
    face = picture.main
    if face is None or face.expression is None or abstention.EXPRESSION in face.abstains:
        return
    if picture.unfit or picture.hidden or not look.alone(picture):
        return
    seen = expression.checked(face.expression)
    if seen is not None:
        model = frame.models.get(expression.TASK, "")
        draft.expression = expression.follow(draft.expression, seen, model, frame.t_s)


def _time_went_back(draft: Draft, newest_s: float, t_s: float) -> bool:
    """Whether the newest time must have been wrong: many frames in a row lie far before it.

    One frame from a worker with a broken clock would otherwise make the session blind until the time it named. What was
    open ends, and session time goes on from here.
    """
    draft.late_run = draft.late_run + 1 if newest_s - t_s > LATE_S else 0
    if draft.late_run < LATE_RUN:
        return False
    draft.close_all(t_s, drives=life.DRIVEN_BY_SOURCE)
    life.clear_blind(draft, t_s)
    draft.mouth = mouth.forget(draft.mouth)
    draft.voices = voices.forget(draft.voices)
    draft.text = msgspec.structs.replace(draft.text, last_s=None, boxes=())
    draft.reading = reading.NOT_READING
    draft.sound_s = None
    draft.clock_s = t_s
    return True


def _moment(draft: Draft, frame: FrameSeen, picture: Picture) -> Moment:
    t_s = frame.t_s
    pose = picture.pose if look.alone(picture) else None
    draft.eyes, closed = eyes.watch(draft.eyes, pose.openness if pose else None, t_s)
    draft.gaze, offset = gaze.follow(draft.gaze, None if closed else pose, t_s)
    if closed and pose is not None:
        # The head can be judged with the eyes closed; the gaze cannot.
        offset = gaze.head_only(draft.gaze, pose)
    rule = draft.policy.rules.get(READING)
    swing_deg = rule.enter if rule and rule.enter is not None else READING_SWING_DEG
    # With the head turned the eyes are measured at a slant, and it is the head that is judged.
    frontal = offset.turn_deg is not None and offset.turn_deg <= FRONTAL_TURN_DEG
    off_yaw_deg = offset.off_yaw_deg if frontal else None
    draft.reading = reading.watch(draft.reading, off_yaw_deg, offset.off_deg, t_s, swing_deg)
    source = draft.sources.get(frame.source)
    return Moment(
        t_s=t_s,
        poor=source is not None and source.poor,
        picture=picture,
        offset=offset,
        eyes_closed=closed,
        turns=reading.turns(draft.reading, t_s),
        objects=frame.objects or (),
    )


def _could_not_tell(draft: Draft, reasons: tuple[str, ...], t_s: float) -> None:
    before = draft.blind
    draft.blind = quality.watch(before, reasons, t_s)
    if draft.blind is not before:
        draft.judge_blind(before.open, t_s)


def _count(draft: Draft, moment: Moment, picture: Picture, *, looked: bool) -> None:
    t = draft.tally
    gazed = moment.offset.off_deg is not None and not moment.poor
    eyes_off = draft.trackers.get(EYES_OFF)
    judged = picture.faces > 0 or not (picture.unfit or picture.hidden)
    draft.tally = Tally(
        frames_seen=t.frames_seen + 1,
        frames_skipped=t.frames_skipped,
        frames_late=t.frames_late,
        frames_judged=t.frames_judged + judged,
        frames_with_face=t.frames_with_face + (picture.faces > 0),
        frames_with_gaze=t.frames_with_gaze + gazed,
        frames_eyes_off=t.frames_eyes_off + (gazed and eyes_off is not None and eyes_off.open),
        objects_looked=t.objects_looked + looked,
        whisper_heard=t.whisper_heard,
        sound_s=t.sound_s,
        speech_s=t.speech_s,
        longest_pause_s=t.longest_pause_s,
        words=t.words,
        rejected=t.rejected,
        after_end=t.after_end,
        stalls=t.stalls,
        losses=t.losses,
    )

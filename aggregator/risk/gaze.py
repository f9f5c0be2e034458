"""Where the candidate looks, relative to where this candidate looks when looking at the screen.

Cameras stand beside screens and people sit askew, so no absolute angle means anything. The first good seconds (roughly
frontal, eyes open, gaze steady) give a baseline by medians; from then on it follows slowly, quicker while the gaze is
near it. Eyes turn against the head when the head turns, so what is judged is eye plus head, and beside it the head.
"""

from __future__ import annotations

from math import sqrt
from statistics import median

import msgspec

from aggregator.risk.look import Pose

BASELINE_S = 3.0
BASELINE_SAMPLES = 8
MAX_SAMPLES = 32
SAMPLE_EVERY_S = 0.09
FRONTAL_DEG = 30.0
"""A face turned further than this, from the camera's point of view, teaches no baseline."""

STEADY_DEG = 4.0
"""Median distance from the median: eyes that wander more than this teach no baseline."""

OPEN_EYE_RATIO = 0.15
"""Below it the lids hide too much of the iris to teach from (closed eyes measure 0.01-0.10, open ones 0.24-0.40)."""

PITCH_WEIGHT = 0.6
"""Vertical gaze is measured with more noise than horizontal, because the lids move with it: it counts for less."""

HEAD_ONLY_AFTER_S = 20.0
"""Without a baseline for so long, the head is judged from the camera's axis, and the gaze not at all."""

NEAR_DEG = 8.0
NEAR_TAU_S = 60.0
FAR_TAU_S = 600.0
MAX_DT_S = 1.0

Sample = tuple[float, float, float, float]
"""Head yaw and pitch, gaze yaw and pitch, in degrees."""


class Gaze(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`baseline` is None while `samples` are collected. `first_s` is when the first face was measured."""

    baseline: Sample | None = None
    samples: tuple[Sample, ...] = ()
    sampled_s: float = 0.0
    began_s: float = 0.0
    first_s: float | None = None
    last_s: float = 0.0


class Offset(msgspec.Struct, frozen=True):
    """Degrees from the baseline; None is "not known". `turn_deg` is how far the head is turned, `off_deg` the gaze."""

    turn_deg: float | None = None
    off_deg: float | None = None
    off_yaw_deg: float | None = None


UNKNOWN = Offset()


def follow(gaze: Gaze, pose: Pose | None, t_s: float) -> tuple[Gaze, Offset]:
    """Gaze after a frame at `t_s`, and where its face looked. `pose` is None where nothing could be measured."""
    if pose is None:
        return gaze, UNKNOWN
    if gaze.baseline is None:
        return _learn(gaze, pose, t_s)
    offset = _offset(gaze.baseline, pose)
    if pose.gaze_yaw_deg is None or pose.gaze_pitch_deg is None:
        return gaze, offset
    near = offset.off_deg is not None and offset.off_deg < NEAR_DEG
    rate = min(max(t_s - gaze.last_s, 0.0), MAX_DT_S) / (NEAR_TAU_S if near else FAR_TAU_S)
    yaw, pitch, gaze_yaw, gaze_pitch = gaze.baseline
    moved = (
        yaw + rate * (pose.yaw_deg - yaw),
        pitch + rate * (pose.pitch_deg - pitch),
        gaze_yaw + rate * (pose.gaze_yaw_deg - gaze_yaw),
        gaze_pitch + rate * (pose.gaze_pitch_deg - gaze_pitch),
    )
    return Gaze(baseline=moved, first_s=gaze.first_s, last_s=t_s), offset


def head_only(gaze: Gaze, pose: Pose) -> Offset:
    """How far the head is turned in a frame whose gaze means nothing, because the eyes are closed."""
    return UNKNOWN if gaze.baseline is None else Offset(_offset(gaze.baseline, pose).turn_deg)


def _learn(gaze: Gaze, pose: Pose, t_s: float) -> tuple[Gaze, Offset]:
    first_s = t_s if gaze.first_s is None else gaze.first_s
    turned = UNKNOWN
    if t_s - first_s >= HEAD_ONLY_AFTER_S:
        turned = Offset(_length(pose.yaw_deg, pose.pitch_deg))
    frontal = abs(pose.yaw_deg) <= FRONTAL_DEG and abs(pose.pitch_deg) <= FRONTAL_DEG
    open_eyed = pose.openness is not None and pose.openness >= OPEN_EYE_RATIO
    if not frontal or not open_eyed or pose.gaze_yaw_deg is None or pose.gaze_pitch_deg is None:
        return msgspec.structs.replace(gaze, first_s=first_s, last_s=t_s), turned
    if gaze.samples and t_s - gaze.sampled_s < SAMPLE_EVERY_S:
        return gaze, turned
    began_s = gaze.began_s if gaze.samples else t_s
    samples = (*gaze.samples, (pose.yaw_deg, pose.pitch_deg, pose.gaze_yaw_deg, pose.gaze_pitch_deg))[-MAX_SAMPLES:]
    if t_s - began_s >= BASELINE_S and len(samples) >= BASELINE_SAMPLES:
        yaw, pitch, gaze_yaw, gaze_pitch = (median(column) for column in zip(*samples, strict=True))
        if median(abs(sample[2] - gaze_yaw) for sample in samples) <= STEADY_DEG:
            learned = (yaw, pitch, gaze_yaw, gaze_pitch)
            return Gaze(baseline=learned, first_s=first_s, last_s=t_s), _offset(learned, pose)
        # Not steady: forget the older half and go on collecting.
        samples, began_s = samples[len(samples) // 2 :], t_s - BASELINE_S / 2
    return Gaze(samples=samples, sampled_s=t_s, began_s=began_s, first_s=first_s, last_s=t_s), turned


def _offset(baseline: Sample, pose: Pose) -> Offset:
    # A head is turned away if it is turned both from the camera and from where this candidate's usually points: whoever
    # moves while the baseline is learned, and whoever sits askew, is given the benefit.
    turn_deg = _length(
        min(abs(pose.yaw_deg), abs(pose.yaw_deg - baseline[0])),
        min(abs(pose.pitch_deg), abs(pose.pitch_deg - baseline[1])),
    )
    if pose.gaze_yaw_deg is None or pose.gaze_pitch_deg is None:
        return Offset(turn_deg)
    off_yaw_deg = pose.gaze_yaw_deg - baseline[2]
    off_pitch_deg = pose.gaze_pitch_deg - baseline[3]
    return Offset(turn_deg, _length(off_yaw_deg, PITCH_WEIGHT * off_pitch_deg), off_yaw_deg)


def _length(x: float, y: float) -> float:
    # Not math.hypot: squares, sums and roots are rounded alike everywhere, and this is part of the state's hash.
    return sqrt(x * x + y * y)

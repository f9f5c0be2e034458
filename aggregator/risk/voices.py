"""Whose voice is heard: how much speech each voice of a session had, and whether another than the candidate's speaks.

The candidate's is the voice with the most speech so far, once it is well known. Where nobody told the interviewer's
voice apart (no source and no enrolment of its own), an interviewer in the candidate's sound is another voice like any.
"""

from __future__ import annotations

import math

import msgspec

from proto.observations import VoiceHeard
from proto.views import VoiceShare

MAX_VOICES = 8
"""More are not kept apart: what they say is nobody's for certain."""

NOBODY = -1
"""The number of an interviewer's voice that came without one."""

MAX_PIECE_S = 60.0
MAX_AHEAD_S = 60.0
"""No voice is told further ahead of the session's clock."""

MAIN_S = 8.0
MAIN_PIECES = 3
"""So much speech, in so many pieces, and it is known how the candidate sounds."""

OVERLAP_S = 0.1
"""The interviewer speaks at the same time for longer than this: what is heard may be the loudspeaker."""

WINDOW_S = 60.0
MAX_OTHERS = 40
"""Another voice is held against nobody for longer than this, and in no more pieces."""

MAX_SPANS = 32
SHORTEST_S = 0.05
"""A piece of which less than this was not among the newest pieces already adds nothing."""

Span = tuple[float, float]
"""Begin and end in session seconds."""


class Share(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Speech of one voice."""

    voice: int
    speech_s: float
    pieces: int = 1
    interviewer: bool = False


class Voices(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`until_s` is how far voices were listened to, `pieces` counts what was listened to, `told` what of it could be
    told. `spans` are the newest pieces, `others` those of another voice that have not made a rule fire yet.
    `interviewer` says that the interviewer has a source of sound of its own.
    """

    until_s: float | None = None
    pieces: int = 0
    told: int = 0
    shares: tuple[Share, ...] = ()
    unknown_s: float = 0.0
    overlap_s: float = 0.0
    silhouette: float | None = None
    spans: tuple[Span, ...] = ()
    others: tuple[Span, ...] = ()
    interviewer: bool = False


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece of speech says at `t_s`. `other` is None where that cannot be told, `apart` is the silhouette, and
    `other_s` and `times` are how long and how often another voice was heard lately.
    """

    t_s: float
    other: bool | None
    apart: float | None
    other_s: float
    times: int


def take(voices: Voices, heard: VoiceHeard, *, doubted: bool) -> tuple[Voices, Told | None]:
    """Voices after one more piece, and what it says; None where it adds nothing to what was heard already.

    Pieces may come late: whose they are is sometimes told only by what followed. `doubted`: the sound could not be
    judged, so that whoever it seems to be proves nothing.
    """
    if not (math.isfinite(heard.duration_s) and 0.0 < heard.duration_s <= MAX_PIECE_S):
        return voices, None
    span = (heard.t_s, heard.t_s + heard.duration_s)
    fresh_s = heard.duration_s - sum(_shared_s(span, known) for known in voices.spans)
    if fresh_s < SHORTEST_S:
        return voices, None
    until_s = span[1] if voices.until_s is None else max(voices.until_s, span[1])
    voice = NOBODY if heard.voice is None and heard.role == "interviewer" else heard.voice
    shares = voices.shares if voice is None else _add(voices.shares, voice, fresh_s, heard.role == "interviewer")
    known = any(share.voice == voice for share in shares)
    overlap_s = min(fresh_s, heard.overlap_s) if 0.0 < heard.overlap_s <= MAX_PIECE_S else 0.0
    other = None
    if voice is not None and known and not doubted and overlap_s <= OVERLAP_S:
        other = _other(shares, voice)
    others = tuple(one for one in voices.others if one[1] > until_s - WINDOW_S)
    if other:
        others = (*others, span)[-MAX_OTHERS:]
    after = Voices(
        until_s=until_s,
        pieces=voices.pieces + 1,
        told=voices.told + known,
        shares=shares,
        unknown_s=voices.unknown_s + (0.0 if known else fresh_s),
        overlap_s=voices.overlap_s + overlap_s,
        silhouette=_cosine(heard.silhouette, voices.silhouette),
        spans=(*voices.spans, span)[-MAX_SPANS:],
        others=others,
        interviewer=voices.interviewer or overlap_s > 0.0,
    )
    if not other and span[1] < until_s:
        return after, None  # what is going on now is known better already
    other_s = sum(end_s - start_s for start_s, end_s in others)
    return after, Told(t_s=until_s, other=other, apart=after.silhouette, other_s=other_s, times=len(others))


def answered(voices: Voices) -> Voices:
    """A rule fired for the other voice: what was held against it counts no second time."""
    return msgspec.structs.replace(voices, others=())


def forget(voices: Voices) -> Voices:
    """Session time went back: what was heard when says nothing any more, who spoke how much does."""
    return msgspec.structs.replace(voices, until_s=None, spans=(), others=())


def joined(voices: Voices) -> Voices:
    """The interviewer's own source of sound is there."""
    return voices if voices.interviewer else msgspec.structs.replace(voices, interviewer=True)


def interviewers(voices: Voices, heard: VoiceHeard) -> bool:
    """Whether what is heard may be the interviewer: by name, at the same time, or because it is nobody's for certain
    while one is known.
    """
    known = voices.interviewer or any(share.interviewer for share in voices.shares)
    return heard.role == "interviewer" or heard.overlap_s > 0.0 or (heard.voice is None and known)


def shown(voices: Voices) -> tuple[VoiceShare, ...] | None:
    """Every voice, the longest first; None where nothing listened for voices."""
    if not voices.pieces:
        return None
    total_s = sum(share.speech_s for share in voices.shares)
    ordered = sorted(voices.shares, key=lambda share: (-share.speech_s, share.voice))
    return tuple(
        VoiceShare(
            voice=share.voice,
            share=share.speech_s / total_s,
            speech_s=share.speech_s,
            role="interviewer" if share.interviewer else "",
        )
        for share in ordered
    )


def _main(shares: tuple[Share, ...]) -> Share | None:
    own = [share for share in shares if not share.interviewer]
    return max(own, key=lambda share: (share.speech_s, -share.voice), default=None)


def _other(shares: tuple[Share, ...], voice: int) -> bool | None:
    """Whether `voice` is another than the candidate's; None while that one is not known well enough to say so."""
    if any(share.voice == voice and share.interviewer for share in shares):
        return False
    candidate = _main(shares)
    if candidate is None:
        return None
    if candidate.voice == voice:
        return False
    return True if candidate.speech_s >= MAIN_S and candidate.pieces >= MAIN_PIECES else None


def _shared_s(one: Span, other: Span) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def _cosine(value: float | None, before: float | None) -> float | None:
    return value if value is not None and -1.0 <= value <= 1.0 else before


def _add(shares: tuple[Share, ...], voice: int, speech_s: float, interviewer: bool) -> tuple[Share, ...]:
    """Shares after more speech of `voice`. One that was once told to be the interviewer's stays theirs."""
    for place, share in enumerate(shares):
        if share.voice == voice:
            more = Share(
                voice=voice,
                speech_s=share.speech_s + speech_s,
                pieces=share.pieces + 1,
                interviewer=share.interviewer or interviewer,
            )
            return (*shares[:place], more, *shares[place + 1 :])
    if len(shares) >= MAX_VOICES:
        return shares
    return (*shares, Share(voice=voice, speech_s=speech_s, interviewer=interviewer))

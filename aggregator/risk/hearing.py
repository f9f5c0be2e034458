"""Folding what was heard: seconds of sound drive the rules about the voice; words are counted, never judged."""

from __future__ import annotations

import math

import msgspec

from aggregator.risk import life
from aggregator.risk.conditions import Moment
from aggregator.risk.draft import Draft
from proto.observations import SpeechHeard, WordsCommitted

MAX_SOUND_S = 60.0
MAX_PAUSE_S = 86_400.0
MAX_WORDS = 1000


def speech_heard(draft: Draft, heard: SpeechHeard) -> None:
    """A stretch of sound, usually a second. Numbers that cannot be are left out."""
    if draft.state.final:
        life.count(draft, "after_end")
        return
    duration_s = _within(heard.duration_s, MAX_SOUND_S)
    end_s = heard.t_s + duration_s
    heard_s = max(0.0, duration_s - _within(heard.gap_s, MAX_SOUND_S))
    tally = draft.tally
    draft.tally = msgspec.structs.replace(
        tally,
        sound_s=tally.sound_s + heard_s,
        speech_s=tally.speech_s + min(_within(heard.speech_s, MAX_SOUND_S), heard_s),
        longest_pause_s=max(
            tally.longest_pause_s, _within(heard.pause_s, MAX_PAUSE_S), _within(heard.ended_pause_s, MAX_PAUSE_S)
        ),
        whisper_heard=tally.whisper_heard + (heard.whisper_likelihood is not None),
    )
    if draft.sound_s is not None and end_s <= draft.sound_s:
        return
    draft.sound_s = end_s
    draft.clock_s = max(draft.clock_s, end_s)
    whisper = heard.whisper_likelihood
    if whisper is not None and not 0.0 <= whisper <= 1.0:
        whisper = None
    draft.judge("sound", Moment(t_s=end_s, whisper=whisper))


def words_committed(draft: Draft, committed: WordsCommitted) -> None:
    """Words that will not change. They may come after the end: the last ones are still being decoded then."""
    tally = draft.tally
    draft.tally = msgspec.structs.replace(tally, words=tally.words + min(len(committed.words), MAX_WORDS))


def _within(value: float, limit: float) -> float:
    """The value if it is a number from 0 to `limit`, else 0."""
    return value if math.isfinite(value) and 0.0 <= value <= limit else 0.0

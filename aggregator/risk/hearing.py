"""Folding what was heard: seconds of sound and voices drive the rules about them; words are counted, never judged."""

from __future__ import annotations

import msgspec

from aggregator.risk import life, matching, mouth, quality, sound, voices
from aggregator.risk.conditions import Moment
from aggregator.risk.draft import SOUND_UNCLEAR, Draft
from aggregator.risk.sound import Second
from proto.observations import INTERVIEWER, SpeechHeard, VoiceHeard, WordsCommitted, WordsTranslated

MAX_WORDS = 1000
SECOND_VOICE = "SECOND_VOICE"


def speech_heard(draft: Draft, heard: SpeechHeard) -> None:
    """A stretch of sound, usually a second. Numbers that cannot be are left out."""
    if draft.state.final:
        life.count(draft, "after_end")
        return
    if heard.source.startswith(INTERVIEWER):
        return
    second = _checked(heard)
    tally = draft.tally
    whisper = None if second.problems else sound.share(heard.whisper_likelihood)
    draft.tally = msgspec.structs.replace(
        tally,
        sound_s=tally.sound_s + second.heard_s,
        speech_s=tally.speech_s + second.speech_s,
        longest_pause_s=max(tally.longest_pause_s, sound.within(heard.pause_s, sound.LONGEST_S), second.ended_pause_s),
        whisper_heard=tally.whisper_heard + (whisper is not None),
    )
    draft.sound = sound.count(draft.sound, second)
    if draft.sound_s is not None and second.end_s <= draft.sound_s:
        return
    draft.sound_s = second.end_s
    draft.clock_s = max(draft.clock_s, second.end_s)
    draft.judge("sound", Moment(t_s=second.end_s, whisper=whisper))
    draft.expire("voice", second.end_s)
    fit = not second.problems and second.heard_s >= second.end_s - second.start_s - 1e-6
    matching.second_heard(draft, second.start_s, second.end_s - second.start_s, second.speech_s, fit=fit)
    _unclear(draft, second)


def voice_heard(draft: Draft, heard: VoiceHeard) -> None:
    """A piece of speech and whose it is. It is told later than it was heard, and may come after the end: then it counts
    in the shares and drives nothing.
    """
    if heard.source.startswith(INTERVIEWER):
        return
    if heard.t_s > draft.clock_s + voices.MAX_AHEAD_S:
        life.count(draft, "rejected")
        return
    end_s = heard.t_s + sound.within(heard.duration_s, voices.MAX_PIECE_S)
    doubted = sound.doubted(draft.sound, heard.t_s, end_s)
    draft.voices, told = voices.take(draft.voices, heard, doubted=doubted)
    if draft.state.final or told is None:
        return
    if voices.interviewers(draft.voices, heard):
        draft.mouth = mouth.doubt(draft.mouth, heard.t_s, end_s)
    poor = any(source.poor for source in draft.sources.values())
    before = len(draft.ledger) + draft.ledger_dropped
    draft.judge("voice", Moment(t_s=told.t_s, voice=told, poor=poor))
    if len(draft.ledger) + draft.ledger_dropped > before:
        draft.voices = voices.answered(draft.voices)


def words_committed(draft: Draft, committed: WordsCommitted) -> None:
    """Words that will not change. They may come after the end: the last ones are still being decoded then."""
    tally = draft.tally
    draft.tally = msgspec.structs.replace(tally, words=tally.words + min(len(committed.words), MAX_WORDS))


def words_translated(_draft: Draft, _translated: WordsTranslated) -> None:
    """The same words in English: nothing is counted twice, and nothing judged."""


def fell_silent(draft: Draft, t_s: float) -> None:
    """Pictures have reached `t_s`: if no sound was reported for long, what was going on in it is over."""
    heard_s = draft.sound_s
    if heard_s is None or t_s - heard_s <= sound.SILENT_AFTER_S:
        return
    if draft.deaf.since_s is not None:
        draft.deaf = quality.close(draft.deaf, heard_s)
        draft.close_episode(SOUND_UNCLEAR, heard_s)
    draft.expire("voice", t_s)


def _unclear(draft: Draft, second: Second) -> None:
    before = draft.deaf
    reasons = sound.unclear(second.problems)
    after_s = sound.MUTED_AFTER_S if reasons == ("muted",) else sound.UNCLEAR_AFTER_S
    draft.deaf = quality.watch(before, reasons, second.start_s, after_s=after_s, clear_after_s=sound.CLEAR_AFTER_S)
    if draft.deaf is not before:
        draft.judge_deaf(before, second.start_s)


def _checked(heard: SpeechHeard) -> Second:
    duration_s = sound.within(heard.duration_s, sound.SECOND_S)
    heard_s = max(0.0, duration_s - sound.within(heard.gap_s, sound.SECOND_S))
    return Second(
        start_s=heard.t_s,
        end_s=heard.t_s + duration_s,
        heard_s=heard_s,
        speech_s=min(sound.within(heard.speech_s, sound.SECOND_S), heard_s),
        ended_pause_s=sound.within(heard.ended_pause_s, sound.LONGEST_S),
        speech_dbfs=heard.speech_dbfs,
        noise_dbfs=heard.noise_dbfs,
        voiced_share=heard.voiced_share,
        problems=sound.known(heard.problems),
    )

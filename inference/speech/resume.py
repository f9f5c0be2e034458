"""What the log already holds of a session's sound: where a worker takes it up."""

from __future__ import annotations

from dataclasses import dataclass

from inference.backends.voice_encoder import FEATURE as VOICES
from inference.backends.whisper import FEATURE
from inference.speech.hearing import SafePoint
from inference.speech.transcriber import CONTEXT_WORDS, Memory, Unfinished
from inference.speech.translation import FEATURE as TRANSLATION
from inference.speech.translation import Spoken, untranslated
from proto import codec, policy, subjects
from proto.errors import BadMessage
from proto.observations import FeatureStatus, SessionCreated, SpeechHeard, Word, WordsCommitted, WordsTranslated
from runtime.bus import Bus, Delivery
from runtime.log import get_logger

SOURCE = "speech"

log = get_logger("speech")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a session stands. `next_second` is the first whose speech.heard is not in the log, `next_commit` the number
    of the next words.committed, `pause_s` the pause that had lasted at `safe`; `told_feature` says whether the
    session's feature.status is there, `told_translation` and `told_voices` the same for those. `language`, `hotwords`
    and `translate` are what the session was created with, `untranslated` what it still lacks in English.
    """

    analysis: policy.Analysis
    safe: SafePoint | None
    pause_s: float
    next_second: int
    next_commit: int
    memory: Memory
    told_feature: bool
    language: str = ""
    hotwords: tuple[str, ...] = ()
    translate: bool = False
    told_translation: bool = False
    told_voices: bool = False
    untranslated: tuple[Spoken, ...] = ()

    @property
    def resumed(self) -> bool:
        return self.next_second > 0 or self.next_commit > 0


async def standing(bus: Bus, session: str) -> Standing | None:
    """Read where a session stands; None if there is no such session (never created, or erased).

    Raises:
        BusUnavailable: NATS does not answer.
        BadMessage: the log holds something else than it should.
    """
    created = await bus.last(subjects.LOG, subjects.log(session, "session.created"))
    if created is None:
        return None
    wish = codec.decode(created.data, SessionCreated)
    analysis = policy.parse(wish.policy_toml).analysis
    heard = await _last_heard(bus, session)
    commits = [_committed(d) async for d in bus.read(subjects.LOG, subjects.log(session, "words.committed"))]
    safe = _latest(heard, commits)
    told = await _told_features(bus, session)
    return Standing(
        analysis=analysis,
        safe=safe,
        pause_s=_pause_at(heard, safe),
        next_second=heard.seq + 1 if heard else 0,
        next_commit=commits[-1].seq + 1 if commits else 0,
        memory=memory(commits),
        told_feature=FEATURE in told,
        language=wish.language,
        hotwords=wish.hotwords,
        translate=wish.translate,
        told_translation=TRANSLATION in told,
        told_voices=VOICES in told,
        untranslated=tuple(untranslated(commits, await _translated(bus, session))) if wish.translate else (),
    )


def memory(commits: list[WordsCommitted]) -> Memory:
    """The transcript's state after the commits of a session, in order."""
    if not commits:
        return Memory()
    last = commits[-1]
    done_until_s = max((c.heard_until_s for c in commits if c.final), default=float("-inf"))
    done = [commit for commit in commits if last.final or commit.utterance != last.utterance]
    recent = tuple(word for commit in done for word in commit.words)[-CONTEXT_WORDS:]
    if last.final:
        return Memory(last.utterance + 1, last.language, done_until_s, None, recent)
    words: tuple[Word, ...] = ()
    for commit in commits:
        if commit.utterance == last.utterance:
            words += commit.words
    window_start_s = last.window_start_s if last.window_start_s is not None else words[0].start_s
    unfinished = Unfinished(words, window_start_s, last.heard_until_s)
    return Memory(last.utterance, last.language, done_until_s, unfinished, recent)


def _latest(heard: SpeechHeard | None, commits: list[WordsCommitted]) -> SafePoint | None:
    """The later of the safe points that the log names; both are settled."""
    named = [
        message for message in (heard, commits[-1] if commits else None) if message and message.resume_s is not None
    ]
    points = [SafePoint(message.resume_s, message.resume_seq) for message in named if message.resume_s is not None]
    return max(points, key=lambda point: point.t_s, default=None)


def _pause_at(heard: SpeechHeard | None, safe: SafePoint | None) -> float:
    """The pause that had lasted at the safe point. If speech came between it and the last second, it does not matter:
    the seconds up to there are in the log.
    """
    if heard is None or safe is None:
        return 0.0
    return max(0.0, heard.pause_s - max(0.0, heard.t_s + heard.duration_s - safe.t_s))


async def _last_heard(bus: Bus, session: str) -> SpeechHeard | None:
    delivery = await bus.last(subjects.LOG, subjects.log(session, "speech.heard"))
    return codec.decode(delivery.data, SpeechHeard) if delivery else None


def _committed(delivery: Delivery) -> WordsCommitted:
    return codec.decode(delivery.data, WordsCommitted)


async def _translated(bus: Bus, session: str) -> list[WordsTranslated]:
    found = []
    async for delivery in bus.read(subjects.LOG, subjects.log(session, "words.translated")):
        try:
            found.append(codec.decode(delivery.data, WordsTranslated))
        except BadMessage:
            log.warning("speech.foreign_message", seq=delivery.seq)
    return found


async def _told_features(bus: Bus, session: str) -> set[str]:
    """Features of which this room has told the session."""
    told: set[str] = set()
    async for delivery in bus.read(subjects.LOG, subjects.log(session, "feature.status")):
        try:
            status = codec.decode(delivery.data, FeatureStatus)
        except BadMessage:
            # Another room's message: its reader puts it aside.
            log.warning("speech.foreign_message", seq=delivery.seq)
            continue
        if status.source == SOURCE:
            told.add(status.feature)
    return told

"""A batch of sounds through Whisper by way of CTranslate2.

A batch is decoded together as far as the library allows: sound of one length is encoded at once, prompts of one length
are continued at once, words of one language are aligned at once. What else is in a batch changes no answer but for the
rounding of a GPU's number formats, whose kernels depend on the size of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.backends.whisper_timing import (
    RawWord,
    TokenSegment,
    median_length_s,
    segments_of,
    shorten_at_sentence_ends,
    words_of,
)

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from faster_whisper.tokenizer import Tokenizer

ENGLISH = "en"

WINDOW_FRAMES = 3000
"""The 30 s of spectrogram that Whisper was trained on; a frame is 10 ms."""
FRAMES_PER_S = 100
FITTED_STEP_FRAMES = 100
FITTED_SPARE_FRAMES = 50
"""A fitted window ends at a whole second, at least this far behind the sound."""
MIN_SAMPLES = 1600
"""In less than a tenth of a second there is no word."""
MAX_ROUNDS = 4
"""A window whose decode stops early is decoded on from there so often at most."""
PROMPT_STEP = 20
MAX_PROMPT_TOKENS = 60
MAX_HOTWORD_TOKENS = 100
"""Hotwords and previous text leave more than half of Whisper's 448 tokens to what is heard."""
MAX_LENGTH = 448
MAX_INITIAL_TIMESTAMP = 50
"""The first timestamp is at most 1 s, as in Whisper."""
_PREPENDED, _APPENDED = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - marks of scripts that have their own

Samples = NDArray[np.float32]
Task = Literal["transcribe", "translate"]
Member = TypeVar("Member")


@dataclass(frozen=True, slots=True)
class Passage:
    """Up to 30 s of 16 kHz sound (-1..1) to be written down, or into English with `translate`.

    An empty language is found out from the sound. `prompt` is the text said before, `hotwords` are likely in it.
    """

    samples: Samples
    language: str = ""
    prompt: str = ""
    hotwords: tuple[str, ...] = ()
    task: Task = "transcribe"


@dataclass(frozen=True, slots=True)
class RawSegment:
    """A translation has `text` but no words, as its order is not that of the sound."""

    words: tuple[RawWord, ...]
    no_speech_probability: float
    log_probability: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the model wrote for a stretch of sound; `language_probability` is 1 where the language was given."""

    segments: tuple[RawSegment, ...]
    language: str
    language_probability: float


@dataclass(slots=True)
class _Work:
    """A passage on its way through the rounds; `from_s` is where the next one begins."""

    passage: Passage
    previous: list[int]
    language: str
    probability: float = 1.0
    from_s: float = 0.0
    open: bool = True
    found: list[RawSegment] = field(default_factory=list)


@dataclass(slots=True)
class _Turn:
    """One round of one work: its spectrogram (of `content` frames, the rest is padding) and what came of it."""

    work: _Work
    features: NDArray[np.float32]
    content: int
    from_s: float
    row: int = 0
    cut: list[TokenSegment] = field(default_factory=list)
    no_speech: float = 0.0
    log_probability: float = 0.0


class Batches:
    """Decodes batches with one loaded model. `fitted` encodes the sound with half a second to one and a half of padding
    instead of up to 30 s.
    """

    def __init__(self, model: WhisperModel, *, beam_size: int, fitted: bool) -> None:
        from faster_whisper.transcribe import get_suppressed_tokens  # noqa: PLC0415 - a second of imports

        self._model = model
        self._beam_size = beam_size
        self._fitted = fitted
        self._suppressed = list(get_suppressed_tokens(_plain_tokenizer(model), [-1]))

    def knows(self, language: str) -> bool:
        """Whether the model has a mark for a language; an English-only one needs none."""
        if not self._model.model.is_multilingual:
            return language == ENGLISH
        return self._model.hf_tokenizer.token_to_id(f"<|{language}|>") is not None

    def run(self, batch: Sequence[Passage]) -> list[Hypothesis]:
        """The model's words for each.

        Raises:
            ValueError: a passage asks for what the model cannot do.
            RuntimeError: the library failed, for example for want of memory.
        """
        works = [self._begin(passage) for passage in batch]
        for _ in range(MAX_ROUNDS):
            turns = [self._turn(work) for work in works if work.open]
            for alike in _grouped(turns, lambda turn: turn.features.shape[1]):
                self._round(alike)
        return [Hypothesis(tuple(work.found), work.language, work.probability) for work in works]

    def _begin(self, passage: Passage) -> _Work:
        model = self._model
        known = passage.language if model.model.is_multilingual else ENGLISH
        if known and not self.knows(known):
            raise ValueError(f"{known!r} is no language of this model's")
        if passage.task == "translate" and not model.model.is_multilingual:
            raise ValueError("an English-only model does not translate")
        if not np.isfinite(passage.samples).all():
            raise ValueError("samples that are no numbers")
        return _Work(passage, _previous(model, passage), known, open=len(passage.samples) >= MIN_SAMPLES)

    def _turn(self, work: _Work) -> _Turn:
        extractor = self._model.feature_extractor
        samples = work.passage.samples[round(work.from_s * extractor.sampling_rate) :]
        found = np.asarray(extractor(samples), np.float32)
        content = min(WINDOW_FRAMES, found.shape[1] - 1)
        frames = WINDOW_FRAMES
        if self._fitted:
            fitted = math.ceil((content + FITTED_SPARE_FRAMES) / FITTED_STEP_FRAMES) * FITTED_STEP_FRAMES
            frames = min(WINDOW_FRAMES, fitted)
        return _Turn(work, np.pad(found[:, :content], ((0, 0), (0, frames - content))), content, work.from_s)

    def _round(self, turns: list[_Turn]) -> None:
        """Encode, continue and align turns whose spectrograms are of one length."""
        model = self._model
        for row, turn in enumerate(turns):
            turn.row = row
        encoded = model.encode(np.stack([turn.features for turn in turns]))
        _find_languages(model, encoded, turns)
        for alike in _grouped(turns, lambda turn: len(turn.work.previous)):
            self._continue(_rows(encoded, alike, len(turns)), alike)
        written = [turn for turn in turns if turn.cut]
        for same in _grouped(written, lambda turn: (turn.work.language, turn.work.passage.task)):
            _write_down(model, encoded, same, len(turns))

    def _continue(self, encoded: Any, turns: list[_Turn]) -> None:
        """Text tokens for turns with prompts of one length."""
        model = self._model
        tokenizers = [_tokenizer(model, turn.work) for turn in turns]
        prompts = [
            [*turn.work.previous, *tokenizer.sot_sequence] for turn, tokenizer in zip(turns, tokenizers, strict=True)
        ]
        # Temperature 0 only: the same sound must give the same words to a worker and to its successor.
        results = model.model.generate(
            encoded,
            prompts,
            beam_size=self._beam_size,
            max_length=MAX_LENGTH,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
            max_initial_timestamp_index=MAX_INITIAL_TIMESTAMP,
        )
        for turn, result in zip(turns, results, strict=True):
            tokens = list(result.sequences_ids[0])
            turn.no_speech = float(result.no_speech_prob)
            turn.log_probability = float(result.scores[0]) * len(tokens) / (len(tokens) + 1)
            turn.cut, more_s = segments_of(tokens, tokenizers[0].timestamp_begin, turn.content / FRAMES_PER_S)
            turn.work.open = more_s is not None
            turn.work.from_s += more_s or 0.0


def _previous(model: WhisperModel, passage: Passage) -> list[int]:
    """Hotwords and previous text as tokens, the newest text last. Cut to steps of PROMPT_STEP: only prompts of one
    length are continued together, and a talk of some length has them all at the most.
    """
    tokenizer = _plain_tokenizer(model)
    hotwords: list[int] = []
    if passage.hotwords:
        hotwords = tokenizer.encode(" " + ", ".join(passage.hotwords))[:MAX_HOTWORD_TOKENS]
    text = tokenizer.encode(" " + passage.prompt.strip())[-MAX_PROMPT_TOKENS:] if passage.prompt.strip() else []
    text = text[len(text) % PROMPT_STEP :] if len(text) > PROMPT_STEP else text
    return [tokenizer.sot_prev, *hotwords, *text] if hotwords or text else []


def _plain_tokenizer(model: WhisperModel) -> Tokenizer:
    from faster_whisper.tokenizer import Tokenizer  # noqa: PLC0415 - a second of imports

    return Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=ENGLISH)


def _tokenizer(model: WhisperModel, work: _Work) -> Tokenizer:
    from faster_whisper.tokenizer import Tokenizer  # noqa: PLC0415 - a second of imports

    return Tokenizer(
        model.hf_tokenizer, model.model.is_multilingual, task=work.passage.task, language=work.language or ENGLISH
    )


def _find_languages(model: WhisperModel, encoded: Any, turns: list[_Turn]) -> None:
    unknown = [turn for turn in turns if not turn.work.language]
    if not unknown:
        return
    for turn, ranked in zip(unknown, model.model.detect_language(_rows(encoded, unknown, len(turns))), strict=True):
        token, probability = ranked[0]
        turn.work.language, turn.work.probability = token[2:-2], float(probability)


def _write_down(model: WhisperModel, encoded: Any, turns: list[_Turn], count: int) -> None:
    """Add what the turns found, of one language and task, to their works; words get their times."""
    tokenizer = _tokenizer(model, turns[0].work)
    texts = [[token for segment in turn.cut for token in segment.tokens] for turn in turns]
    if turns[0].work.passage.task == "translate":
        for turn, text in zip(turns, texts, strict=True):
            turn.work.found.append(_segment(turn, (), tokenizer.decode(text)))
        return
    from faster_whisper.transcribe import merge_punctuations  # noqa: PLC0415 - a second of imports

    lengths = [turn.content for turn in turns]
    for turn, aligned in zip(
        turns, model.find_alignment(tokenizer, texts, _rows(encoded, turns, count), lengths), strict=True
    ):
        median_s = median_length_s(aligned)
        shorten_at_sentence_ends(aligned, median_s)
        merge_punctuations(aligned, _PREPENDED, _APPENDED)
        for segment, words in zip(turn.cut, words_of(aligned, turn.cut, median_s), strict=True):
            turn.work.found.append(_segment(turn, words, tokenizer.decode(list(segment.tokens))))


def _segment(turn: _Turn, words: tuple[RawWord, ...], text: str) -> RawSegment:
    shifted = tuple(
        RawWord(word.text, word.start_s + turn.from_s, word.end_s + turn.from_s, word.probability) for word in words
    )
    return RawSegment(shifted, turn.no_speech, turn.log_probability, text.strip())


def _grouped(members: Sequence[Member], key: Callable[[Member], Hashable]) -> Iterator[list[Member]]:
    """Members with the same key together, in the order of their first."""
    groups: dict[Hashable, list[Member]] = {}
    for member in members:
        groups.setdefault(key(member), []).append(member)
    yield from groups.values()


def _rows(encoded: Any, turns: Sequence[_Turn], count: int) -> Any:
    """The encoder's output for some of its `count` rows."""
    if len(turns) == count:
        return encoded
    import ctranslate2  # noqa: PLC0415 - a second of imports

    on_cpu = encoded.to_device(ctranslate2.Device.cpu) if encoded.device != "cpu" else encoded
    # numpy has no bfloat16; the model takes any format back into its own.
    whole = np.asarray(on_cpu.to(ctranslate2.DataType.float32))
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(whole[[turn.row for turn in turns]]))

"""A model that seems to know another language: the real test model's words under the name of German.

No multilingual weights are small enough for the tests. What is scripted is what the model is said to know and how a
translation looks (the words in capitals); sound, words and times are real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from inference.backends.whisper import Hypothesis, Passage, RawSegment, WhisperBackend
from proto.errors import Unavailable

LANGUAGE = "de"


class Polyglot(WhisperBackend):
    """With `mute` set every translation fails; `asked` lists what it was given, by all there are of it."""

    mute = False
    asked: ClassVar[list[Passage]] = []

    @property
    def multilingual(self) -> bool:
        return True

    def knows(self, language: str) -> bool:
        return True

    def run(self, batch: Sequence[Passage]) -> list[Hypothesis | Unavailable]:
        self.asked.extend(batch)
        plain = [replace(passage, language="", task="transcribe") for passage in batch]
        answers = super().run(plain)
        return [self._told(passage, answer) for passage, answer in zip(batch, answers, strict=True)]

    def _told(self, passage: Passage, answer: Hypothesis | Unavailable) -> Hypothesis | Unavailable:
        if isinstance(answer, Unavailable) or (passage.task == "translate" and self.mute):
            return Unavailable("no translation today")
        segments = answer.segments
        if passage.task == "translate":
            segments = tuple(RawSegment((), 0.0, s.log_probability, s.text.upper()) for s in segments)
        return Hypothesis(segments, passage.language or LANGUAGE, 0.95)

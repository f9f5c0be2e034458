"""Real voices through the real encoder into the fold: one reader is nobody's second voice, another reader is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aggregator.risk.view import view
from bench.voices import Bench
from inference.backends.settings import OnnxSettings
from inference.backends.silero import SileroBackend
from inference.backends.voice_encoder import FEATURE, VoiceEncoderBackend
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from proto.observations import AnyObservation, VoiceHeard
from tests.support.observed import POLICIES, Folded, second, up
from tests.support.speech import read

RULE = "SECOND_VOICE"
RATE_HZ = 16_000
PAUSE = np.zeros(RATE_HZ, np.int16)
READERS = ("1688", "1998", "2033")

Samples = NDArray[np.int16]
Hear = Callable[[list[Samples], str], Folded]


@pytest.fixture
def hear(models_dir: Path, built_dir: Path) -> Hear:
    store = Store(ModelsSettings(dir=models_dir, built_dir=built_dir))
    encoder, silero = VoiceEncoderBackend(store.find("voice-encoder", FEATURE), OnnxSettings()), SileroBackend()
    encoder.load()
    silero.load()

    def fold(parts: list[Samples], policy: str) -> Folded:
        _, told = Bench(encoder, silero).hear(np.concatenate([sound for part in parts for sound in (part, PAUSE)]))
        observations: list[AnyObservation] = [up()]
        reached_s, seconds = 0.0, 0
        for one in told:
            reached_s = max(reached_s, one.t_s + one.duration_s)
            while seconds + 1 <= reached_s:
                observations.append(second(seconds))
                seconds += 1
            observations.append(
                VoiceHeard(
                    session="s1", source="speech", seq=one.seq, t_s=one.t_s, duration_s=one.duration_s, model="m",
                    voice=one.voice, role=one.role, similarity=one.similarity, silhouette=one.silhouette,
                    overlap_s=one.overlap_s, reason=one.reason,
                )
            )  # fmt: skip
        return Folded(observations, (POLICIES / f"{policy}.toml").read_text("utf-8"))

    return fold


def reading(media: Path, reader: str) -> list[Samples]:
    return [read(path) for path in sorted((media / "audio" / "speakers").glob(f"{reader}-*.flac"))]


@pytest.mark.parametrize("reader", READERS)
def test_one_reader_has_no_second_voice(hear, media, reader):
    folded = hear(reading(media, reader), "full")
    assert folded.rules == []
    assert folded.state.open == {}
    voices = view(folded.state).measures.voices
    assert voices is not None
    assert [voice.share for voice in voices] == [1.0]


@pytest.mark.parametrize("policy", ["standard", "full", "eu-recruitment"])
def test_somebody_else_who_helps_is_heard_once(hear, media, policy):
    candidate, helper = reading(media, "1998"), reading(media, "2033")
    folded = hear([*candidate, helper[0], candidate[0]], policy)
    assert folded.rules == [RULE]
    assert folded.state.open == {}, "the candidate goes on"
    begin_s = sum(len(part) + RATE_HZ for part in candidate) / RATE_HZ
    (at_s,) = folded.lines(RULE)
    assert begin_s + 2.0 < at_s < begin_s + len(helper[0]) / RATE_HZ + 1.0

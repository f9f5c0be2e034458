"""The voice encoder on recordings of real people: one reader is one voice, whatever happens to the sound."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from bench.diarization import errors, read_rttm
from bench.voices import Bench, turns
from inference.backends.settings import OnnxSettings
from inference.backends.silero import SileroBackend
from inference.backends.voice_encoder import FEATURE, VoiceEncoderBackend
from inference.models import voice
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.signals import mel
from inference.speech.voices import Voices, again
from proto.errors import FeatureMissing
from proto.observations import VoiceHeard
from tests.support.speech import read

Samples = NDArray[np.int16]
PAUSE = 16_000


@pytest.fixture
def encoder(models_dir: Path, built_dir: Path) -> VoiceEncoderBackend:
    store = Store(ModelsSettings(dir=models_dir, built_dir=built_dir))
    backend = VoiceEncoderBackend(store.find("voice-encoder", FEATURE), OnnxSettings())
    backend.load()
    return backend


@pytest.fixture
def bench(encoder: VoiceEncoderBackend) -> Bench:
    silero = SileroBackend()
    silero.load()
    return Bench(encoder, silero)


@pytest.fixture
def people(media: Path) -> dict[str, list[Samples]]:
    """Recordings by person."""
    audio = media / "audio"
    found = {"reader": [read(path) for path in sorted(audio.glob("LJ001-*.wav"))], "orator": [read(audio / "jfk.flac")]}
    for path in sorted((audio / "speakers").glob("*.flac")):
        found.setdefault(path.name.split("-")[0], []).append(read(path))
    assert len(found) == 5
    return found


def joined(parts: Sequence[Samples]) -> Samples:
    """Recordings with a second of a quiet room before, between and behind."""
    random = np.random.default_rng(5)
    rooms = [random.normal(0, 3, PAUSE).astype(np.int16) for _ in range(len(parts) + 1)]
    return np.concatenate([rooms[0], *(one for pair in zip(parts, rooms[1:], strict=True) for one in pair)])


def louder(samples: Samples, gain_db: float) -> Samples:
    return np.clip(samples * 10.0 ** (gain_db / 20.0), -32768, 32767).astype(np.int16)


def noisy(samples: Samples, snr_db: float) -> Samples:
    random = np.random.default_rng(6)
    rms = np.sqrt(np.mean(np.square(samples.astype(np.float64))) / 10.0 ** (snr_db / 10.0))
    return np.clip(samples + random.normal(0, rms, len(samples)), -32768, 32767).astype(np.int16)


def test_weights_read_from_the_package_are_those_of_pytorchs_own_export(
    models_dir: Path, people: dict[str, list[Samples]], tmp_path: Path
) -> None:
    """The export holds the same weights: made into a network here, they give the very file that the manifest pins."""
    path = models_dir / "resemblyzer_voice_encoder.onnx"
    made = voice.graph(_weights(path))
    card = Store(ModelsSettings(dir=models_dir)).card("voice-encoder")
    assert hashlib.sha256(made).hexdigest() == card.files[0].sha256
    assert len(made) == card.files[0].size_bytes
    ours = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    theirs = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    sounds = [one[start : start + mel.PARTIAL] for (one, *_) in people.values() for start in (16_000, 48_000)]
    feed = {"mels": np.stack([mel.partial(sound.astype(np.float32) / 32768) for sound in sounds])}
    one, other = ours.run(None, feed)[0], theirs.run(None, feed)[0]
    assert np.sum(one * other, axis=1).min() > 0.9999


def _weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """PyTorch's names and order of gates for what its export holds."""
    model = onnx.load(str(path))
    held = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    weights = {name: held[name] for name in ("linear.weight", "linear.bias")}
    for layer, node in enumerate(one for one in model.graph.node if one.op_type == "LSTM"):
        inputs, states, biases = (held[name][0] for name in node.input[1:4])
        parts = {"weight_ih": inputs, "weight_hh": states, "bias_ih": biases[:1024], "bias_hh": biases[1024:]}
        for name, rows in parts.items():
            into, out, forget, cell = np.split(rows, 4)
            weights[f"lstm.{name}_l{layer}"] = np.concatenate([into, forget, cell, out])
    return weights


def test_embeddings_are_directions_and_do_not_depend_on_the_batch(
    encoder: VoiceEncoderBackend, people: dict[str, list[Samples]]
) -> None:
    sounds = [people["1688"][0][at : at + mel.PARTIAL].astype(np.float32) / 32768 for at in range(8000, 80_000, 12_800)]
    together = encoder.run(sounds)
    for sound, made in zip(sounds, together, strict=True):
        (alone,) = encoder.run([sound])
        assert made is not None
        assert alone is not None
        assert float(np.linalg.norm(made)) == pytest.approx(1.0, abs=1e-4)
        assert float(alone @ made) == pytest.approx(1.0, abs=1e-4)
    assert encoder.run([]) == []


def test_a_file_of_another_layout_is_told(models_dir: Path, built_dir: Path) -> None:
    store = Store(ModelsSettings(dir=models_dir, built_dir=built_dir))
    backend = VoiceEncoderBackend(store.find("yolox-nano", "objects"), OnnxSettings())
    with pytest.raises(FeatureMissing, match="does not take mels of 160x40"):
        backend.load()


@pytest.mark.parametrize("name", ["1688", "1998", "2033", "reader", "orator"])
def test_one_person_is_never_two(name: str, people: dict[str, list[Samples]], bench: Bench) -> None:
    parts = people[name]
    for order in list(itertools.permutations(range(len(parts))))[::5]:
        voices, told = bench.hear(joined([parts[at] for at in order]))
        assert voices.count == 1, order
        assert sum(one.voice == 0 for one in told) > 0.5 * len(told)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["1688", "1998", "2033", "reader", "orator"])
def test_gain_noise_and_clipping_make_no_second_person(
    name: str, people: dict[str, list[Samples]], bench: Bench
) -> None:
    plain = joined(people[name])
    spoiled = [louder(plain, -20), louder(plain, 6), noisy(plain, 20), noisy(plain, 15), noisy(plain, 10)]
    for at, other in enumerate((*spoiled, louder(plain, 16))):
        assert bench.hear(other)[0].count <= 1, at
    # Within one session, and back: a fan that starts, a microphone that is turned up.
    for at, other in enumerate(spoiled[:4]):
        assert bench.hear(np.concatenate([plain, other, plain]))[0].count == 1, at
        assert bench.hear(np.concatenate([other, plain, other]))[0].count == 1, at


@pytest.mark.timeout(240)
def test_two_and_three_people_in_turn_are_counted(people: dict[str, list[Samples]], bench: Bench) -> None:
    def in_turn(names: Sequence[str]) -> Samples:
        turns = [people[name][turn % len(people[name])] for turn in range(4) for name in names]
        return joined(turns)

    for pair in itertools.combinations(people, 2):
        voices, told = bench.hear(in_turn(pair))
        assert voices.count == 2, pair
        assert told[-1].silhouette is not None
        assert told[-1].silhouette > 0.3
    for three in itertools.combinations(people, 3):
        assert bench.hear(in_turn(three))[0].count == 3, three


def test_two_who_sound_alike_are_left_open_rather_than_mixed(media: Path, bench: Bench) -> None:
    """The encoder holds the two of this dialogue for nearly as alike as one person is: nobody is counted twice, and
    what the second one says is mostly nobody's.
    """
    audio = media / "audio"
    truth = read_rttm((audio / "pyannote_2spk_sample.rttm").read_text())
    voices, told = bench.hear(read(audio / "pyannote_2spk_sample.wav"))
    plain, forgiving = (errors(truth, turns(told), collar_s=collar_s) for collar_s in (0.0, 0.25))
    print(f"{voices.count} voices, {plain.rate:.3f} of {plain.spoken_s:.1f} s, with a collar {forgiving.rate:.3f}")
    assert voices.count in (1, 2)
    assert plain.confused_s < 0.1 * plain.spoken_s
    assert plain.false_s < 0.5


def test_a_successor_goes_on_with_the_same_numbers(people: dict[str, list[Samples]], bench: Bench) -> None:
    parts = [people[name][turn] for turn in range(3) for name in ("1688", "2033")]
    sound = joined(parts)
    cut = (len(joined(parts[:4])) - PAUSE // 2) // 3200 * 3200
    _, whole = bench.hear(sound)
    first, told = bench.hear(sound[:cut])
    assert first.count == 2
    log = [
        VoiceHeard(
            session="s", source="speech", seq=one.seq, t_s=one.t_s, duration_s=one.duration_s, model="m",
            voice=one.voice, reason=one.reason,
        )
        for one in told
    ]  # fmt: skip
    stretches = again(log, since_s=0.0)
    pieces = [sound[max(0, round(one.from_s * 16_000)) : round(one.until_s * 16_000)] for one in stretches]
    after = Voices()
    after.restore(log, stretches, bench.encoder.run([piece.astype(np.float32) / 32768 for piece in pieces]))
    _, rest = bench.hear(sound[cut:], after, t_s=cut / 16_000)
    assert after.count == 2
    known = [one for one in rest if one.voice is not None]
    assert len(known) >= 5
    assert {one.voice for one in known} == {0, 1}
    for one in known:
        # Cells of a session cut elsewhere begin elsewhere: those that cover the same moment say the same.
        at_s = one.t_s + one.duration_s / 2
        same = [other.voice for other in whole if other.t_s <= at_s < other.t_s + other.duration_s]
        assert set(same) <= {one.voice, None}, one.t_s

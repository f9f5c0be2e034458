"""`candor bench --voices --material DIR`: how well voices are told apart, on recordings whose speakers are known.

DIR holds `speakers/NAME-*.flac` or .wav, one person a NAME (what stands before the first dash), and dialogues as
`NAME.wav` with a `NAME.rttm` of who spoke when. The model is the one that CANDOR_MODELS_DIR holds.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from bench.diarization import Errors, Turn, errors, read_rttm
from bench.figures import machine
from inference.backends.settings import OnnxSettings
from inference.backends.silero import SileroBackend
from inference.backends.voice_encoder import FEATURE, VoiceEncoderBackend
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.signals.voice_groups import Embedding, mean
from inference.speech.hearing import Hearing
from inference.speech.timeline import End, Piece
from inference.speech.utterance import EndpointTuning
from inference.speech.vad import VadTuning
from inference.speech.voices import Voiced, Voices
from proto.errors import BadInput, FeatureMissing
from proto.media import SAMPLE_RATE_HZ

PIECE = SAMPLE_RATE_HZ // 5
Samples = npt.NDArray[np.int16]


class Bench:
    """Hears recordings as a session does, and keeps what was embedded. `cpu_s` is what embedding took."""

    def __init__(self, encoder: VoiceEncoderBackend, silero: SileroBackend) -> None:
        self.encoder = encoder
        self._silero = silero
        self.cpu_s = 0.0
        self.heard_s = 0.0
        self.embeddings: list[Embedding] = []

    def hear(self, samples: Samples, voices: Voices | None = None, *, t_s: float = 0.0) -> tuple[Voices, list[Voiced]]:
        """The voices of one recording, as a session of its own or from session second `t_s` on of one that goes on."""
        voices = voices or Voices()
        told: list[Voiced] = []
        hearing = Hearing(self._silero, VadTuning(), EndpointTuning())
        pieces = [samples[start : start + PIECE] for start in range(0, len(samples), PIECE)]
        times_s = [t_s + seq * PIECE / SAMPLE_RATE_HZ for seq in range(len(pieces))]
        stretches: list[Piece | End] = [Piece(seq, times_s[seq], one) for seq, one in enumerate(pieces)]
        for stretch in (*stretches, End(len(pieces), t_s + len(samples) / SAMPLE_RATE_HZ)):
            for event in hearing.take(stretch):
                if (batch := voices.take(event)) is not None:
                    began_s = time.process_time()
                    made = self.encoder.run(batch.sounds)
                    self.cpu_s += time.process_time() - began_s
                    self.heard_s += sum(request.duration_s for request in batch.requests)
                    self.embeddings += [one for one in made if one is not None]
                    told += voices.apply(batch, made)
        return voices, told

    def embedded(self, samples: Samples) -> list[Embedding]:
        """Embeddings of a recording's cells."""
        self.embeddings = []
        self.hear(samples)
        return self.embeddings


def read(path: Path) -> Samples:
    """16 kHz mono samples of a recording, all channels mixed."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    parts: list[npt.NDArray[np.int16]] = []
    with av.open(str(path)) as container:
        for frame in (*container.decode(audio=0), None):
            parts += [np.asarray(made.to_ndarray(), np.int16).reshape(-1) for made in resampler.resample(frame)]
    return np.concatenate(parts)


def turns(told: Sequence[Voiced]) -> list[Turn]:
    """What was told of voices, to be compared with who spoke."""
    return [Turn(one.t_s, one.t_s + one.duration_s, one.voice) for one in told if one.voice is not None]


def similarities(people: dict[str, list[Embedding]]) -> list[str]:
    """A table: cosines of each person's cells to the mean of that person's other cells, and to other people's means."""
    means = {name: mean(found) for name, found in people.items()}
    lines = [f"{'':12} {'cells':>5}  same person: least, median   other people: median, most"]
    for name, found in people.items():
        own = (
            [float(one @ mean(found[:at] + found[at + 1 :])) for at, one in enumerate(found)] if len(found) > 1 else []
        )
        other = [float(one @ centre) for one in found for who, centre in means.items() if who != name]
        if own and other:
            lines.append(
                f"{name[:12]:12} {len(found):5}  {min(own):19.3f}  {np.median(own):6.3f}   "
                f"{np.median(other):21.3f}  {max(other):5.3f}"
            )
    return lines


def report(folder: Path, bench: Bench) -> list[str]:
    """All lines: similarities, counts of voices, diarization errors, cost."""
    people: dict[str, list[Samples]] = {}
    for path in sorted((*folder.glob("speakers/*.flac"), *folder.glob("speakers/*.wav"))):
        people.setdefault(path.stem.split("-")[0], []).append(read(path))
    whole = {name: np.concatenate(parts) for name, parts in people.items()}
    lines = similarities({name: bench.embedded(samples) for name, samples in whole.items()})
    lines += ["", *(f"{name}: {bench.hear(samples)[0].count} voices of 1" for name, samples in whole.items())]
    for one, other in itertools.combinations(people, 2):
        both = [part for pair in zip(people[one], people[other], strict=False) for part in pair]
        lines.append(f"{one} and {other} in turn: {bench.hear(np.concatenate(both))[0].count} voices of 2")
    for path in sorted(folder.glob("*.rttm")):
        truth = read_rttm(path.read_text())
        voices, told = bench.hear(read(path.with_suffix(".wav")))
        lines.append(f"{path.stem}: {voices.count} voices of {len({turn.who for turn in truth})}")
        for collar_s in (0.0, 0.25):
            lines.append(f"  collar {collar_s:4.2f} s: {_shown(errors(truth, turns(told), collar_s=collar_s))}")
    return [*lines, "", f"{1000 * bench.cpu_s / max(bench.heard_s, 1e-9):.1f} ms of CPU a second of speech"]


def _shown(found: Errors) -> str:
    return (
        f"error {found.rate:.3f} of {found.spoken_s:.1f} s: missed {found.missed_s:.1f}, false {found.false_s:.1f}, "
        f"confused {found.confused_s:.1f} s"
    )


def run(folder: Path, model: str) -> None:
    """Print the report.

    Raises:
        BadInput: the voice encoder is not here.
    """
    silero = SileroBackend()
    try:
        encoder = VoiceEncoderBackend(Store(ModelsSettings.load()).find(model, FEATURE), OnnxSettings.load())
        encoder.load()
        silero.load()
    except FeatureMissing as error:
        raise BadInput(f"{error}", field="CANDOR_SPEECH_VOICES_MODEL") from error
    print(machine())
    print("\n".join(report(folder, Bench(encoder, silero))))

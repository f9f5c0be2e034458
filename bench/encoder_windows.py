"""A Whisper model with windows padded to 30 s and with windows as long as the sound: words wrong, and CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np

from bench.figures import Report
from bench.spoken import Spoken
from bench.transcripts import plain, word_errors
from inference.backends.whisper import FEATURE, Hypothesis, Passage, WhisperBackend
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.speech.settings import SpeechSettings
from proto.errors import BadInput, FeatureMissing
from proto.media import SAMPLE_RATE_HZ

MAX_CLIPS = 50
ROUNDS = 3
HOW = "`candor models pull whisper-tiny`, or name a model's folder"


def run(report: Report, clips: Sequence[Spoken]) -> None:
    """Decode each clip that is no longer than what a worker decodes at once, both ways in turn.

    `inference/speech/windows.py` is where the outcome goes.

    Raises:
        BadInput: the worker's settings name no model that is here.
    """
    settings = SpeechSettings.load()
    short = [clip for clip in clips if clip.duration_s <= settings.window_s][:MAX_CLIPS]
    if not short:
        return
    backends = {"padded to 30 s": _backend(fitted=False), "fitted": _backend(fitted=True)}
    errors = dict.fromkeys(backends, 0)
    spent_ms: dict[str, list[float]] = {name: [] for name in backends}
    words = sum(len(clip.words) for clip in short)
    for number in range(ROUNDS):
        for clip in short:
            for name, backend in backends.items():
                begin = time.process_time()
                (answer,) = backend.run([Passage(clip.samples.astype(np.float32) / 32768.0, settings.language)])
                spent_ms[name].append((time.process_time() - begin) * 1e3)
                if number == 0:
                    errors[name] += _errors(clip, answer)
    length_s = sum(len(clip.samples) for clip in short) / SAMPLE_RATE_HZ / len(short)
    report.say(
        f"\nencoder windows: {len(short)} clips of {length_s:.1f} s on average, each decoded whole, {ROUNDS} rounds"
    )
    for name in backends:
        report.add(f"{name}: word error rate", 100 * errors[name] / words, "%", words)
        report.add(f"{name}: a decode", statistics.median(spent_ms[name]), "CPU ms", len(spent_ms[name]))
    padded_ms, fitted_ms = (statistics.median(spent_ms[name]) for name in backends)
    report.say(f"    fitted costs {fitted_ms / padded_ms:.2f} of padded")
    for backend in backends.values():
        backend.close()


def _errors(clip: Spoken, answer: Hypothesis | Exception) -> int:
    if isinstance(answer, Exception):
        raise BadInput(f"decoding {clip.name} failed: {answer}", field="CANDOR_SPEECH_MODEL")
    heard = [word.text for segment in answer.segments for word in segment.words]
    return word_errors(plain(clip.words), plain(heard))


def _backend(*, fitted: bool) -> WhisperBackend:
    settings = SpeechSettings.load()
    try:
        model = Store(ModelsSettings.load(dir=settings.models_dir)).find(settings.model, FEATURE)
        backend = WhisperBackend(
            model.path,
            name=model.name,
            device=settings.device,
            compute_type=settings.compute_type,
            threads=settings.threads,
            beam_size=settings.beam_size,
            fitted=fitted,
        )
        backend.load()
    except FeatureMissing as error:
        raise BadInput(f"{error}; {HOW}", field="CANDOR_SPEECH_MODEL") from error
    return backend

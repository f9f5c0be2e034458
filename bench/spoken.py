"""Recordings of speech whose words are known, and sessions made of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from proto.errors import BadInput
from proto.media import SAMPLE_RATE_HZ

Samples = NDArray[np.int16]

PAUSE_S = 1.0
MAX_CLIPS = 1000
RECORDINGS = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".webm", ".mp4")


@dataclass(frozen=True)
class Spoken:
    """Words in order, with the second in which each ends; NaN where nobody noted it."""

    name: str
    samples: Samples
    words: tuple[str, ...]
    ends_s: tuple[float, ...]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


def material(folder: Path) -> list[Spoken]:
    """What is known of a folder: `clips.json` (a list of file, words with word, start and end), or for each recording a
    text of the same name beside it.

    Raises:
        BadInput: nothing of that is there, or it does not read.
    """
    listed = folder / "clips.json"
    found = _listed(listed) if listed.is_file() else _beside(folder)
    if not found:
        raise BadInput(
            f"{folder} has neither clips.json nor a recording with a .txt of the same name beside it",
            field="--material",
        )
    return found


def session(clips: list[Spoken], number: int, seconds: float) -> Spoken:
    """Clips one after the other with a second of silence between, from another one on for each session, as many as
    begin within `seconds`.
    """
    silence = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.int16)
    parts: list[Samples] = []
    words: list[str] = []
    ends_s: list[float] = []
    t_s, at = 0.0, number
    while t_s < seconds:
        clip = clips[at % len(clips)]
        parts += [clip.samples, silence]
        words += clip.words
        ends_s += [t_s + end_s for end_s in clip.ends_s]
        t_s += clip.duration_s + PAUSE_S
        at += 1
    return Spoken(f"session {number}", np.concatenate(parts), tuple(words), tuple(ends_s))


def sound(path: Path) -> Samples:
    """16 kHz mono.

    Raises:
        BadInput: not a recording.
    """
    parts = []
    try:
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
            for frame in container.decode(audio=0):
                parts += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
            parts += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(None)]
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise BadInput(f"{path} cannot be read: {error}", field="--material") from error
    return np.concatenate(parts).astype(np.int16) if parts else np.zeros(0, np.int16)


def _listed(path: Path) -> list[Spoken]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))[:MAX_CLIPS]
        found = []
        for entry in entries:
            words = tuple(str(word["word"]) for word in entry["words"])
            ends_s = tuple(float(word["end"]) for word in entry["words"])
            recording = path.parent / entry["file"]
            if words and recording.is_file():
                found.append(Spoken(recording.stem, sound(recording), words, ends_s))
    except (KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path} is not a list of clips with file and words (word, start, end): {error!r}", field="--material"
        ) from error
    return found


def _beside(folder: Path) -> list[Spoken]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in RECORDINGS)[:MAX_CLIPS]
    found = []
    for path in paths:
        text = path.with_suffix(".txt")
        if text.is_file():
            words = tuple(text.read_text(encoding="utf-8", errors="replace").split())
            found.append(Spoken(path.stem, sound(path), words, (float("nan"),) * len(words)))
    return [clip for clip in found if clip.words and len(clip.samples)]

"""Recordings whose words are known: two forms of saying so, and what is no material."""

from __future__ import annotations

import json
import math
import wave
from pathlib import Path

import numpy as np
import pytest

from bench import spoken
from bench.cli import counts_of
from proto.errors import BadInput


def record(path: Path, seconds: float = 1.0, rate_hz: int = 16_000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.full(round(seconds * rate_hz), 1000, "<i2").tobytes())


def test_a_list_gives_words_and_their_times(tmp_path):
    record(tmp_path / "a.wav")
    words = [{"word": "hello", "start": 0.1, "end": 0.4}, {"word": "you", "start": 0.5, "end": 0.9}]
    entries = [{"file": "a.wav", "words": words}, {"file": "gone.wav", "words": words}, {"file": "a.wav", "words": []}]
    (tmp_path / "clips.json").write_text(json.dumps(entries))
    (clip,) = spoken.material(tmp_path)
    assert (clip.words, clip.ends_s, clip.duration_s) == (("hello", "you"), (0.4, 0.9), 1.0)


def test_a_text_beside_the_recording_gives_words_without_times(tmp_path):
    record(tmp_path / "answer.wav", 0.5, rate_hz=48_000)
    (tmp_path / "answer.txt").write_text("I worked\nthere.")
    record(tmp_path / "untold.wav")
    (clip,) = spoken.material(tmp_path)
    assert clip.words == ("I", "worked", "there.")
    assert all(math.isnan(end_s) for end_s in clip.ends_s)
    assert clip.duration_s == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "text", ["nonsense", "{}", '[{"file": "a.wav"}]', '[{"file": "a.wav", "words": [{"word": "x"}]}]']
)
def test_a_broken_list_is_a_clear_error(tmp_path, text):
    (tmp_path / "clips.json").write_text(text)
    with pytest.raises(BadInput, match=r"clips\.json"):
        spoken.material(tmp_path)


def test_an_empty_folder_says_what_is_needed(tmp_path):
    with pytest.raises(BadInput, match=r"\.txt of the same name"):
        spoken.material(tmp_path)


def test_what_is_no_recording_is_named(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"not sound")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(BadInput, match=r"a\.wav"):
        spoken.material(tmp_path)


def test_sessions_begin_with_different_clips_and_know_their_times(tmp_path):
    for name in ("a", "b"):
        record(tmp_path / f"{name}.wav")
    entries = [{"file": f"{n}.wav", "words": [{"word": n, "start": 0.2, "end": 0.6}]} for n in ("a", "b")]
    (tmp_path / "clips.json").write_text(json.dumps(entries))
    clips = spoken.material(tmp_path)
    first, second = (spoken.session(clips, number, seconds=3.0) for number in (0, 1))
    assert (first.words, second.words) == (("a", "b"), ("b", "a"))
    assert first.ends_s == (0.6, 2.6)
    assert first.duration_s == 4.0


@pytest.mark.parametrize("text", ["", "0", "1,x", "1,,2", "-1", "100000"])
def test_counts_of_sessions_are_checked(text):
    with pytest.raises(BadInput, match="numbers from 1 to"):
        counts_of(text)


def test_counts_of_sessions():
    assert counts_of("1,4,16") == [1, 4, 16]

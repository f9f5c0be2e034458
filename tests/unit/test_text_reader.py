"""The reader of text, on drawn pictures: it needs no recording and no network."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from inference.backends import registry, text_reader
from inference.backends.text_reader import MAX_LINES, TextReaderBackend
from proto.errors import FeatureMissing

WORDS = ("INTERVIEW", "notes 2026", "Question one")


def page(*lines: str, scale: float = 1.2) -> np.ndarray:
    """Black lines on white, 640 wide."""
    picture = np.full((70 + 50 * len(lines), 640, 3), 255, dtype=np.uint8)
    for row, line in enumerate(lines):
        cv2.putText(picture, line, (40, 70 + 50 * row), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 2, cv2.LINE_AA)
    return picture


@pytest.fixture(scope="module")
def reader() -> Iterator[TextReaderBackend]:
    made = registry.create("text")
    made.load()
    yield made  # type: ignore[misc]
    made.close()


def test_lines_are_read_where_they_are(reader: TextReaderBackend) -> None:
    (lines,) = reader.run([page(*WORDS)])
    assert {line.text for line in lines} == set(WORDS)
    assert min(line.confidence for line in lines) > 0.8
    where = {line.text: line.corners_px for line in lines}
    for row, word in enumerate(WORDS):
        corners = where[word]
        assert corners.shape == (4, 2)
        assert corners[:, 0].min() == pytest.approx(40, abs=12)
        assert corners[:, 1].min() < 70 + 50 * row - 10 < corners[:, 1].max()


def test_a_line_that_climbs_is_read_too(reader: TextReaderBackend) -> None:
    flat = page("", "", "", "Question one", "", "", "")
    turn = cv2.getRotationMatrix2D((320, 220), 20, 1.0)
    tilted = cv2.warpAffine(flat, turn, (640, flat.shape[0]), borderValue=(255, 255, 255))
    assert [line.text for line in reader.run([tilted])[0]] == ["Question one"]
    standing = np.ascontiguousarray(np.rot90(flat, -1))
    assert [line.text for line in reader.run([standing])[0]] == ["Question one"]


def test_pictures_without_text_have_none(reader: TextReaderBackend) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    assert reader.run([np.zeros((480, 640, 3), dtype=np.uint8), noise, np.full((16, 16, 3), 255, np.uint8)]) == [
        [],
        [],
        [],
    ]
    assert reader.run([]) == []


def test_of_many_lines_the_tallest_are_read(reader: TextReaderBackend) -> None:
    picture = page(*(f"line number {row}" for row in range(16)), "", "", scale=0.7)
    cv2.putText(picture, "HEADLINE", (40, 940), cv2.FONT_HERSHEY_SIMPLEX, 2.0, (0, 0, 0), 4, cv2.LINE_AA)
    (lines,) = reader.run([picture])
    assert len(lines) == MAX_LINES
    assert lines[0].text == "HEADLINE"


def test_it_never_reaches_for_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **_kwargs: Any) -> None:
        raise AssertionError(f"a connection to {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    fresh = TextReaderBackend()
    fresh.load()
    assert [line.text for line in fresh.run([page("offline")])[0]] == ["offline"]
    fresh.close()


def test_one_thread_and_nothing_said(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    fresh = TextReaderBackend()
    with caplog.at_level(logging.DEBUG):
        fresh.load()
        fresh.run([page(*WORDS), np.zeros((64, 64, 3), dtype=np.uint8)])
    options = fresh._engine._load_det_model().session.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    shown = capfd.readouterr()
    assert (shown.out, shown.err, caplog.text) == ("", "", "")


def test_without_the_package_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(FeatureMissing, match="rapidocr cannot be imported") as raised:
        TextReaderBackend().load()
    assert (raised.value.feature, raised.value.command) == ("text", "uv sync")


def test_without_its_models_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_reader, "RECOGNISER", "PP-OCRv9.onnx")
    with pytest.raises(FeatureMissing, match=r"does not carry PP-OCRv9\.onnx"):
        TextReaderBackend().load()


def test_before_it_is_loaded_it_says_so() -> None:
    with pytest.raises(FeatureMissing, match="not loaded"):
        TextReaderBackend().run([page("too early")])

"""`candor demo` as `make run ONCE=1` runs it: real processes, real WebRTC, real models, to the exit code."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)

DEADLINE_S = 240.0
DURATION_S = 37.5
"""Up to the end of the second person's visit."""


async def demo(folder: Path, *words: str, **env: str) -> tuple[int, str]:
    """Exit code, and everything that was printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", "demo", "--once", "--port", "0", "--data", str(folder / "data"), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **env},
    )  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    return process.returncode or 0, output.decode()


def row(output: str, words: str) -> str:
    """The line of the comparison that begins with these words."""
    table = output.split("The script beside what was detected")[1]
    return next(line for line in table.splitlines() if words in line)


def delay_s(line: str) -> float:
    found = re.search(r"([0-9.]+) s\s*│\s*$", line)
    assert found, line
    return float(found[1])


async def test_the_generated_candidate_is_seen_heard_and_explained(tmp_path, models_dir):
    model = models_dir / "whisper-espeak-test"
    code, output = await demo(tmp_path, "--duration", str(DURATION_S), CANDOR_SPEECH_MODEL=str(model))
    assert code == 0, output

    for words, rule, at_most_s in (
        ("turns the head away", "LOOKING_AWAY", 7.0),
        ("leaves the picture", "NO_FACE", 6.0),
        ("a second person leans in", "MULTIPLE_FACES", 5.0),
    ):
        line = row(output, words)
        assert f"{rule} at" in line, output
        assert delay_s(line) < at_most_s
    assert "missed:" not in output
    assert "not in the script:" not in output

    heard = output.split("Spoken and transcribed")[1].split("Final report")[0]
    exact = sum(1 for line in heard.splitlines() if re.fullmatch(r"│ (\w[\w ]*\w)\s*│ \1\s*│", line))
    assert exact >= 4, heard
    assert "A human review is recommended" in output
    assert not (tmp_path / "data" / "state.json").exists()


async def test_a_recording_is_streamed_instead_and_text_is_not_promised(tmp_path, media):
    code, output = await demo(tmp_path, "--video", str(media / "video" / "talking_head_8s.mp4"))
    assert code == 0, output
    assert "Share of time with a face: 100%" in output
    assert "Transcript was not available: " in output
    assert "The script beside" not in output


async def test_it_fails_when_a_part_of_the_pipeline_cannot_start(tmp_path):
    code, output = await demo(tmp_path, CANDOR_VISION_BATCH_FRAMES="none")
    assert code == 1
    assert "candor: vision ended with exit code 2" in output
    assert "CANDOR_VISION_BATCH_FRAMES" in output

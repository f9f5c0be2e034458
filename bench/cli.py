"""`candor bench`: how fast this machine is, or how right the analysis is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from proto.errors import BadInput

SPEECH_SECONDS = 30.0
MAX_SESSIONS = 200
PACKAGED_POLICIES = Path(__file__).resolve().parent.parent / "deploy" / "policies"


def command(  # noqa: PLR0917 - each is an option of the command line
    accuracy: Annotated[bool, typer.Option("--accuracy", help="How right, not how fast: needs --material.")] = False,
    ranges: Annotated[
        bool, typer.Option("--ranges", help="Where each signal stops working: spoils pictures; needs --material.")
    ] = False,
    speech: Annotated[
        bool, typer.Option("--speech", help="How late and how right the words are, live: needs --material.")
    ] = False,
    voices: Annotated[bool, typer.Option("--voices", help="How well voices are told apart: needs --material.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--material", help="Folder of recordings and pictures.", show_default=False)
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="What is known of them.", show_default="bench/truth.toml, of the test material"),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Policy file that judges.", show_default="standard")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the figures as JSON.", show_default=False)
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Speed and speech: length of each live measurement.")
    ] = None,
    sessions: Annotated[
        str, typer.Option("--sessions", help="Speech: how many sessions at once, one measurement each.")
    ] = "1,2,4,8,16",
    only: Annotated[str, typer.Option("--only", help="Speed: only this part; `python -m bench -h` names them.")] = "",
) -> None:
    """Measure this machine's speed, or with --accuracy or --ranges how right the analysis is on labelled material.

    Speed starts every process of Candor and takes minutes. Accuracy uses the models that the `CANDOR_VISION_...` and
    `CANDOR_MODELS_...` variables name; to measure on recordings of your own, write a truth file like bench/truth.toml.
    Speech uses the model that `CANDOR_SPEECH_MODEL` names, on recordings with a text of the same name beside them
    (answer.wav, answer.txt), or with word times in a clips.json: [{"file": "a.wav", "words": [{"word": "hello",
    "start": 0.31, "end": 0.62}]}]. Voices wants recordings of one speaker each in speakers/NAME-*.flac, and dialogues
    as NAME.wav with a NAME.rttm of who spoke when.

    Examples:

        candor bench --only fold

        candor bench --accuracy --material recordings --json accuracy.json

        candor bench --accuracy --material interviews --truth interviews/truth.toml

        candor bench --speech --material answers --sessions 1,4 --seconds 60
    """
    if not (accuracy or ranges or speech or voices):
        if truth or policy:
            raise BadInput("goes with --accuracy or --ranges", field="--truth, --policy")
        _speed(seconds, only, folder, json_file)
    if folder is None:
        raise BadInput("is needed: the folder of the recordings and pictures that are measured on", field="--material")
    from bench import accuracy as right  # noqa: PLC0415 - models and OpenCV, only where they are used
    from bench import ranges as spoiled  # noqa: PLC0415
    from bench.material import PACKAGED  # noqa: PLC0415
    from inference.vision.settings import VisionSettings  # noqa: PLC0415
    from runtime import log  # noqa: PLC0415

    log.configure("bench", level="warning")
    if speech:
        from bench import speech as live  # noqa: PLC0415

        live.run(folder, seconds or SPEECH_SECONDS, counts_of(sessions), json_file)
    if voices:
        from bench import voices as apart  # noqa: PLC0415
        from inference.speech.settings import SpeechSettings  # noqa: PLC0415

        apart.run(folder, SpeechSettings.load().voices_model)
    if accuracy:
        policy = policy or PACKAGED_POLICIES / "standard.toml"
        right.run(folder, truth or PACKAGED, policy, json_file, VisionSettings.load())
    if ranges:
        spoiled.run(folder, truth or PACKAGED, VisionSettings.load())


def counts_of(text: str) -> list[int]:
    """Session counts from "1,4,8".

    Raises:
        BadInput: something else than whole numbers from 1 to MAX_SESSIONS.
    """
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or not all(1 <= count <= MAX_SESSIONS for count in counts):
        raise BadInput(f"is numbers from 1 to {MAX_SESSIONS} with commas between", field="--sessions")
    return counts


def _speed(seconds: float | None, only: str, folder: Path | None, json_file: Path | None) -> None:
    """Become `python -m bench`, so that Ctrl-C and the exit code are its own."""
    options = {"--seconds": seconds, "--only": only, "--material": folder, "--json": json_file}
    given = [word for name, value in options.items() if value for word in (name, str(value))]
    os.execv(sys.executable, [sys.executable, "-m", "bench", *given])  # noqa: S606 - a list, no shell text

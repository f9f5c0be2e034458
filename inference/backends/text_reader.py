"""Lines of text in a picture: RapidOCR (PP-OCR's small detector and recogniser), whose models are inside its package.

It never reaches for the network: both models are named by their path, and the recogniser carries its alphabet. One
thread. On one core of an AMD EPYC a picture without text takes about 60 ms, each line of text 15 to 60 ms more.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from proto.errors import FeatureMissing

FEATURE = "text"
PACKAGE = "rapidocr"
DETECTOR = "PP-OCRv6_det_small.onnx"
RECOGNISER = "PP-OCRv6_rec_small.onnx"

LONGEST_SIDE_PX = 480
"""Pictures are searched at this size: half the work of 640, and an ID card held up to the camera is still found whole.
What is found is read at the picture's own size."""

MAX_LINES = 12
"""Most lines that are read of a picture, the tallest first: a page of a book would take seconds."""

MAX_LINE_RATIO = 24.0
"""Lines longer than this many times their height are cut: what they say at first shows as well that they are text."""


class Line(NamedTuple):
    """A line of text: its corners (4, 2) in pixels, clockwise from its upper left; what it says; the mean probability
    of its characters, 0-1.
    """

    corners_px: npt.NDArray[np.float32]
    text: str
    confidence: float


class TextReaderBackend:
    def __init__(self, *, max_lines: int = MAX_LINES) -> None:
        self.name = PACKAGE
        self._max_lines = max_lines
        self._engine: Any = None

    def load(self) -> None:
        """Read the models, and run once on a picture with text, so that the first one is not slow; a second or two.

        Raises:
            FeatureMissing: RapidOCR is absent or broken, or does not carry its models.
        """
        try:
            rapidocr = importlib.import_module(PACKAGE)
            self.name = f"{PACKAGE}-{version(PACKAGE)}"
        except (ImportError, PackageNotFoundError) as error:
            raise FeatureMissing(FEATURE, f"{PACKAGE} cannot be imported ({error})", "uv sync") from error
        folder = Path(str(rapidocr.__file__)).parent / "models"
        for name in (DETECTOR, RECOGNISER):
            if not (folder / name).is_file():
                raise FeatureMissing(FEATURE, f"this {PACKAGE} does not carry {name}", "uv sync")
        try:
            self._engine = rapidocr.RapidOCR(params=_params(folder))
            self.run([_warm_up_picture()])
        except Exception as error:
            raise FeatureMissing(FEATURE, f"{PACKAGE} does not start: {error}", "uv sync") from error

    def run(self, batch: Sequence[Image]) -> list[list[Line]]:
        """Lines of each picture, the tallest first; an empty list where there is no text.

        Raises:
            FeatureMissing: the models are not loaded.
        """
        return [self._one(image) for image in batch]

    def close(self) -> None:
        self._engine = None

    def _one(self, image: Image) -> list[Line]:
        if self._engine is None:
            raise FeatureMissing(FEATURE, "its models are not loaded")
        bgr = np.ascontiguousarray(image[..., ::-1])
        found = self._engine(bgr, use_det=True, use_cls=False, use_rec=False).boxes
        if found is None:
            return []
        corners = np.asarray(found, dtype=np.float32).reshape(-1, 4, 2)
        tallest = np.argsort(-_heights(corners), kind="stable")[: self._max_lines]
        lines = [self._read(bgr, corners[index]) for index in tallest]
        return [line for line in lines if line is not None]

    def _read(self, bgr: Image, corners: npt.NDArray[np.float32]) -> Line | None:
        cut = _cut_out(bgr, corners)
        if cut is None:
            return None
        read = self._engine(cut, use_det=False, use_cls=False, use_rec=True)
        if not read.txts or not read.txts[0].strip():
            return None
        return Line(corners, str(read.txts[0]).strip(), float(read.scores[0]))


def _params(folder: Path) -> dict[str, Any]:
    return {
        "Global.log_level": "critical",
        "Global.text_score": 0.0,
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "Det.model_path": str(folder / DETECTOR),
        "Det.limit_side_len": LONGEST_SIDE_PX,
        "Det.limit_type": "max",
        "Det.max_candidates": 200,
        "Rec.model_path": str(folder / RECOGNISER),
    }


def _heights(corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Height of each line in pixels: the shorter of its sides."""
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    return np.asarray(sides.min(axis=1), dtype=np.float32)


def _cut_out(bgr: Image, corners: npt.NDArray[np.float32]) -> Image | None:
    """A line as an upright picture; None where it is no more than a speck."""
    width_px = float(max(np.linalg.norm(corners[0] - corners[1]), np.linalg.norm(corners[3] - corners[2])))
    height_px = float(max(np.linalg.norm(corners[0] - corners[3]), np.linalg.norm(corners[1] - corners[2])))
    if min(width_px, height_px) < 3.0:
        return None
    upright = height_px >= 1.5 * width_px
    size = (round(width_px), round(height_px))
    target = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], dtype=np.float32)
    turn = cv2.getPerspectiveTransform(corners, target)
    cut = cv2.warpPerspective(bgr, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if upright:
        cut = cv2.rotate(cut, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return np.ascontiguousarray(cut[:, : int(cut.shape[0] * MAX_LINE_RATIO)], dtype=np.uint8)


def _warm_up_picture() -> Image:
    picture = np.full((240, 320, 3), 255, dtype=np.uint8)
    cv2.putText(picture, "ready", (60, 130), cv2.FONT_HERSHEY_SIMPLEX, 2.0, (0, 0, 0), 4)
    return picture

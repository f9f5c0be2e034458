"""A reader of text that reads what it is told to, when it is let."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from inference.backends.base import Image
from inference.backends.text_reader import Line
from proto.errors import FeatureMissing

SCRIPTED = "tests.support.scripted_reader:ScriptedReader"
ABSENT = "tests.support.scripted_reader:AbsentReader"
SECRET = "QUESTION BANK"
BREAKS = 250
"""A picture whose first number this is breaks the reader, and its error quotes what was read."""


class ScriptedReader:
    """Each look waits for the test's permission; `looked` has the first number of each picture that came in."""

    name = "scripted"
    permits = threading.Semaphore(0)
    looked: ClassVar[list[int]] = []
    closed: ClassVar[list[bool]] = []

    @classmethod
    def reset(cls) -> None:
        cls.permits = threading.Semaphore(0)
        cls.looked.clear()
        cls.closed.clear()

    def load(self) -> None:
        pass

    def run(self, batch: Sequence[Image]) -> list[list[Line]]:
        (image,) = batch
        # Steps of ten: JPEG moves a number a little.
        type(self).looked.append(round(int(image[0, 0, 0]) / 10) * 10)
        assert type(self).permits.acquire(timeout=20)
        if image[0, 0, 0] >= BREAKS - 3:
            raise RuntimeError(f"could not read {SECRET}")
        height_px, width_px = image.shape[:2]
        box = np.array([[0.1, 0.2], [0.6, 0.2], [0.6, 0.3], [0.1, 0.3]], dtype=np.float32)
        return [[Line(box * (width_px, height_px), SECRET, 0.95)]]

    def close(self) -> None:
        type(self).closed.append(True)


class AbsentReader(ScriptedReader):
    """Its package is not installed."""

    def load(self) -> None:
        raise FeatureMissing("text", "not installed", "uv sync")

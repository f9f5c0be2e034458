"""The real face detector with a bad day: absent, slow, or broken by one picture; and an object detector that breaks."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from inference.backends.base import Image
from inference.backends.face_detector import Detections, FaceDetectorBackend
from proto.errors import FeatureMissing

ABSENT = "tests.support.models_that_misbehave:AbsentModel"
SLOW = "tests.support.models_that_misbehave:SlowDetector"
STEADY = "tests.support.models_that_misbehave:SteadyDetector"
BRITTLE = "tests.support.models_that_misbehave:BrittleDetector"
BRITTLE_OBJECTS = "tests.support.models_that_misbehave:BrittleObjects"


class AbsentModel:
    """Its weights are not on this machine."""

    name = "absent"

    def __init__(self, **_options: Any) -> None:
        pass

    def load(self) -> None:
        raise FeatureMissing("face", "no weights here", "candor models pull face")

    def run(self, batch: Sequence[Image]) -> list[Detections]:
        raise AssertionError("a model that did not load was run")

    def close(self) -> None:
        pass


class SlowDetector(FaceDetectorBackend):
    """Each batch of frames waits for the test's permission; `batches` is how many frames each had that came in."""

    permits = threading.Semaphore(0)
    batches: ClassVar[list[int]] = []

    @classmethod
    def reset(cls) -> None:
        cls.permits = threading.Semaphore(0)
        cls.batches.clear()

    def load(self) -> None:
        self._warm = False
        super().load()
        self._warm = True

    def run(self, batch: Sequence[Image]) -> list[Detections]:
        if self._warm:
            permits = type(self).permits
            type(self).batches.append(len(batch))
            assert permits.acquire(timeout=20)
        return super().run(batch)


class SteadyDetector:
    """Takes 20 ms for each frame, on any machine, and finds nobody: 50 frames a second are all it can do."""

    name = "steady"
    frame_s = 0.02

    def __init__(self, **_options: Any) -> None:
        pass

    def load(self) -> None:
        pass

    def run(self, batch: Sequence[Image]) -> list[Detections]:
        time.sleep(self.frame_s * len(batch))
        return [np.empty((0, 17), dtype=np.float32) for _ in batch]

    def close(self) -> None:
        pass


class BrittleDetector(FaceDetectorBackend):
    """Breaks over a white picture and stays broken until it is loaded again."""

    broken = False

    def load(self) -> None:
        self.broken = False
        super().load()

    def run(self, batch: Sequence[Image]) -> list[Detections]:
        self.broken = self.broken or any(image.mean() > 250 for image in batch)
        if self.broken:
            raise RuntimeError("graph has errors")
        return super().run(batch)


class BrittleObjects:
    """Finds one phone in every picture, but breaks over a white one and stays broken until it is loaded again."""

    name = "brittle"
    labels = ("cell phone",)

    def __init__(self, **_options: Any) -> None:
        self._broken = False

    def load(self) -> None:
        self._broken = False

    def run(self, batch: Sequence[Image]) -> list[np.ndarray]:
        self._broken = self._broken or any(image.mean() > 250 for image in batch)
        if self._broken:
            raise RuntimeError("graph has errors")
        return [np.array([[10, 10, 100, 100, 0.9, 0]], dtype=np.float32) for _ in batch]

    def close(self) -> None:
        pass

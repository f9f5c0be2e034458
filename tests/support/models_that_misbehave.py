"""The real face mesh with a bad day: absent, slow, or broken by one picture."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, ClassVar

from inference.backends.base import Image
from inference.backends.mediapipe_mesh import FaceMeshBackend, Meshes
from proto.errors import FeatureMissing

ABSENT = "tests.support.models_that_misbehave:AbsentModel"
SLOW = "tests.support.models_that_misbehave:SlowMesh"
BRITTLE = "tests.support.models_that_misbehave:BrittleMesh"


class AbsentModel:
    """Its weights are not on this machine."""

    name = "absent"

    def __init__(self, **_options: Any) -> None:
        pass

    def load(self) -> None:
        raise FeatureMissing("face", "no weights here", "candor models pull face")

    def run(self, batch: Sequence[Image]) -> list[Meshes]:
        raise AssertionError("a model that did not load was run")

    def close(self) -> None:
        pass


class SlowMesh(FaceMeshBackend):
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

    def run(self, batch: Sequence[Image]) -> list[Meshes]:
        if self._warm:
            permits = type(self).permits
            type(self).batches.append(len(batch))
            assert permits.acquire(timeout=20)
        return super().run(batch)


class BrittleMesh(FaceMeshBackend):
    """Breaks over a white picture and stays broken until it is loaded again."""

    broken = False

    def load(self) -> None:
        self.broken = False
        super().load()

    def run(self, batch: Sequence[Image]) -> list[Meshes]:
        self.broken = self.broken or any(image.mean() > 250 for image in batch)
        if self.broken:
            raise RuntimeError("graph has errors")
        return super().run(batch)

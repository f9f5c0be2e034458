"""Pictures in, what was seen in them out: which models run on which picture, and in which order.

Every picture goes through the face mesh. Where it finds no face, a segmentation looks for a person; where the halves of
the face differ, a hand detector looks for what covers it. Most pictures need neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from inference.backends import registry
from inference.backends.base import Backend, Image
from inference.signals import quality
from inference.vision import interpret
from proto.errors import FeatureMissing
from proto.observations import Face, Quality

FACE = "face"
PERSON = "person"
HANDS = "hands"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one picture shows; fields as in `proto.observations.FrameSeen`."""

    faces: tuple[Face, ...]
    quality: Quality
    person_present: bool | None
    models: dict[str, str]
    timings_ms: dict[str, float]


class Analyst:
    """The models of one worker. Used by one thread at a time; backends know nothing of each other."""

    def __init__(self, *, max_faces: int, min_confidence: float, person: bool, hands: bool) -> None:
        self._makers: dict[str, Callable[[], Backend[Any]]] = {
            FACE: lambda: registry.create("mediapipe-face-mesh", max_faces=max_faces, min_confidence=min_confidence)
        }
        if person:
            self._makers[PERSON] = lambda: registry.create("mediapipe-person")
        if hands:
            self._makers[HANDS] = lambda: registry.create("mediapipe-hands")
        self._backends: dict[str, Backend[Any]] = {}

    def load(self) -> dict[str, FeatureMissing | None]:
        """Load every model; seconds. For each feature, why it is missing, or None where it works."""
        self.close()
        found: dict[str, FeatureMissing | None] = {}
        for feature, make in self._makers.items():
            try:
                backend = make()
                backend.load()
            except FeatureMissing as error:
                found[feature] = error
            else:
                found[feature] = None
                self._backends[feature] = backend
        return found

    def close(self) -> None:
        for backend in self._backends.values():
            backend.close()
        self._backends.clear()

    def look(self, images: Sequence[Image], hands: Sequence[bool] | None = None) -> list[Seen]:
        """What each picture (RGB) shows, in order; `hands` says in which hands may be looked for (None: in all).

        Raises:
            FeatureMissing: there is no face model: nothing can be said of any picture.
        """
        mesh = self._backends.get(FACE)
        if mesh is None:
            raise FeatureMissing(FACE, "its model is not loaded")
        start = time.perf_counter()
        meshes = mesh.run(images)
        mesh_ms = (time.perf_counter() - start) * 1e3 / max(1, len(images))
        allowed = [True] * len(images) if hands is None else hands
        return [self._one(*one, mesh_ms) for one in zip(images, meshes, allowed, strict=True)]

    def _one(self, image: Image, meshes: npt.NDArray[np.float32], hands_allowed: bool, mesh_ms: float) -> Seen:
        timings_ms = {"mesh": mesh_ms}
        models = {FACE: self._backends[FACE].name}
        height_px, width_px = image.shape[:2]
        with _timed(timings_ms, "signals"):
            luma = quality.luma_of(image)
            found = interpret.readings(meshes, width_px, height_px)
            search = bool(found) and hands_allowed and HANDS in self._backends
            suspect = search and interpret.is_suspect(luma, found[0])
        person_present, covered = None, 0.0
        if not found and PERSON in self._backends:
            person_present = interpret.is_person(self._extra(PERSON, image, models, timings_ms))
        elif suspect:
            hands = self._extra(HANDS, image, models, timings_ms)
            covered = interpret.occlusion_of(found[0], hands, width_px, height_px)
        with _timed(timings_ms, "quality"):
            judged = interpret.quality_of(luma, found, person_present, covered)
        return Seen(
            faces=tuple(reading.face for reading in found),
            quality=judged,
            person_present=person_present,
            models=models,
            timings_ms=timings_ms,
        )

    def _extra(
        self, feature: str, image: Image, models: dict[str, str], timings_ms: dict[str, float]
    ) -> npt.NDArray[np.float32]:
        backend = self._backends[feature]
        models[feature] = backend.name
        with _timed(timings_ms, feature):
            result: npt.NDArray[np.float32] = backend.run([image])[0]
        return result


@contextmanager
def _timed(timings_ms: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        timings_ms[stage] = (time.perf_counter() - start) * 1e3

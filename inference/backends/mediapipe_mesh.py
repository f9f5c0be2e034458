"""Face mesh with iris: MediaPipe's own, whose models are inside its package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.backends import mediapipe_runtime
from inference.backends.base import Image

Meshes = npt.NDArray[np.float32]
"""(faces, 478, 3): x and z as fractions of the picture's width, y of its height; z grows away from the camera."""

POINTS = 478

MIN_CONFIDENCE = 0.65
"""Detector score from which a find is a face. At MediaPipe's own 0.5 a blurred house front is one (0.61), and a second
face is a grave thing to say of somebody; real faces, profiles included, score 0.7 and more."""


class FaceMeshBackend:
    """Every picture is searched anew: one instance that tracks would mix the faces of the sessions it serves."""

    def __init__(self, max_faces: int = 4, min_confidence: float = MIN_CONFIDENCE) -> None:
        self.name = mediapipe_runtime.model_name("face-mesh")
        self._max_faces = max_faces
        self._min_confidence = min_confidence
        self._mesh: Any = None

    def load(self) -> None:
        """Runs once on an empty picture, so that the first frame is not slow.

        Raises:
            FeatureMissing: there is no mediapipe.
        """
        module = mediapipe_runtime.solution("face_mesh", "face")
        with mediapipe_runtime.quietly():
            self._mesh = module.FaceMesh(
                static_image_mode=True,
                max_num_faces=self._max_faces,
                refine_landmarks=True,
                min_detection_confidence=self._min_confidence,
            )
            self.run([np.zeros((64, 64, 3), dtype=np.uint8)])

    def run(self, batch: Sequence[Image]) -> list[Meshes]:
        return [self._one(image) for image in batch]

    def _one(self, image: Image) -> Meshes:
        faces = self._mesh.process(image).multi_face_landmarks or ()
        found = np.empty((len(faces), POINTS, 3), dtype=np.float32)
        for row, face in zip(found, faces, strict=True):
            row[:] = [(point.x, point.y, point.z) for point in face.landmark]
        return found

    def close(self) -> None:
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None

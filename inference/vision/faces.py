"""Faces of many pictures at once: found by the detector, or followed from the session's last frame, then meshed.

The detector costs half as much as a mesh. A session's face is where it was a moment ago, so it runs where nothing is
known, and where a face that was followed is lost; the caller sees to it that it also runs every so often
(`tracks.Tracks`), because somebody may have joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.backends.base import Backend, Image
from inference.backends.face_detector import Detections
from inference.backends.face_mesh import POINTS, SIDE_PX, Mesh
from inference.backends.regions import Rois, cut_out, overlap, to_picture

Floats = npt.NDArray[np.float32]

MIN_PRESENCE = 0.5
"""Probability from which a mesh lies on a face: MediaPipe's own."""

MARGIN = 1.5
"""Side of a face's region, in sides of the box around it."""

SAME_ABOVE = 0.5
"""Regions, and meshes, whose boxes overlap more than this (intersection over union) are one face's."""

_RIGHT_EYE, _LEFT_EYE = slice(4, 6), slice(6, 8)
_RIGHT_EYE_CORNER, _LEFT_EYE_CORNER = 33, 263


class FoundFaces(NamedTuple):
    """Of one picture: those the detector is surest of first, or in the order of the hint."""

    meshes: Floats
    """(n, 478, 3): x and z as fractions of the picture's width, y of its height; z grows away from the camera."""
    rois: Rois
    """(n, 5): where to look in the session's next frame, px and radians."""
    scores: Floats
    """(n,) probability of each to be a face, 0-1."""
    searched: bool
    """Whether the whole picture was searched, or the faces of the hint only."""


class _Face(NamedTuple):
    points_px: Floats
    score: float


class FaceFinder:
    """`detector` and `mesh` are loaded by their owner. At most `max_faces` are found in a picture."""

    def __init__(self, detector: Backend[Detections], mesh: Backend[Mesh], *, max_faces: int = 4) -> None:
        self._detector = detector
        self._mesh = mesh
        self._max_faces = max_faces

    def find(self, images: Sequence[Image], hints: Sequence[Rois | None]) -> list[FoundFaces]:
        """Faces of each picture (RGB), in order. A hint is `rois` of the session's last frame; None searches."""
        known = [np.empty((0, 5), dtype=np.float32) if hint is None else hint[: self._max_faces] for hint in hints]
        followed = self._meshed(images, known)
        search = [
            index
            for index, (rois, faces) in enumerate(zip(known, followed, strict=True))
            if not len(rois) or len(faces) < len(rois)
        ]
        detections = self._detector.run([images[index] for index in search]) if search else []
        new = [np.empty((0, 5), dtype=np.float32) for _ in images]
        for index, found in zip(search, detections, strict=True):
            room = self._max_faces - len(followed[index])
            new[index] = _unknown(rois_of_detections(found), _rois(followed[index]))[: max(0, room)]
        added = self._meshed(images, new)
        searched = set(search)
        return [
            _found([*one, *more], image, index in searched)
            for index, (image, one, more) in enumerate(zip(images, followed, added, strict=True))
        ]

    def _meshed(self, images: Sequence[Image], rois: Sequence[Rois]) -> list[list[_Face]]:
        """Faces of each picture's regions, without those that are none."""
        faces: list[list[_Face]] = [[] for _ in images]
        owners = [index for index, some in enumerate(rois) for _ in some]
        if not owners:
            return faces
        together = np.concatenate([some for some in rois if len(some)])
        crops = [cut_out(images[owner], roi, SIDE_PX) for owner, roi in zip(owners, together, strict=True)]
        meshes = self._mesh.run(crops)
        placed = to_picture(np.stack([mesh.points for mesh in meshes]), together, SIDE_PX)
        for owner, mesh, points_px in zip(owners, meshes, placed, strict=True):
            if mesh.presence > MIN_PRESENCE:
                faces[owner].append(_Face(points_px, mesh.presence))
        return faces


def rois_of_detections(found: Detections) -> Rois:
    """Regions of detected faces: the eyes level, a square of the longer side, wider by `MARGIN`."""
    low, high = found[:, :2], found[:, 2:4]
    return _squares(low, high, found[:, _LEFT_EYE] - found[:, _RIGHT_EYE])


def rois_of_meshes(points_px: Floats) -> Rois:
    """As `rois_of_detections`, for meshes (n, 478, 3) in pixels."""
    x, y = np.moveaxis(points_px[..., :2], 2, 0).copy()
    low = np.stack([x.min(axis=1), y.min(axis=1)], axis=1)
    high = np.stack([x.max(axis=1), y.max(axis=1)], axis=1)
    return _squares(low, high, points_px[:, _LEFT_EYE_CORNER, :2] - points_px[:, _RIGHT_EYE_CORNER, :2])


def _squares(low: Floats, high: Floats, level: Floats) -> Rois:
    rois = np.empty((len(low), 5), dtype=np.float32)
    rois[:, :2] = (low + high) / 2
    rois[:, 2:4] = (high - low).max(axis=1, keepdims=True) * MARGIN
    rois[:, 4] = np.arctan2(level[:, 1], level[:, 0])
    return rois


def _rois(faces: Sequence[_Face]) -> Rois:
    if not faces:
        return np.empty((0, 5), dtype=np.float32)
    return rois_of_meshes(np.stack([face.points_px for face in faces]))


def _unknown(rois: Rois, known: Rois) -> Rois:
    """Those of `rois` that are not of a face that is known already."""
    if not len(rois) or not len(known):
        return rois
    alike = overlap(_boxes(rois), _boxes(known)).max(axis=1)
    return np.asarray(rois[alike <= SAME_ABOVE], dtype=np.float32)


def _boxes(rois: Rois) -> Floats:
    half = rois[:, 2:4] / 2
    return np.concatenate([rois[:, :2] - half, rois[:, :2] + half], axis=1)


def _found(faces: Sequence[_Face], image: Image, searched: bool) -> FoundFaces:
    """Two regions may have drifted onto one face: the mesh that is surer of it stays."""
    if not faces:
        none = np.empty((0, POINTS, 3), dtype=np.float32)
        return FoundFaces(none, np.empty((0, 5), dtype=np.float32), np.empty(0, dtype=np.float32), searched)
    points = np.stack([face.points_px for face in faces])
    scores = np.array([face.score for face in faces], dtype=np.float32)
    rois = rois_of_meshes(points)
    if len(faces) > 1:
        kept = _one_each(rois, scores)
        points, scores, rois = points[kept], scores[kept], rois[kept]
    height_px, width_px = image.shape[:2]
    points /= np.array([width_px, height_px, width_px], dtype=np.float32)
    return FoundFaces(points, rois, scores, searched)


def _one_each(rois: Rois, scores: Floats) -> list[int]:
    """Which to keep, in order: of those on one face the likeliest."""
    likeness = overlap(_boxes(rois), _boxes(rois))
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if all(likeness[index, other] <= SAME_ABOVE for other in kept):
            kept.append(int(index))
    return sorted(kept)

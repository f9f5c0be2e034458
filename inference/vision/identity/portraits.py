"""The one face of a picture that somebody sends in: a photo, or an ID document with a small portrait, turned anyhow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.signals import head_pose, identity, quality
from inference.signals.canonical_face import BASIS, VERTICES_CM, WEIGHTS
from inference.signals.head_pose import Angles, Pose
from inference.signals.identity import Embedding, Limits
from inference.signals.landmarks import Points, bounding_box, to_pixels
from inference.vision.identity.comparing import Comparer
from proto.errors import FeatureMissing, Refused
from proto.identity import Code

ROTATIONS_DEG = (0, 90, 180, 270)
SURE = 0.66
"""Likeness to a face from which a picture is not looked at further. Measured on 24 pictures: 17 of their 25 faces
reach it, and of the 9 that are found upside down, too, one; each of these was less alike than upright."""

UPRIGHT_DEG = 45.0
"""A face that leans less than this stands in the quarter turn in which it was found."""

TILINGS = (1, 2, 3)
"""A document is looked at whole, then in tiles of half its sides, then of a third: the detector sees each of them at
128x128, in which the portrait of a card photographed from afar is lost."""

SAME_FACE = 0.5
"""Finds whose centres are closer than this share of the larger one's height are the same face."""

RIVAL_FROM = 0.75
"""Another person's face of at least this share of the largest one's height: which of them is the holder's is open.
Ghost images, which many documents have, are smaller, or show the same person."""


class Found(Protocol):
    """Faces of one picture: meshes (n, 478, 3) in fractions, scores (n,) 0-1."""

    @property
    def meshes(self) -> npt.NDArray[np.float32]: ...
    @property
    def scores(self) -> npt.NDArray[np.float32]: ...


class Finder(Protocol):
    """Finds faces; a hint of None searches the whole picture."""

    def find(self, images: Sequence[Image], hints: Sequence[npt.NDArray[np.float32] | None]) -> Sequence[Found]: ...


class FaceModels(Protocol):
    """What an `Analyst` offers for this. `comparer` is None where there is no embedding model."""

    @property
    def finder(self) -> Finder: ...
    @property
    def comparer(self) -> Comparer | None: ...


class Portrait(NamedTuple):
    """A face in a picture (RGB) that was turned clockwise by `rotation_deg`; its mesh (478, 3) in pixels of that.

    `score` is the finder's, 0-1; `likeness`, 0-1, also says how well the mesh agrees with a standard face: upside down,
    a mesh finds eyes in a mouth and is sure of it, but they are not where eyes are.
    """

    image: Image
    points_px: Points
    angles: Angles
    face_px: float
    score: float
    likeness: float
    rotation_deg: int = 0

    @property
    def centre_px(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.points_px[:, :2].mean(axis=0), dtype=np.float64)


class Trouble(Refused):
    """Why a picture cannot be used; `picture` says which one."""

    def __init__(self, code: Code, picture: str = "") -> None:
        super().__init__(code)
        self.code: Code = code
        self.picture = picture


@contextmanager
def of_picture(picture: str) -> Iterator[None]:
    """Names the picture in a `Trouble` that does not."""
    try:
        yield
    except Trouble as trouble:
        trouble.picture = trouble.picture or picture
        raise


_CODES: dict[str, Code] = {"small": "face_too_small", "turned": "face_turned"}


class Taken(NamedTuple):
    """A face that may be used."""

    portrait: Portrait
    embedding: Embedding
    model: str


def similarity_pct(models: FaceModels, one: Taken, other: Taken) -> float:
    """0-100. Raises FeatureMissing where the embedding model is gone."""
    return _comparer(models).similarity_pct(one.embedding, other.embedding)


def of_photo(models: FaceModels, image: Image) -> Taken:
    """The only face of a photo (RGB), which a camera may have been held askew for.

    Raises:
        Trouble: there is none, more than one, or it is unfit.
        FeatureMissing: there is no embedding model.
    """
    found = search(models, image, 1, 0)
    if not any(portrait.likeness >= SURE for portrait in found):
        for rotation_deg in ROTATIONS_DEG[1:]:
            found += search(models, image, 1, rotation_deg)
        found = best_rotation(found)
    if not found:
        raise Trouble("no_face")
    if len(found) > 1:
        raise Trouble("several_faces")
    check(found[0], identity.PHOTO)
    comparer = _comparer(models)
    embedding = comparer.embed([(found[0].image, found[0].points_px)])[0]
    if not identity.is_direction(embedding):
        raise Trouble("face_unclear")
    return Taken(found[0], embedding, comparer.model)


def of_document(models: FaceModels, found: Sequence[Portrait]) -> Taken:
    """The holder's face among those `search` found in a document: the largest.

    Raises:
        Trouble: there is none, another person's is about as large, or it is unfit.
        FeatureMissing: there is no embedding model.
    """
    if not found:
        raise Trouble("no_face")
    comparer = _comparer(models)
    ranked = sorted(found, key=lambda portrait: portrait.face_px, reverse=True)
    check(ranked[0], identity.DOCUMENT)
    rivals = [portrait for portrait in ranked if portrait.face_px >= RIVAL_FROM * ranked[0].face_px]
    embeddings = comparer.embed([(portrait.image, portrait.points_px) for portrait in rivals])
    if not all(map(identity.is_direction, embeddings)):
        raise Trouble("face_unclear")
    for other in embeddings[1:]:
        if not identity.matches(comparer.similarity_pct(embeddings[0], other)):
            raise Trouble("several_faces")
    return Taken(ranked[0], embeddings[0], comparer.model)


def search(models: FaceModels, image: Image, tiling: int, rotation_deg: int) -> list[Portrait]:
    """Upright faces in a document (RGB) turned clockwise by `rotation_deg`, looked at in tiles of 1/`tiling` of its
    sides.
    """
    turned = np.ascontiguousarray(np.rot90(image, -rotation_deg // 90))
    places = list(tiles(turned.shape[1], turned.shape[0], tiling))
    cut = [np.ascontiguousarray(turned[top:bottom, left:right]) for left, top, right, bottom in places]
    found = []
    for (left, top, _, _), portraits in zip(places, _find(models.finder, cut), strict=True):
        for portrait in portraits:
            points_px = portrait.points_px + np.array([left, top, 0.0])
            found.append(portrait._replace(image=turned, points_px=points_px, rotation_deg=rotation_deg))
    return distinct([portrait for portrait in found if abs(portrait.angles.roll_deg) <= UPRIGHT_DEG])


def best_rotation(found: Sequence[Portrait]) -> list[Portrait]:
    """Those of the rotation in which a face was found best."""
    if not found:
        return []
    best = max(found, key=lambda portrait: portrait.likeness)
    return [portrait for portrait in found if portrait.rotation_deg == best.rotation_deg]


def tiles(width_px: int, height_px: int, tiling: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right, bottom of tiles of 1/`tiling` of each side that overlap by half."""
    steps = 2 * tiling - 1
    for row in range(steps):
        for column in range(steps):
            left, top = column * width_px // (2 * tiling), row * height_px // (2 * tiling)
            yield left, top, min(width_px, left + -(-width_px // tiling)), min(height_px, top + -(-height_px // tiling))


def distinct(found: Sequence[Portrait]) -> list[Portrait]:
    """Each face once, as it was found best: overlapping tiles show it more than once."""
    kept: list[Portrait] = []
    for portrait in sorted(found, key=lambda one: one.likeness, reverse=True):
        if all(_apart(portrait, other) for other in kept):
            kept.append(portrait)
    return kept


def _apart(one: Portrait, other: Portrait) -> bool:
    distance_px = float(np.linalg.norm(one.centre_px - other.centre_px))
    return distance_px >= SAME_FACE * max(one.face_px, other.face_px)


def check(portrait: Portrait, limits: Limits) -> None:
    """Raises Trouble where a face is too small, turned away or unclear."""
    luma = quality.luma_of(portrait.image)
    rows, columns = luma.shape
    region = quality.region(luma, *bounding_box(portrait.points_px, columns, rows))
    problems = quality.problems(quality.brightness(region), quality.face_sharpness(region), quality.BLURRED_BELOW)
    reason = identity.unfit(portrait.angles, portrait.face_px, problems, limits)
    if reason:
        raise Trouble(_CODES.get(reason, "face_unclear"))


def _find(finder: Finder, images: Sequence[Image]) -> list[list[Portrait]]:
    """Every face of each picture whose mesh has a pose."""
    return [
        [one for mesh, score in zip(found.meshes, found.scores, strict=True) if (one := _portrait(image, mesh, score))]
        for image, found in zip(images, finder.find(images, [None] * len(images)), strict=True)
    ]


def _portrait(image: Image, mesh: npt.NDArray[np.float32], score: float) -> Portrait | None:
    height_px, width_px = image.shape[:2]
    points_px = to_pixels(mesh, width_px, height_px)
    pose = head_pose.fit(points_px)
    if pose is None:
        return None
    face_px = float(np.ptp(points_px[:, 1]))
    likeness = float(score) / (1.0 + _misfit_cm(points_px, pose))
    return Portrait(image, points_px, head_pose.angles(pose.rotation), face_px, float(score), likeness)


def _misfit_cm(points_px: Points, pose: Pose) -> float:
    """How far the points of a mesh that keep still lie from those of the standard face under it: root mean square."""
    apart_cm = pose.frontal_cm(points_px)[BASIS] - VERTICES_CM
    return float(np.sqrt(WEIGHTS @ (apart_cm**2).sum(axis=1) / WEIGHTS.sum()))


def _comparer(models: FaceModels) -> Comparer:
    if models.comparer is None:
        raise FeatureMissing("identity", "its model is not loaded")
    return models.comparer

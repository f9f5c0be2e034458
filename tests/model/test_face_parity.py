"""The converted models against MediaPipe's own runtime, on every picture and clip there is.

MediaPipe is installed because its package carries the models; only these tests import it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from mediapipe.python.solutions.face_mesh import FaceMesh
from mediapipe.python.solutions.hands import Hands
from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

from inference.backends.base import Image
from inference.backends.face_detector import MIN_CONFIDENCE
from inference.backends.regions import Rois
from inference.vision.decode import picture_of
from tests.conftest import TEST_DATA, missing
from tests.support.clips import frames, picture
from tests.support.embedded import backend, face_finder, hands

Points = npt.NDArray[np.float64]

MEAN_PCT, WORST_PCT = 0.1, 1.0
"""Most that landmarks may be off, in % of the distance between the pupils: on average, and in the worst face."""

HAND_MEAN_PCT, HAND_WORST_PCT = 0.2, 1.0
"""The same for hands, in % of the distance from the wrist to the middle finger's knuckle."""

CLIP_FPS = 2.0
MAX_FACES = 4
RIGHT_IRIS, LEFT_IRIS = 468, 473
WRIST, KNUCKLE = 0, 9


class Shown(NamedTuple):
    name: str
    image: Image


@pytest.fixture(scope="module")
def shown() -> list[Shown]:
    folder = TEST_DATA / "media"
    if not folder.is_dir():
        missing(f"the folder of test recordings ({folder})")
    photos = [path for kind in ("photos", "headpose", "expressions") for path in sorted((folder / kind).glob("*.jpg"))]
    found = [Shown(path.name, picture(path)) for path in photos]
    for clip in sorted((folder / "video").iterdir()):
        found.extend(
            Shown(f"{clip.name} at {frame.t_s:.1f} s", picture_of(frame.jpeg, 1_000_000, 4_000_000))
            for frame in frames(clip, CLIP_FPS)
        )
    assert len(found) >= 150
    return found


def mediapipe_faces(**options: Any) -> Any:
    return FaceMesh(refine_landmarks=True, min_detection_confidence=MIN_CONFIDENCE, **options)


@pytest.fixture(scope="module")
def theirs() -> Iterator[Any]:
    with mediapipe_faces(static_image_mode=True, max_num_faces=MAX_FACES) as model:
        yield model


def points_of(found: Any, image: Image, axes: int = 2) -> Points:
    """What MediaPipe found, (n, points, axes) in pixels; depth in the scale of x."""
    height_px, width_px = image.shape[:2]
    scale = np.array([width_px, height_px, width_px], dtype=np.float64)[:axes]
    rows = [[(point.x, point.y, point.z)[:axes] for point in one.landmark] for one in found or ()]
    return np.array(rows, dtype=np.float64) * scale if rows else np.empty((0, 0, axes))


def in_pixels(meshes: npt.NDArray[np.float32], image: Image) -> Points:
    height_px, width_px = image.shape[:2]
    return meshes.astype(np.float64) * (width_px, height_px, width_px)


def off_pct(theirs: Points, ours: Points) -> float:
    """Mean distance of the landmarks of one face."""
    eyes_px = np.linalg.norm(theirs[RIGHT_IRIS, :2] - theirs[LEFT_IRIS, :2])
    return float(np.linalg.norm(theirs - ours, axis=1).mean() / eyes_px * 100.0)


def test_faces_are_mediapipes(shown: list[Shown], theirs: Any) -> None:
    finder = face_finder(MAX_FACES)
    errors: dict[str, float] = {}
    with_faces = 0
    for name, image in shown:
        expected = points_of(theirs.process(image).multi_face_landmarks, image, axes=3)
        found = finder.find([image], [None])[0]
        assert found.searched
        assert len(found.meshes) == len(expected), name
        with_faces += bool(len(expected))
        for index, pair in enumerate(zip(expected, in_pixels(found.meshes, image), strict=True)):
            errors[f"{name} #{index}"] = off_pct(*pair)
    assert 150 <= with_faces < len(shown)
    assert np.mean(list(errors.values())) <= MEAN_PCT
    assert max(errors.values()) <= WORST_PCT, max(errors, key=lambda name: errors[name])


def test_a_face_that_is_followed_is_mediapipes_too(media: Path) -> None:
    """As in MediaPipe's video mode: each frame is cut out by the landmarks of the one before."""
    finder = face_finder(1)
    with mediapipe_faces(static_image_mode=False, max_num_faces=1) as theirs:
        hint: Rois | None = None
        errors = []
        for frame in frames(media / "video" / "talking_head_8s.mp4", 5.0):
            image = picture_of(frame.jpeg, 1_000_000, 4_000_000)
            found = finder.find([image], [hint])[0]
            assert found.searched == (hint is None)
            (expected,) = points_of(theirs.process(image).multi_face_landmarks, image, axes=3)
            errors.append(off_pct(expected, in_pixels(found.meshes, image)[0]))
            hint = found.rois
    assert len(errors) >= 35
    assert np.mean(errors) <= MEAN_PCT
    assert max(errors) <= WORST_PCT


def test_a_batch_finds_what_its_pictures_show(shown: list[Shown]) -> None:
    finder = face_finder(MAX_FACES)
    images = [image for _, image in shown[:12]]
    together = finder.find(images, [None] * len(images))
    for image, one in zip(images, together, strict=True):
        alone = finder.find([image], [None])[0]
        assert len(alone.meshes) == len(one.meshes)
        for pair in zip(in_pixels(alone.meshes, image), in_pixels(one.meshes, image), strict=True):
            assert off_pct(*pair) < 0.01


def test_persons_are_mediapipes(shown: list[Shown]) -> None:
    ours = backend("person")
    some = shown[::4]
    persons = 0
    with SelfieSegmentation(model_selection=0) as theirs:
        for (name, image), mask in zip(some, ours.run([image for _, image in some]), strict=True):
            small = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA)
            expected = np.asarray(theirs.process(small).segmentation_mask)
            assert np.abs(mask - expected).max() < 0.01, name
            either = ((mask > 0.5) | (expected > 0.5)).sum()
            assert ((mask > 0.5) ^ (expected > 0.5)).sum() <= 0.002 * either, name
            persons += bool((expected > 0.5).mean() > 0.05)
    assert persons > 20


def test_hands_are_mediapipes(shown: list[Shown]) -> None:
    ours = hands()
    some = [one for one in shown if one.name.startswith(("hands_over", "phone", "person", "two_people"))]
    errors: list[float] = []
    with Hands(static_image_mode=True, max_num_hands=4, model_complexity=0, min_detection_confidence=0.5) as theirs:
        for name, image in some:
            expected = points_of(theirs.process(image).multi_hand_landmarks, image)
            found = ours.run([image])[0] * np.array(image.shape[1::-1])
            assert len(found) == len(expected), name
            for one, other in zip(expected, found, strict=True):
                size_px = np.linalg.norm(one[WRIST] - one[KNUCKLE])
                errors.append(float(np.linalg.norm(one - other, axis=1).mean() / size_px * 100.0))
    assert len(errors) >= 15
    assert np.mean(errors) <= HAND_MEAN_PCT
    assert max(errors) <= HAND_WORST_PCT


def test_a_face_that_moves_slowly_keeps_its_place_without_a_search(media: Path) -> None:
    """Following costs no accuracy that matters: each frame against a search of the same frame."""
    finder = face_finder(MAX_FACES)
    images = [
        picture_of(frame.jpeg, 1_000_000, 4_000_000)
        for frame in frames(media / "video" / "second_person_enters_at_3s.mp4")
        if frame.t_s > 3.2
    ]
    for before, now in pairwise(images):
        known, searched = finder.find([before, now], [None, None])
        followed = finder.find([now], [known.rois])[0]
        assert not followed.searched
        assert len(followed.meshes) == len(searched.meshes) == 2
        for one in in_pixels(searched.meshes, now):
            assert min(off_pct(one, other) for other in in_pixels(followed.meshes, now)) < 8.0

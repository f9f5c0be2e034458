"""Which models run on which picture, and whose faces are whose; the models are scripted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.backends.face_detector import Detections
from inference.backends.face_mesh import POINTS, SIDE_PX, Mesh
from inference.vision import faces
from inference.vision.faces import FaceFinder, rois_of_detections, rois_of_meshes

WIDTH_PX, HEIGHT_PX = 640, 480


class Detector:
    """Finds a face of 80 px at each of the given places of a picture, known by its first pixel."""

    name = "scripted"

    def __init__(self, places: dict[int, list[tuple[float, float]]]) -> None:
        self.places = places
        self.searched: list[int] = []

    def load(self) -> None: ...

    def close(self) -> None: ...

    def run(self, batch: Sequence[Image]) -> list[Detections]:
        numbers = [int(image[0, 0, 0]) for image in batch]
        self.searched.extend(numbers)
        return [np.array([row(*at) for at in self.places[number]], np.float32).reshape(-1, 17) for number in numbers]


def row(x: float, y: float, side: float = 80.0) -> list[float]:
    eyes = [x - 20, y - 10, x + 20, y - 10]
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2, *eyes, *([x, y] * 4), 0.9]


class Meshes:
    """A face in the middle of each crop, as wide as two thirds of it; a white crop is none, a grey one less sure."""

    name = "scripted"

    def __init__(self) -> None:
        self.crops = 0

    def load(self) -> None: ...

    def close(self) -> None: ...

    def run(self, batch: Sequence[Image]) -> list[Mesh]:
        self.crops += len(batch)
        return [Mesh(points(), 0.2 if crop.mean() > 250 else 0.7 if crop.mean() > 100 else 0.95) for crop in batch]


def points() -> npt.NDArray[np.float32]:
    """478 points in a square around the crop's middle, the eyes level."""
    rng = np.random.default_rng(0)
    made = rng.uniform(SIDE_PX / 6, SIDE_PX * 5 / 6, (POINTS, 3)).astype(np.float32)
    made[0, :2], made[1, :2] = SIDE_PX / 6, SIDE_PX * 5 / 6
    made[33, :2], made[263, :2] = (70, 80), (120, 80)
    return made


def picture(number: int = 0) -> Image:
    image = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    image[0, 0] = number
    return image


def finder(places: dict[int, list[tuple[float, float]]], max_faces: int = 4) -> tuple[FaceFinder, Detector, Meshes]:
    detector, meshes = Detector(places), Meshes()
    return FaceFinder(detector, meshes, max_faces=max_faces), detector, meshes


def test_without_a_hint_the_picture_is_searched() -> None:
    find, detector, _ = finder({0: [(200, 200)], 1: []})
    one, none = find.find([picture(0), picture(1)], [None, None])
    assert detector.searched == [0, 1]
    assert (one.searched, none.searched) == (True, True)
    assert one.meshes.shape == (1, POINTS, 3)
    assert none.meshes.shape == (0, POINTS, 3)
    assert none.rois.shape == (0, 5)


def test_a_hint_spares_the_search() -> None:
    find, detector, meshes = finder({0: [(200, 200), (400, 200)]})
    known = find.find([picture()], [None])[0]
    detector.searched.clear()
    meshes.crops = 0
    followed = find.find([picture()], [known.rois])[0]
    assert (detector.searched, meshes.crops, followed.searched) == ([], 2, False)
    assert np.allclose(followed.rois, known.rois, atol=0.1)


def test_meshes_are_fractions_of_the_picture_and_regions_its_pixels() -> None:
    find, _, _ = finder({0: [(200, 300)]})
    found = find.find([picture()], [None])[0]
    x, y, width, height, turn = found.rois[0]
    assert np.allclose((x, y), (200, 300), atol=0.5)
    assert np.allclose((width, height), 80 * 1.5 * 2 / 3 * 1.5, atol=0.5)
    assert abs(turn) < 1e-6
    low, high = found.meshes[0, :, :2].min(axis=0), found.meshes[0, :, :2].max(axis=0)
    assert np.allclose((low + high) / 2, (200 / WIDTH_PX, 300 / HEIGHT_PX), atol=1e-3)


def test_a_face_that_is_lost_is_searched_for_at_once() -> None:
    find, detector, _ = finder({0: [(200, 200), (400, 200)]})
    known = find.find([picture()], [None])[0]
    left = picture()
    left[:, 300:] = 255
    detector.places = {0: [(200, 200)]}
    detector.searched.clear()
    found = find.find([left], [known.rois])[0]
    assert detector.searched == [0]
    assert found.searched
    assert len(found.meshes) == 1


def test_a_search_beside_a_followed_face_adds_only_who_is_new() -> None:
    """One of two is lost: what the detector finds of the other is not a second mesh on it."""
    find, detector, meshes = finder({0: [(200, 200), (400, 200)]})
    known = find.find([picture()], [None])[0]
    moved = picture()
    moved[:, 300:500] = 255
    detector.places = {0: [(205, 200), (560, 200)]}
    meshes.crops = 0
    found = find.find([moved], [known.rois])[0]
    assert meshes.crops == 3
    assert sorted(float(x) for x in found.rois[:, 0].round()) == [200, 560]


def test_two_regions_on_one_face_are_one_face_the_surer_one() -> None:
    find, _, _ = finder({0: []})
    image = picture()
    image[:, 200:] = 200
    two = np.array([[210, 200, 120, 120, 0.0], [190, 200, 120, 120, 0.0]], np.float32)
    found = find.find([image], [two])[0]
    assert len(found.meshes) == len(found.rois) == len(found.scores) == 1
    assert np.allclose(found.rois[0, 0], 190, atol=0.5)


def test_no_more_faces_than_asked_for() -> None:
    find, _, meshes = finder({0: [(100, 200), (250, 200), (400, 200)]}, max_faces=2)
    assert len(find.find([picture()], [None])[0].meshes) == 2
    assert meshes.crops == 2


def test_a_tilted_face_has_a_tilted_region() -> None:
    tilted = np.array([row(200, 200)], np.float32)
    tilted[0, 4:8] = (180, 180, 220, 220)
    (roi,) = rois_of_detections(tilted)
    assert np.isclose(roi[4], np.pi / 4)
    mesh = np.zeros((1, POINTS, 3), np.float32)
    mesh[0, 33, :2], mesh[0, 263, :2] = (50, 90), (90, 50)
    assert np.isclose(rois_of_meshes(mesh)[0, 4], -np.pi / 4)
    assert rois_of_meshes(mesh)[0, 2] == faces.MARGIN * 90

"""Where in a document a face is looked for, and which of several counts; the faces are scripted here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from inference.signals.head_pose import Angles
from inference.vision.identity import FaceModels, portraits
from inference.vision.identity.portraits import Portrait, Trouble

GREY = np.full((400, 600, 3), 120, dtype=np.uint8)
# Stripes: neither blurred nor dark.
GREY[:, ::8] = 200


def a_portrait(
    x: float, y: float, face_px: float, likeness: float = 0.9, rotation_deg: int = 0, **angles: float
) -> Portrait:
    points = np.zeros((478, 3))
    points[:, :2] = np.random.default_rng(0).uniform(-0.5, 0.5, (478, 2)) * face_px + (x, y)
    pose = Angles(angles.get("yaw_deg", 0.0), angles.get("pitch_deg", 0.0), angles.get("roll_deg", 0.0))
    return Portrait(GREY, points, pose, face_px, 1.0, likeness, rotation_deg)


class ScriptedModels:
    """Who a face is, by the height it was given."""

    def __init__(self, persons: dict[float, int]) -> None:
        self._persons = persons
        self.finder = None
        self.comparer = self
        self.model = "scripted"

    def embed(self, faces: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        heights = [round(float(np.ptp(points[:, 1]))) for _, points in faces]
        known = {
            round(float(np.ptp(a_portrait(0, 0, face_px).points_px[:, 1]))): who
            for face_px, who in self._persons.items()
        }
        return [np.eye(4, dtype=np.float32)[known[height]] for height in heights]

    def similarity_pct(self, one: np.ndarray, other: np.ndarray) -> float:
        return 100.0 * float(one @ other)


def chosen(persons: dict[float, int], *found: Portrait) -> portraits.Taken:
    return portraits.of_document(cast("FaceModels", ScriptedModels(persons)), found)


def test_tiles_overlap_and_leave_nothing_out() -> None:
    for tiling in portraits.TILINGS:
        covered = np.zeros((101, 67), dtype=int)
        places = list(portraits.tiles(67, 101, tiling))
        assert len(places) == (2 * tiling - 1) ** 2
        for left, top, right, bottom in places:
            assert 0 <= left < right <= 67
            assert 0 <= top < bottom <= 101
            covered[top:bottom, left:right] += 1
        assert covered.min() >= 1
    # Any face of up to a quarter of the sides lies in one of the half tiles whole.
    for x in range(67 - 16):
        assert any(left <= x and x + 16 <= right for left, _, right, _ in portraits.tiles(67, 101, 2))


def test_a_face_in_several_tiles_counts_once_as_it_was_found_best() -> None:
    found = [a_portrait(100, 100, 80, 0.6), a_portrait(104, 98, 84, 0.9), a_portrait(300, 100, 80, 0.7)]
    assert [portrait.likeness for portrait in portraits.distinct(found)] == [0.9, 0.7]


def test_the_rotation_is_the_one_in_which_a_face_is_found_best() -> None:
    upside_down, right, sideways = (
        a_portrait(9, 9, 90, 0.7, 180),
        a_portrait(9, 9, 80, 0.95, 90),
        a_portrait(9, 9, 99, 0.8),
    )
    ghost = a_portrait(200, 9, 40, 0.5, 90)
    assert portraits.best_rotation([upside_down, right, sideways, ghost]) == [right, ghost]
    assert portraits.best_rotation([]) == []


def test_the_largest_face_is_the_holders() -> None:
    assert chosen({100: 0, 60: 1}, a_portrait(300, 200, 60), a_portrait(100, 200, 100)).portrait.face_px == 100


def test_a_ghost_image_may_be_as_large_if_it_is_the_same_person() -> None:
    assert chosen({100: 0, 90: 0}, a_portrait(300, 200, 90), a_portrait(100, 200, 100)).portrait.face_px == 100


def test_two_people_of_one_size_leave_open_whose_document_it_is() -> None:
    with pytest.raises(Trouble) as caught:
        chosen({100: 0, 80: 1}, a_portrait(300, 200, 80), a_portrait(100, 200, 100))
    assert caught.value.code == "several_faces"


@pytest.mark.parametrize(
    ("portrait", "code"),
    [
        (a_portrait(100, 100, 30), "face_too_small"),
        (a_portrait(100, 100, 100, yaw_deg=50), "face_turned"),
        (a_portrait(100, 100, 100)._replace(image=np.zeros_like(GREY)), "face_unclear"),
    ],
)
def test_a_document_whose_face_cannot_be_used_says_why(portrait: Portrait, code: str) -> None:
    with pytest.raises(Trouble) as caught:
        chosen({100: 0, 30: 0}, portrait)
    assert caught.value.code == code
    with pytest.raises(Trouble, match="no_face"):
        chosen({})


def test_a_trouble_names_its_picture() -> None:
    with pytest.raises(Trouble) as caught, portraits.of_picture("document"):
        raise Trouble("no_face")
    assert caught.value.picture == "document"

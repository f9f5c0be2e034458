"""Who is who on real pictures: one person is 80 % alike or more, two people are less: photos, clips, documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.signals import alignment, identity
from inference.vision.decode import picture_of
from inference.vision.identity import portraits
from inference.vision.identity.clerk import Clerk
from inference.vision.identity.portraits import Taken, Trouble
from inference.vision.settings import VisionSettings
from tests.conftest import TEST_DATA, missing
from tests.support.clips import Image, encode_jpeg, frames, picture, scaled
from tests.support.identity import Models, Pasted, Thread, card, face_models, photo, portrait, turned

PEOPLE = "abc"
PHOTOS = [f"person_{who}_{number}" for who in PEOPLE for number in (1, 2)]


@pytest.fixture(scope="module")
def models(built_dir: Path) -> Iterator[Models]:
    if not (TEST_DATA / "models").is_dir():
        missing("the folder of test models")
    with face_models(TEST_DATA / "models", built_dir) as found:
        yield found


@pytest.fixture(scope="module")
def taken(models: Models) -> dict[str, Taken]:
    """The face of each photo."""
    return {name: portraits.of_photo(models, photo(TEST_DATA / "media", name)) for name in PHOTOS}


def alike(models: Models, one: Taken, other: Taken) -> float:
    return portraits.similarity_pct(models, one, other)


def test_one_person_is_80_percent_alike_and_two_are_not(models: Models, taken: dict[str, Taken]) -> None:
    for one, other in combinations(PHOTOS, 2):
        similarity = alike(models, taken[one], taken[other])
        assert identity.matches(similarity) == (one[7] == other[7]), (one, other, similarity)


def test_they_are_far_apart(taken: dict[str, Taken]) -> None:
    cosines = {pair: float(taken[pair[0]].embedding @ taken[pair[1]].embedding) for pair in combinations(PHOTOS, 2)}
    same = [cosine for (one, other), cosine in cosines.items() if one[7] == other[7]]
    different = [cosine for (one, other), cosine in cosines.items() if one[7] != other[7]]
    assert min(same) > 0.5
    assert max(different) < 0.2


def test_other_peoples_faces_are_nobody_known(models: Models, taken: dict[str, Taken], media: Path) -> None:
    compared = 0
    for path in sorted((media / "expressions").glob("*.jpg")):
        try:
            stranger = portraits.of_photo(models, picture(path))
        except Trouble:
            continue
        compared += 1
        for name in PHOTOS:
            assert alike(models, stranger, taken[name]) < identity.THRESHOLD_PCT, (path.name, name)
    assert compared >= 5


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_that_stands_askew_is_turned(
    models: Models, taken: dict[str, Taken], media: Path, quarters: int
) -> None:
    for name in PHOTOS:
        found = portraits.of_photo(models, turned(photo(media, name), quarters))
        assert found.portrait.rotation_deg == 90 * quarters, name
        assert alike(models, taken[name], found) >= 95, name


def darker(image: Image) -> Image:
    return np.asarray(image * 0.4, dtype=np.uint8)


def noisy(image: Image) -> Image:
    noise = np.random.default_rng(0).normal(0, 12, image.shape)
    return np.asarray(np.clip(image + noise, 0, 255), dtype=np.uint8)


def leaning(image: Image) -> Image:
    rows, columns = image.shape[:2]
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), 25, 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (columns, rows)), dtype=np.uint8)


def squeezed(image: Image) -> Image:
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 20])
    assert done
    return picture_of(bytes(data), 10_000_000, 40_000_000)


SPOILT: dict[str, Callable[[Image], Image]] = {
    "darker": darker,
    "noisy": noisy,
    "leaning": leaning,
    "squeezed": squeezed,
    "small": lambda image: scaled(image, round(image.shape[1] * 0.7)),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_worse_picture_of_the_same_person_is_still_theirs(
    models: Models, taken: dict[str, Taken], media: Path, how: str
) -> None:
    for who in PEOPLE:
        worse = portraits.of_photo(models, SPOILT[how](photo(media, f"person_{who}_2")))
        for other in PEOPLE:
            similarity = alike(models, taken[f"person_{other}_1"], worse)
            assert identity.matches(similarity) == (who == other), (who, other, similarity)


@pytest.mark.parametrize("clip", ["talking_head_8s.mp4", "gaze_center.mp4"])
def test_throughout_a_clip_it_is_the_person_of_its_beginning(
    models: Models, taken: dict[str, Taken], media: Path, clip: str
) -> None:
    pictures = [picture_of(one.jpeg, 1_000_000, 4_000_000) for one in frames(media / "video" / clip, fps=1.0)]
    first, checked = portraits.of_photo(models, pictures[0]), 0
    for image in pictures[1:]:
        try:
            later = portraits.of_photo(models, image)
        except Trouble:
            # Turned away or blurred: a worker abstains there, too.
            continue
        checked += 1
        assert alike(models, first, later) >= identity.THRESHOLD_PCT
        assert max(alike(models, taken[name], later) for name in PHOTOS) < identity.THRESHOLD_PCT
    assert checked >= 5


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("who", PEOPLE)
async def test_a_small_portrait_on_a_turned_card_is_the_person_in_front_of_the_camera(
    models: Models, taken: dict[str, Taken], media: Path, who: str, quarters: int
) -> None:
    face = portrait(models, photo(media, f"person_{who}_2"))
    # About a sixth of the card's height: some 65 pixels of face.
    found = await document(models, turned(card(Pasted(face, 130, 60, 240)), quarters))
    assert found.portrait.rotation_deg == 90 * quarters
    for other in PEOPLE:
        similarity = alike(models, taken[f"person_{other}_1"], found)
        assert identity.matches(similarity) == (who == other), (other, similarity)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
async def test_the_specimen_passport_is_read_in_any_position(
    models: Models, taken: dict[str, Taken], media: Path, quarters: int
) -> None:
    passport = photo(media, "id_specimen_passport")
    upright = await document(models, passport)
    found = await document(models, turned(passport, quarters))
    assert found.portrait.rotation_deg == 90 * quarters
    assert alike(models, upright, found) >= 90
    assert max(alike(models, found, one) for one in taken.values()) < 60


async def test_a_card_photographed_from_afar(models: Models, taken: dict[str, Taken], media: Path) -> None:
    desk = np.full((1200, 1600, 3), (90, 80, 70), dtype=np.uint8)
    small = scaled(card(Pasted(portrait(models, photo(media, "person_a_2")), 260, 60, 240)), 600)
    desk[500 : 500 + small.shape[0], 700:1300] = small
    found = await document(models, turned(desk, 1))
    assert found.portrait.rotation_deg == 90
    assert alike(models, taken["person_a_1"], found) >= identity.THRESHOLD_PCT
    tiny = scaled(small, 250)
    desk[500 : 500 + small.shape[0], 700:1300] = (90, 80, 70)
    desk[500 : 500 + tiny.shape[0], 700:950] = tiny
    with pytest.raises(Trouble, match=r"no_face|face_too_small"):
        await document(models, desk)


async def document(models: Models, image: Image) -> Taken:
    """The holder's face, found as a worker finds it."""
    thread = Thread(models)
    try:
        clerk = Clerk(VisionSettings(), None, thread, None, None)  # type: ignore[arg-type]
        return await clerk._document(encode_jpeg(image))
    finally:
        thread.close()


def test_the_five_points_are_where_a_detector_of_that_family_sees_them(
    models: Models, taken: dict[str, Taken], models_dir: Path, media: Path
) -> None:
    """YuNet's points are those that OpenCV aligns by; ours may differ by a sixth of the distance between the eyes."""
    apart = []
    for name in PHOTOS:
        bgr = np.ascontiguousarray(photo(media, name)[..., ::-1])
        factor = 640 / max(bgr.shape[:2])
        small = cv2.resize(bgr, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        yunet = cv2.FaceDetectorYN.create(
            str(models_dir / "face_detection_yunet_2023mar.onnx"), "", (small.shape[1], small.shape[0]), 0.6
        )
        theirs = yunet.detect(small)[1][0][4:14].reshape(5, 2) / factor
        ours = alignment.five_points(taken[name].portrait.points_px)
        apart.append(np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(ours[0] - ours[1]))
    assert np.mean(apart) < 0.11
    assert np.max(np.mean(apart, axis=0)) < 1 / 6

"""The real models on real recordings, against what is known of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from inference.vision.analysis import Analyst, Seen
from inference.vision.decode import picture_of
from proto.observations import Face
from tests.support.clips import frames, picture, scaled
from tests.support.vision import analyst_of


class Look(NamedTuple):
    t_s: float
    seen: Seen


@pytest.fixture(scope="module")
def analyst(built_dir: Path) -> Iterator[Analyst]:
    analyst = analyst_of(built_dir)
    missing = analyst.load()
    assert [missing[feature] for feature in ("face", "person", "hands")] == [None] * 3
    yield analyst
    analyst.close()


def watch(analyst: Analyst, clip: Path, fps: float = 5.0) -> list[Look]:
    looks = []
    for frame in frames(clip, fps):
        image = picture_of(frame.jpeg, 1_000_000, 4_000_000)
        looks.append(Look(frame.t_s, analyst.look([image])[0]))
    return looks


def between(looks: list[Look], start_s: float, end_s: float) -> list[Seen]:
    return [look.seen for look in looks if start_s <= look.t_s < end_s]


def gaze_yaws(seen: list[Seen]) -> list[float]:
    return [one.faces[0].gaze_yaw_deg for one in seen if one.faces and one.faces[0].gaze_yaw_deg is not None]


def only_face(seen: Seen) -> Face:
    assert len(seen.faces) == 1
    return seen.faces[0]


@pytest.mark.parametrize(
    "name", ["talking_head_8s.mp4", "single_face.mp4", "gaze_center.mp4", "hands_over_face_20s.mp4"]
)
def test_one_face_in_every_frame(analyst: Analyst, media: Path, name: str) -> None:
    looks = watch(analyst, media / "video" / name)
    assert len(looks) > 10
    assert {len(look.seen.faces) for look in looks} == {1}


def test_nobody_there(analyst: Analyst, media: Path) -> None:
    looks = watch(analyst, media / "video" / "no_face.mp4")
    assert {(len(look.seen.faces), look.seen.person_present, look.seen.quality.problems) for look in looks} == {
        (0, False, ())
    }


def test_somebody_leaves(analyst: Analyst, media: Path) -> None:
    looks = watch(analyst, media / "video" / "face_then_no_face.mov")
    assert {len(seen.faces) for seen in between(looks, 0.0, 2.3)} == {1}
    black = between(looks, 2.3, 2.5)
    assert [seen.quality.problems for seen in black] == [("dark",)]
    gone = between(looks, 2.5, 7.0)
    assert {(len(seen.faces), seen.person_present, seen.quality.problems) for seen in gone} == {(0, False, ())}


def test_a_second_person_enters_after_three_seconds(analyst: Analyst, media: Path) -> None:
    looks = watch(analyst, media / "video" / "second_person_enters_at_3s.mp4")
    assert {len(seen.faces) for seen in between(looks, 0.0, 2.95)} == {1}
    assert {len(seen.faces) for seen in between(looks, 3.0, 8.0)} == {2}


def test_two_people_on_a_photo(analyst: Analyst, media: Path) -> None:
    faces = analyst.look([picture(media / "photos" / "two_people.jpg")])[0].faces
    assert len(faces) == 2
    assert {face.x < 0.5 for face in faces} == {True, False}
    assert faces[0].width * faces[0].height >= faces[1].width * faces[1].height


def test_looking_left_is_told_from_looking_at_the_camera(analyst: Analyst, media: Path) -> None:
    looks = watch(analyst, media / "video" / "gaze_center_left_center.mp4")
    before, left, after = (gaze_yaws(between(looks, *span)) for span in ((0, 5), (5.6, 9.8), (10.6, 15)))
    assert min(len(before), len(left), len(after)) > 15
    assert max(left) < -9.0
    assert min(before + after) > -3.0
    assert abs(np.median(before)) < 3.0


def test_a_head_that_turns_while_it_looks_at_the_camera_keeps_its_gaze(analyst: Analyst, media: Path) -> None:
    seen = between(watch(analyst, media / "video" / "talking_head_8s.mp4"), 0.0, 8.0)
    turned = [only_face(one) for one in seen if abs(only_face(one).yaw_deg) > 8.0]
    assert {face.yaw_deg > 0 for face in turned} == {True, False}
    gazes = [face.gaze_yaw_deg for face in turned if face.gaze_yaw_deg is not None]
    assert len(gazes) > 10
    assert max(abs(gaze) for gaze in gazes) < 6.0


def test_a_man_looks_down_at_his_phone(analyst: Analyst, media: Path) -> None:
    looks = watch(analyst, media / "video" / "phone_from_2s_to_6s.mp4")
    assert max(only_face(seen).pitch_deg for seen in between(looks, 2.0, 5.9)) < -25.0
    assert min(only_face(seen).pitch_deg for seen in between(looks, 0.0, 1.9)) > -15.0


def test_hands_over_the_face_hide_it_but_do_not_take_it_away(analyst: Analyst, media: Path) -> None:
    looks = watch(analyst, media / "video" / "hands_over_face_20s.mp4")
    covered = ["occluded" in seen.quality.problems for seen in between(looks, 3.0, 9.2)]
    assert sum(covered) / len(covered) > 0.6
    free = between(looks, 0.0, 2.4) + between(looks, 9.6, 20.0)
    assert not any(seen.quality.problems for seen in free)


def test_closed_eyes_are_closed(analyst: Analyst, media: Path) -> None:
    looks = watch(analyst, media / "video" / "hands_over_face_20s.mp4")
    closed = [only_face(seen) for seen in between(looks, 0.6, 2.4)]
    awake = [only_face(seen) for seen in between(looks, 10.0, 11.8)]
    assert max(face.left_eye_openness for face in closed) < 0.12 < min(face.left_eye_openness for face in awake)
    assert {face.gaze_yaw_deg for face in closed} == {None}
    assert None not in {face.gaze_yaw_deg for face in awake}


@pytest.mark.parametrize("paint", [0, 120])
def test_a_person_whose_face_is_hidden_is_still_there(analyst: Analyst, media: Path, paint: int) -> None:
    for name in ("talking_head_8s.mp4", "gaze_center.mp4", "single_face.mp4"):
        frame = next(frames(media / "video" / name))
        image = picture_of(frame.jpeg, 1_000_000, 4_000_000)
        face = only_face(analyst.look([image])[0])
        hidden = image.copy()
        rows, columns = image.shape[:2]
        top, left = int(face.y * rows), int(face.x * columns)
        hidden[top : top + int(face.height * rows), left : left + int(face.width * columns)] = paint
        seen = analyst.look([hidden])[0]
        assert (seen.faces, seen.person_present) == ((), True)
        assert "occluded" in seen.quality.problems


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("gaze_center.mp4", 0.22),
        ("hands_over_face_20s.mp4", 0.22),
        ("single_face.mp4", 0.22),
        ("../photos/person_a_2.jpg", 0.28),
    ],
)
def test_a_person_too_far_away_for_their_face_is_not_nobody(
    analyst: Analyst, media: Path, name: str, share: float
) -> None:
    path = media / "video" / name
    image = (
        scaled(picture(path)) if path.suffix == ".jpg" else picture_of(next(frames(path)).jpeg, 1_000_000, 4_000_000)
    )
    small = scaled(image, round(image.shape[1] * share))
    room = np.full_like(image, 110)
    top, left = ((room.shape[axis] - small.shape[axis]) // 2 for axis in (0, 1))
    room[top : top + small.shape[0], left : left + small.shape[1]] = small
    seen = analyst.look([room])[0]
    assert (len(seen.faces), seen.person_present, seen.quality.problems) == (0, True, ("occluded",))


def test_expressions_move_what_they_should(analyst: Analyst, media: Path) -> None:
    faces = {
        name: analyst.look([picture(media / "expressions" / f"{name}.jpg")])[0].faces[0]
        for name in ("happy", "neutral", "surprised", "sad", "angry")
    }
    assert max(faces, key=lambda name: faces[name].smile) == "happy"
    assert max(faces, key=lambda name: faces[name].mouth_opening) == "surprised"
    assert max(faces, key=lambda name: faces[name].brow_raise) == "surprised"
    assert faces["angry"].brow_raise < faces["neutral"].brow_raise


def test_a_blurred_house_front_is_no_second_face(analyst: Analyst, media: Path) -> None:
    assert len(analyst.look([picture(media / "expressions" / "happy.jpg")])[0].faces) == 1


def test_a_smile_grows(analyst: Analyst, media: Path) -> None:
    looks = watch(analyst, media / "video" / "single_face.mp4")
    earnest, smiling = between(looks, 0.0, 0.5), between(looks, 1.0, 2.4)
    assert max(only_face(one).smile for one in earnest) + 0.15 < min(only_face(one).smile for one in smiling)


def test_dark_and_blurred_pictures_say_so(analyst: Analyst, media: Path) -> None:
    image = picture_of(next(frames(media / "video" / "talking_head_8s.mp4")).jpeg, 1_000_000, 4_000_000)
    dark = (image * 0.1).astype(np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(image, (0, 0), 8), dtype=np.uint8)
    assert [seen.quality.problems for seen in analyst.look([image, dark, blurred])] == [(), ("dark",), ("blurred",)]


def test_mirrored_pictures_are_mirrored_observations(analyst: Analyst, media: Path) -> None:
    image = scaled(picture(media / "photos" / "person_c_2.jpg"))
    face, mirrored = (only_face(analyst.look([one])[0]) for one in (image, np.ascontiguousarray(image[:, ::-1])))
    assert abs(face.yaw_deg) > 15
    assert mirrored.yaw_deg == pytest.approx(-face.yaw_deg, abs=5.0)
    assert mirrored.pitch_deg == pytest.approx(face.pitch_deg, abs=3.0)
    assert mirrored.roll_deg == pytest.approx(-face.roll_deg, abs=3.0)
    assert face.gaze_yaw_deg is not None
    assert mirrored.gaze_yaw_deg == pytest.approx(-face.gaze_yaw_deg, abs=4.0)


def test_a_batch_is_the_same_as_its_pictures_one_by_one(analyst: Analyst, media: Path) -> None:
    names = ("person_a_1.jpg", "two_people.jpg", "person_b_2.jpg")
    images = [picture(media / "photos" / name) for name in names]
    batch = analyst.look(images)
    assert [one.faces for one in batch] == [analyst.look([image])[0].faces for image in images]
    assert [len(one.faces) for one in batch] == [1, 2, 1]


def test_models_and_timings_are_named(analyst: Analyst, media: Path) -> None:
    with_face = analyst.look([picture(media / "photos" / "person_a_1.jpg")])[0]
    without = analyst.look([np.zeros((360, 640, 3), dtype=np.uint8)])[0]
    assert "mediapipe-0.10.21" in with_face.models["face"]
    assert {"faces", "signals", "quality"} <= set(with_face.timings_ms)
    assert with_face.person_present is None
    assert set(without.models) == {"face", "person"}
    assert "person" in without.timings_ms
    assert all(spent_ms >= 0 for spent_ms in (with_face.timings_ms | without.timings_ms).values())

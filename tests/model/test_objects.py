"""The real object detector on real recordings and pictures, and what the fold makes of it under every policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from inference.backends import registry
from inference.backends.settings import OnnxSettings
from inference.backends.yolo import YoloBackend
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.signals import objects
from inference.vision.decode import picture_of
from ingest.sampling import Looks
from proto import policy
from proto.media import Frame
from proto.observations import FrameSeen, SeenObject
from proto.views import Episode
from tests.conftest import TEST_DATA, missing
from tests.support.clips import Image, frames, picture, scaled
from tests.support.observed import POLICIES, Folded, face, frame

ALL_POLICIES = ["standard", "full", "eu-recruitment"]
CLEAN_CLIPS = [
    "talking_head_8s.mp4", "gaze_center.mp4", "gaze_center_left_center.mp4", "single_face.mp4", "no_face.mp4",
    "hands_over_face_20s.mp4", "second_person_enters_at_3s.mp4", "face_then_no_face.mov",
]  # fmt: skip
PHONE_CLIP = "phone_from_2s_to_6s.mp4"
PHONE_RULES = {"PHONE_DETECTED", "PHONE_PARTIAL_DETECTED"}
OBJECT_RULES = PHONE_RULES | {"SUSPICIOUS_OBJECT"}
PHONE = "cell phone"

Things = tuple[SeenObject, ...]


class Detector:
    """YOLOX-nano, and what it saw in the frames of each clip, which is the same whatever the policy."""

    def __init__(self, backend: YoloBackend, labels: tuple[str, ...]) -> None:
        self.backend = backend
        self._labels = labels
        self._clips: dict[Path, list[Frame]] = {}
        self._seen: dict[tuple[str, int, int], Things] = {}

    def look(self, *images: Image) -> list[Things]:
        found = self.backend.run(images)
        return [
            objects.seen(raw, self._labels, image.shape[1], image.shape[0])
            for raw, image in zip(found, images, strict=True)
        ]

    def watch(self, clip: Path, policy_name: str, start: int = 0, rows: int = 10_000) -> Folded:
        """The session of somebody well lit, folded: frames at 5 a second from number `start` on, of which the upper
        `rows` pixels are in the picture; objects where they are due.
        """
        text = (POLICIES / f"{policy_name}.toml").read_text("utf-8")
        looks = Looks(policy.parse(text).analysis)
        seen: list[FrameSeen] = []
        if clip not in self._clips:
            self._clips[clip] = list(frames(clip))
        for one in self._clips[clip][start:]:
            things = self._things(one, clip, rows) if "objects" in looks.due(one.t_s) else None
            seen.append(frame(one.t_s, face(), objects=things))
        return Folded(seen, text)

    def _things(self, one: Frame, clip: Path, rows: int) -> Things:
        key = (clip.name, one.seq, rows)
        if key not in self._seen:
            image = picture_of(one.jpeg, 1_000_000, 4_000_000)
            (self._seen[key],) = self.look(np.ascontiguousarray(image[:rows]))
        return self._seen[key]


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    folder = TEST_DATA / "models"
    if not folder.is_dir():
        missing(f"the folder of test models ({folder})")
    model = Store(ModelsSettings(dir=folder)).find("yolox-nano", "objects")
    backend = registry.create("yolo", model=model, onnx=OnnxSettings(provider="cpu"))
    assert isinstance(backend, YoloBackend)
    backend.load()
    yield Detector(backend, model.labels)
    backend.close()


def phones(things: Things) -> list[SeenObject]:
    return [thing for thing in things if thing.label == PHONE]


def told(folded: Folded) -> list[Episode]:
    """Episodes of the rules about objects."""
    episodes = (*folded.state.timeline, *folded.state.open.values())
    return [one for one in episodes if one.kind in OBJECT_RULES]


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("policy_name", ALL_POLICIES)
def test_a_phone_from_two_to_six_seconds_is_one_alert(
    detector: Detector, media: Path, policy_name: str, start: int
) -> None:
    """Whichever frames the looks fall on: within a second, once, and nothing else."""
    folded = detector.watch(media / "video" / PHONE_CLIP, policy_name, start)
    assert folded.rules == [alert.rule for alert in folded.alerts] == ["PHONE_DETECTED"]
    assert 2.0 < folded.lines("PHONE_DETECTED")[0] <= 3.0
    (episode,) = told(folded)
    assert episode.kind == "PHONE_DETECTED"
    assert 2.0 <= episode.start_s <= 2.6
    # The clip ends before the rule is released.
    assert episode.end_s is None


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("policy_name", ALL_POLICIES)
def test_a_phone_that_the_picture_ends_above_is_one_weaker_alert(
    detector: Detector, media: Path, policy_name: str, start: int
) -> None:
    """The same clip without its lower edge, where the hands hold the phone."""
    folded = detector.watch(media / "video" / PHONE_CLIP, policy_name, start, rows=415)
    assert folded.rules == [alert.rule for alert in folded.alerts] == ["PHONE_PARTIAL_DETECTED"]
    assert 2.0 < folded.lines("PHONE_PARTIAL_DETECTED")[0] < 6.0
    assert [episode.kind for episode in told(folded)] == ["PHONE_PARTIAL_DETECTED"]


def test_the_phone_is_seen_while_it_is_there_and_at_no_other_time(detector: Detector, media: Path) -> None:
    for one in frames(media / "video" / PHONE_CLIP):
        (things,) = detector.look(picture_of(one.jpeg, 1_000_000, 4_000_000))
        assert len(phones(things)) == (1 if 1.99 < one.t_s < 5.99 else 0), one.t_s
        for held in phones(things):
            assert 0.65 < held.x < held.x + held.width < 0.92
            assert 0.6 < held.y < held.y + held.height < 0.98


@pytest.mark.parametrize("clip", CLEAN_CLIPS)
def test_people_without_a_phone_have_none(detector: Detector, media: Path, clip: str) -> None:
    for policy_name in ALL_POLICIES:
        folded = detector.watch(media / "video" / clip, policy_name)
        assert folded.state.tally.objects_looked > 5
        assert not OBJECT_RULES & set(folded.rules)
        assert told(folded) == []


def test_a_phone_in_a_hand_is_found(detector: Detector, media: Path) -> None:
    (things,) = detector.look(scaled(picture(media / "photos" / "phone_in_hand.jpg")))
    (phone,) = phones(things)
    assert not phone.partial
    assert phone.score > 0.5
    assert (phone.x, phone.y, phone.width, phone.height) == pytest.approx((0.66, 0.59, 0.16, 0.15), abs=0.03)
    assert [thing.label for thing in things if thing.score > 0.9] == ["person"]


def test_a_phone_that_the_edge_cuts_off_is_partial(detector: Detector, media: Path) -> None:
    photo = scaled(picture(media / "photos" / "phone_in_hand.jpg"))
    cut = scaled(np.ascontiguousarray(photo[:, :518]))
    (phone,) = phones(detector.look(cut)[0])
    assert phone.partial
    assert phone.x + phone.width == pytest.approx(1.0, abs=0.01)


def test_portraits_have_no_phone(detector: Detector, media: Path) -> None:
    names = [*(media / "headpose").glob("*.jpg"), *(media / "expressions").glob("*.jpg")]
    names += [path for path in (media / "photos").glob("*.jpg") if path.name.startswith(("person_", "two_", "id_"))]
    assert len(names) > 20
    for path, things in zip(names, detector.look(*(scaled(picture(path)) for path in names)), strict=True):
        assert phones(things) == [], path.name


def test_a_desk_has_a_screen_on_it(detector: Detector, media: Path) -> None:
    (things,) = detector.look(scaled(picture(media / "photos" / "coco_000000301421.jpg")))
    assert {"tv", "keyboard", "mouse"} <= {thing.label for thing in things}


def test_a_batch_is_the_same_as_its_pictures_one_by_one(detector: Detector, media: Path) -> None:
    """The file takes one picture at a time; whoever calls it need not know."""
    names = ("phone_in_hand.jpg", "two_people.jpg", "coco_000000301421.jpg")
    images = [scaled(picture(media / "photos" / name)) for name in names]
    assert detector.look(*images) == [detector.look(image)[0] for image in images]


def test_it_is_the_same_in_the_mirror(detector: Detector, media: Path) -> None:
    image = scaled(picture(media / "photos" / "phone_in_hand.jpg"))
    ((phone,), (mirrored,)) = (phones(things) for things in detector.look(image, np.ascontiguousarray(image[:, ::-1])))
    assert 1.0 - mirrored.x - mirrored.width == pytest.approx(phone.x, abs=0.03)
    assert mirrored.score == pytest.approx(phone.score, abs=0.1)

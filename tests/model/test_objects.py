"""The real object detector on real recordings and pictures, and what the fold makes of it under every policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from inference.vision.analysis import Analyst, Ask, Seen
from inference.vision.decode import picture_of
from ingest.sampling import Looks
from proto import policy
from proto.media import Frame
from proto.observations import FrameSeen, SeenObject
from proto.views import Episode
from tests.conftest import TEST_DATA, missing
from tests.support.clips import Image, frames, picture, scaled
from tests.support.observed import POLICIES, Folded
from tests.support.vision import analyst_of

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


class Watcher:
    """Everything a worker sees with, YOLOX-nano included, and what it saw in each frame of each clip: that is the same
    whatever the policy.
    """

    def __init__(self, analyst: Analyst) -> None:
        self._analyst = analyst
        self._clips: dict[Path, list[Frame]] = {}
        self._seen: dict[tuple[str, int, int, bool], FrameSeen] = {}

    def things(self, *images: Image) -> list[Things]:
        """Objects in each picture."""
        looks = self._analyst.look(images, [Ask(looks=frozenset({"objects"}))] * len(images))
        return [look.objects for look in looks if isinstance(look, Seen) and look.objects is not None]

    def watch(self, clip: Path, policy_name: str, start: int = 0, rows: int = 10_000) -> Folded:
        """The session of somebody who shows this clip, folded: frames at 5 a second from number `start` on, of which
        the upper `rows` pixels are in the picture.
        """
        text = (POLICIES / f"{policy_name}.toml").read_text("utf-8")
        looks = Looks(policy.parse(text).analysis)
        if clip not in self._clips:
            self._clips[clip] = list(frames(clip))
        return Folded([self._one(one, clip, rows, looks) for one in self._clips[clip][start:]], text)

    def _one(self, one: Frame, clip: Path, rows: int, looks: Looks) -> FrameSeen:
        due = "objects" in looks.due(one.t_s)
        key = (clip.name, one.seq, rows, due)
        if key not in self._seen:
            image = np.ascontiguousarray(picture_of(one.jpeg, 1_000_000, 4_000_000)[:rows])
            (look,) = self._analyst.look([image], [Ask(looks=frozenset({"objects"} if due else ()))])
            assert isinstance(look, Seen)
            assert (look.objects is not None) == due
            self._seen[key] = FrameSeen(
                session="s1",
                source=one.source,
                seq=one.seq,
                t_s=one.t_s,
                faces=look.faces,
                quality=look.quality,
                person_present=look.person_present,
                objects=look.objects,
            )
        return self._seen[key]


@pytest.fixture(scope="module")
def watcher(built_dir: Path) -> Iterator[Watcher]:
    folder = TEST_DATA / "models"
    if not folder.is_dir():
        missing(f"the folder of test models ({folder})")
    analyst = analyst_of(built_dir, folder, identity_model="", expression_model="")
    assert analyst.load()["objects"] is None
    yield Watcher(analyst)
    analyst.close()


def phones(things: Things) -> list[SeenObject]:
    return [thing for thing in things if thing.label == PHONE]


def fired(folded: Folded) -> list[str]:
    """Rules about objects that fired: each is a line of the ledger and an alert."""
    alerts = [alert.rule for alert in folded.alerts if alert.rule in OBJECT_RULES]
    assert alerts == [rule for rule in folded.rules if rule in OBJECT_RULES]
    return alerts


def told(folded: Folded) -> list[Episode]:
    """Episodes of the rules about objects."""
    episodes = (*folded.state.timeline, *folded.state.open.values())
    return [one for one in episodes if one.kind in OBJECT_RULES]


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("policy_name", ALL_POLICIES)
def test_a_phone_from_two_to_six_seconds_is_one_alert(
    watcher: Watcher, media: Path, policy_name: str, start: int
) -> None:
    """Whichever frames the looks fall on: within a second, once, and nothing else."""
    folded = watcher.watch(media / "video" / PHONE_CLIP, policy_name, start)
    assert fired(folded) == ["PHONE_DETECTED"]
    assert 2.0 < folded.lines("PHONE_DETECTED")[0] <= 3.0
    (episode,) = told(folded)
    assert episode.kind == "PHONE_DETECTED"
    assert 2.0 <= episode.start_s <= 2.6
    # The clip ends before the rule is released.
    assert episode.end_s is None


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("policy_name", ALL_POLICIES)
def test_a_phone_that_the_picture_ends_above_is_one_weaker_alert(
    watcher: Watcher, media: Path, policy_name: str, start: int
) -> None:
    """The same clip without its lower edge, where the hands hold the phone."""
    folded = watcher.watch(media / "video" / PHONE_CLIP, policy_name, start, rows=415)
    assert fired(folded) == ["PHONE_PARTIAL_DETECTED"]
    assert 2.0 < folded.lines("PHONE_PARTIAL_DETECTED")[0] < 6.0
    assert [episode.kind for episode in told(folded)] == ["PHONE_PARTIAL_DETECTED"]


def test_the_phone_is_seen_while_it_is_there_and_at_no_other_time(watcher: Watcher, media: Path) -> None:
    for one in frames(media / "video" / PHONE_CLIP):
        (things,) = watcher.things(picture_of(one.jpeg, 1_000_000, 4_000_000))
        assert len(phones(things)) == (1 if 1.99 < one.t_s < 5.99 else 0), one.t_s
        for held in phones(things):
            assert 0.65 < held.x < held.x + held.width < 0.92
            assert 0.6 < held.y < held.y + held.height < 0.98


@pytest.mark.parametrize("clip", CLEAN_CLIPS)
def test_people_without_a_phone_have_none(watcher: Watcher, media: Path, clip: str) -> None:
    for policy_name in ALL_POLICIES:
        folded = watcher.watch(media / "video" / clip, policy_name)
        assert folded.state.tally.objects_looked > 5
        assert fired(folded) == []
        assert told(folded) == []


def test_a_phone_in_a_hand_is_found(watcher: Watcher, media: Path) -> None:
    (things,) = watcher.things(scaled(picture(media / "photos" / "phone_in_hand.jpg")))
    (phone,) = phones(things)
    assert not phone.partial
    assert phone.score > 0.5
    assert (phone.x, phone.y, phone.width, phone.height) == pytest.approx((0.66, 0.59, 0.16, 0.15), abs=0.03)
    assert [thing.label for thing in things if thing.score > 0.9] == ["person"]


def test_a_phone_that_the_edge_cuts_off_is_partial(watcher: Watcher, media: Path) -> None:
    photo = scaled(picture(media / "photos" / "phone_in_hand.jpg"))
    cut = scaled(np.ascontiguousarray(photo[:, :518]))
    (phone,) = phones(watcher.things(cut)[0])
    assert phone.partial
    assert phone.x + phone.width == pytest.approx(1.0, abs=0.01)


def test_portraits_have_no_phone(watcher: Watcher, media: Path) -> None:
    names = [*(media / "headpose").glob("*.jpg"), *(media / "expressions").glob("*.jpg")]
    names += [path for path in (media / "photos").glob("*.jpg") if path.name.startswith(("person_", "two_", "id_"))]
    assert len(names) > 20
    for path, things in zip(names, watcher.things(*(scaled(picture(path)) for path in names)), strict=True):
        assert phones(things) == [], path.name


def test_a_desk_has_a_screen_on_it(watcher: Watcher, media: Path) -> None:
    (things,) = watcher.things(scaled(picture(media / "photos" / "coco_000000301421.jpg")))
    assert {"tv", "keyboard", "mouse"} <= {thing.label for thing in things}


def test_a_batch_is_the_same_as_its_pictures_one_by_one(watcher: Watcher, media: Path) -> None:
    """The file may take one picture at a time; whoever calls it need not know."""
    names = ("phone_in_hand.jpg", "two_people.jpg", "coco_000000301421.jpg")
    images = [scaled(picture(media / "photos" / name)) for name in names]
    assert watcher.things(*images) == [watcher.things(image)[0] for image in images]


def test_it_is_the_same_in_the_mirror(watcher: Watcher, media: Path) -> None:
    image = scaled(picture(media / "photos" / "phone_in_hand.jpg"))
    ((phone,), (mirrored,)) = (phones(things) for things in watcher.things(image, np.ascontiguousarray(image[:, ::-1])))
    assert 1.0 - mirrored.x - mirrored.width == pytest.approx(phone.x, abs=0.03)
    assert mirrored.score == pytest.approx(phone.score, abs=0.1)

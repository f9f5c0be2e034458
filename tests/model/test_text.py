"""The real reader of text on real recordings and pictures, and what the fold makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from inference.backends import registry
from inference.backends.text_reader import TextReaderBackend
from inference.signals.text import regions
from inference.vision.decode import picture_of
from inference.vision.settings import VisionSettings
from proto.observations import AnyObservation, TextRegion
from tests.support.clips import Image, encode_jpeg, frames, picture, scaled
from tests.support.observed import POLICIES, Folded, face, frame, read, span

RULE = "TEXT_IN_VIEW"
CLIPS_WITHOUT_TEXT = [
    "talking_head_8s.mp4", "gaze_center.mp4", "gaze_center_left_center.mp4", "single_face.mp4",
    "hands_over_face_20s.mp4", "second_person_enters_at_3s.mp4", "phone_from_2s_to_6s.mp4",
]  # fmt: skip

Searched = tuple[float, tuple[TextRegion, ...]]
"""When a picture was searched, and what was found."""


@pytest.fixture(scope="module")
def reader() -> Iterator[TextReaderBackend]:
    made = registry.create("text")
    assert isinstance(made, TextReaderBackend)
    made.load()
    yield made
    made.close()


def look(reader: TextReaderBackend, image: Image, *, keep_text: bool = False) -> tuple[TextRegion, ...]:
    """What the lane would report of a picture as ingest makes it."""
    image = picture_of(encode_jpeg(image), 1_000_000, 4_000_000)
    (lines,) = reader.run([image])
    return regions(
        [(line.corners_px.tolist(), line.text, line.confidence) for line in lines],
        image.shape[1],
        image.shape[0],
        min_confidence=VisionSettings().text_min_confidence,
        keep_text=keep_text,
    )


def fold(
    until_s: float, looks: Iterable[tuple[float, tuple[TextRegion, ...]]], policy_name: str = "standard"
) -> Folded:
    """A calm session in which text was searched for at these times."""
    seen: list[AnyObservation] = [frame(t_s, face()) for t_s in span(0.0, until_s)]
    seen += [read(t_s, *found) for t_s, found in looks]
    return Folded(sorted(seen, key=lambda one: one.t_s), (POLICIES / f"{policy_name}.toml").read_text("utf-8"))


def kinds(folded: Folded) -> set[str]:
    return {one.kind for one in (*folded.state.timeline, *folded.state.open.values())}


def test_a_passport_has_readable_text(reader: TextReaderBackend, media: Path) -> None:
    passport = scaled(picture(media / "photos" / "id_specimen_passport.jpg"))
    found = look(reader, passport, keep_text=True)
    assert len(found) >= 8
    assert {"UTOPIA", "Passeport"} <= {region.text for region in found}
    (utopia,) = [region for region in found if region.text == "UTOPIA"]
    assert (utopia.x + utopia.width / 2, utopia.y + utopia.height / 2) == pytest.approx((0.42, 0.1), abs=0.02)
    assert utopia.characters == 6
    redacted = look(reader, passport)
    assert [region.text for region in redacted] == [""] * len(found)
    assert [region.characters for region in redacted] == [region.characters for region in found]


@pytest.mark.parametrize("policy_name", ["standard", "full", "eu-recruitment"])
def test_a_passport_held_still_is_text_in_view(reader: TextReaderBackend, media: Path, policy_name: str) -> None:
    found = look(reader, scaled(picture(media / "photos" / "id_specimen_passport.jpg")))
    folded = fold(45.0, [(t_s, found) for t_s in (1.8, 11.8, 21.8, 31.8, 41.8)], policy_name)
    assert kinds(folded) == {RULE}


@pytest.mark.parametrize("clip", CLIPS_WITHOUT_TEXT)
def test_a_talking_head_has_no_text(reader: TextReaderBackend, media: Path, clip: str) -> None:
    """Searched five times as often as any policy does."""
    clip_frames = frames(media / "video" / clip, fps=0.5)
    looks = [(one.t_s, look(reader, picture_of(one.jpeg, 1_000_000, 4_000_000))) for one in clip_frames]
    assert len(looks) >= 2
    assert not any(found for _, found in looks)
    assert kinds(fold(looks[-1][0] + 1.0, looks)) == set()


def test_a_name_on_the_screen_is_read_where_it_is(reader: TextReaderBackend, media: Path) -> None:
    """The clip ends with the title of the film it is from."""
    last = list(frames(media / "video" / "face_then_no_face.mov", 1))[-1]
    (title,) = look(reader, picture_of(last.jpeg, 1_000_000, 4_000_000), keep_text=True)
    assert title.text == "Caminandes"
    assert 0.0 < title.x < title.x + title.width < 1.0

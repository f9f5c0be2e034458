"""The demo candidate before the real face models: each act looks like what it says, and the fold says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from aggregator.risk import fold, state
from aggregator.risk.view import view
from deploy.demo.compare import compare
from deploy.demo.scene import HEIGHT_PX, WIDTH_PX, Scene
from deploy.demo.script import SHOW
from inference.vision.analysis import Analyst, Seen
from proto import policy as policies
from proto.observations import FrameSeen, SessionCreated, SourceUp
from tests.conftest import REPOSITORY
from tests.support.vision import analyst_of

FPS = 5


@pytest.fixture(scope="module")
def analyst(built_dir: Path) -> Iterator[Analyst]:
    models = analyst_of(built_dir, min_face_confidence=0.5)
    missing = models.load()
    assert [missing[feature] for feature in ("face", "person", "hands")] == [None] * 3
    yield models
    models.close()


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(SHOW)


@pytest.fixture(scope="module")
def look(analyst: Analyst, scene: Scene):
    """What the models see at a second of the show, through a JPEG as on the bus."""

    def look(t_s: float) -> Seen:
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(scene.picture(t_s)), quality=80, colorspace="BGR")
        return analyst.look([simplejpeg.decode_jpeg(jpeg)])[0]

    return look


def during(doing: str) -> list[float]:
    """Seconds of the show at which this is under way and nothing is changing."""
    return [t for act in SHOW.acts if act.doing == doing for t in np.arange(act.start_s + 1.0, act.end_s, 0.5)]


def test_a_picture_has_the_size_of_a_camera_s(scene):
    assert scene.picture(0.0).shape == (HEIGHT_PX, WIDTH_PX, 3)


def test_one_frontal_face_while_the_candidate_faces_the_camera(look):
    seen = [look(t_s) for t_s in during("faces_camera")]
    assert [len(each.faces) for each in seen] == [1] * len(seen)
    assert all(abs(each.faces[0].yaw_deg) < 8 for each in seen)
    assert not any(each.quality.problems for each in seen)


def test_the_head_really_turns(look):
    yaws = [face.yaw_deg for t_s in during("turns_away") for face in look(t_s).faces[:1]]
    assert len(yaws) >= 9
    assert np.median(yaws) > 33


def test_nobody_is_there_when_the_candidate_has_left(look):
    seen = [look(t_s) for t_s in during("leaves")]
    assert not any(each.faces for each in seen)
    assert not any(each.person_present for each in seen)


def test_two_faces_with_company(look):
    assert {len(look(t_s).faces) for t_s in during("has_company")} == {2}


def test_in_the_dark_the_picture_is_called_dark(look):
    assert all("dark" in look(t_s).quality.problems for t_s in during("sits_in_the_dark"))


def test_the_candidate_blinks(look):
    opennesses = [look(t_s).faces[0].left_eye_openness for t_s in np.arange(3.5, 4.2, 0.04)]
    assert min(opennesses) < 0.65 * max(opennesses)


def test_the_mouth_moves_with_the_voice(analyst, scene):
    shut, wide = (
        analyst.look([np.ascontiguousarray(scene.picture(2.0, speaking)[..., ::-1])])[0].faces[0].mouth_opening
        for speaking in (0.0, 1.0)
    )
    assert wide > shut * 1.2


def test_the_fold_finds_the_whole_script_and_nothing_else(look):
    text = (REPOSITORY / "deploy" / "policies" / "standard.toml").read_text()
    policy = policies.parse(text)
    created = SessionCreated(
        session="show", source="api", seq=0, t_s=0.0, created_unix_s=0.0, policy_name="standard", policy_toml=text,
        token_sha256="",
    )  # fmt: skip
    current = state.initial(created, policy, policies.digest(text), 1)
    up = SourceUp(session="show", source="peer", seq=0, t_s=0.0, node="n", video=True, audio=True)
    current, _ = fold.apply(current, up, policy, 2, 0.0)
    for index in range(int(SHOW.duration_s * FPS)):
        t_s = index / FPS
        seen = look(t_s)
        observation = FrameSeen(
            session="show", source="peer", seq=index, t_s=t_s, faces=seen.faces, quality=seen.quality,
            person_present=seen.person_present,
        )  # fmt: skip
        current, _ = fold.apply(current, observation, policy, 3 + index, t_s)
    shown = view(current)
    result = compare(SHOW, shown.ledger, shown.timeline, offset_s=0.0)
    assert [finding.act.expect for finding in result.findings if finding.missed] == []
    assert result.unexpected == ()
    assert all(finding.delay_s < 6.0 for finding in result.findings if finding.delay_s is not None)

"""What the accuracy table says of the test material: the bounds that must hold, by the table's own functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aggregator.risk.view import measures as measures_of
from bench import accuracy, material, measures
from bench.accuracy import Bench
from bench.measures import Row, Watched
from bench.watched import Watcher
from inference.models.settings import ModelsSettings
from inference.signals import head_pose
from inference.vision.settings import VisionSettings
from proto import policy
from tests.conftest import TEST_DATA, missing
from tests.support.models import MANIFEST
from tests.support.observed import POLICIES
from tests.support.truths import aflw_rotation

STANDARD = (POLICIES / "standard.toml").read_text("utf-8")


@pytest.fixture(scope="module")
def bench(built_dir: Path) -> Bench:
    if not (TEST_DATA / "media").is_dir() or not (TEST_DATA / "models").is_dir():
        missing(f"the folder of test recordings and models ({TEST_DATA})")
    settings = VisionSettings(
        objects_model="yolox-nano", identity_model="mobilefacenet", expression_model="faceapi-expression"
    )
    models = ModelsSettings(dir=TEST_DATA / "models", built_dir=built_dir, manifest=MANIFEST)
    return Bench(TEST_DATA / "media", material.read(), STANDARD, settings, models, bars=False)


@pytest.fixture(scope="module")
def watcher(bench: Bench) -> Iterator[Watcher]:
    with bench.watcher() as watcher:
        yield watcher


@pytest.fixture(scope="module")
def clips(bench: Bench, watcher: Watcher) -> list[Watched]:
    """Every recording, looked at once for all tests."""
    return bench.clips(watcher)


def values(rows: list[Row]) -> dict[str, float | None]:
    return {f"{row.what}, {row.unit}" if row.unit == "cosine" else row.what: row.value for row in rows}


def clip(clips: list[Watched], name: str) -> Watched:
    (found,) = [watched for watched in clips if watched.clip.file.endswith(name)]
    return found


def test_everything_named_is_there_and_everything_has_its_model(bench: Bench, watcher: Watcher) -> None:
    assert bench.absent == ()
    assert watcher.missing == {}


def test_faces_are_found_where_they_are_and_nowhere_else(clips: list[Watched]) -> None:
    rows = measures.presence(clips)
    assert {row.value for row in rows} == {100.0}
    assert all(row.n > 300 for row in rows)


def test_every_stretch_of_gaze_is_right(clips: list[Watched]) -> None:
    (row,) = measures.gaze(clips)
    assert (row.value, row.n) == (100.0, 4)


def test_heads_are_within_six_degrees(bench: Bench, watcher: Watcher) -> None:
    rows = bench.heads(watcher)
    assert {row.n for row in rows} == {8, 6}
    assert {row.note for row in rows} == {""}
    assert all(row.value is not None and row.value < 6.5 for row in rows)


def test_the_truth_about_heads_is_that_of_the_data_set(bench: Bench) -> None:
    for head in material.read().heads:
        truth = head_pose.angles(aflw_rotation((TEST_DATA / "media" / head.file).with_suffix(".mat")))
        np.testing.assert_allclose((head.yaw_deg, head.pitch_deg, head.roll_deg), truth, atol=0.01)


def test_what_happens_is_reported_in_time(clips: list[Watched]) -> None:
    found = values(measures.timing(clips, {}))
    assert len(found) == 5
    assert found.keys() == {f"{what}: reported after" for what in (
        "a phone", "a second person", "nobody there", "somebody leaves", "looking to the left"
    )}  # fmt: skip
    limits_s = {"a phone": 1.0, "a second person": 2.0, "nobody there": 3.0, "somebody leaves": 3.0}
    for what, limit_s in limits_s.items():
        delay = found[f"{what}: reported after"]
        assert delay is not None
        assert 0.0 <= delay <= limit_s, what
    assert found["looking to the left: reported after"] is not None


def test_there_is_one_alert_about_the_phone_and_nothing_false_anywhere(clips: list[Watched]) -> None:
    phone = clip(clips, "phone_from_2s_to_6s.mp4")
    assert [line.rule for line in phone.state.ledger if "PHONE" in line.rule] == ["PHONE_DETECTED"]
    all_clips, an_hour = measures.alerts(clips)
    assert (all_clips.value, all_clips.note) == (0.0, "")
    assert an_hour.value == 0.0
    assert an_hour.n == 3


def test_objects_were_looked_for_at_the_policys_rate_and_expressions_never(clips: list[Watched]) -> None:
    seen = clip(clips, "gaze_center.mp4").seen
    looked = sum(one.objects is not None for one in seen)
    assert looked == pytest.approx(len(seen) / 2, abs=1)
    assert all(face.expression is None for watched in clips for one in watched.seen for face in one.faces)


def test_where_a_policy_allows_emotion_it_is_looked_at_once_a_second_and_smoothed(bench: Bench) -> None:
    full = (POLICIES / "full.toml").read_text("utf-8")
    with Watcher(full, bench.settings, bench.models) as watcher:
        seen, state = watcher.session(
            material.frames(TEST_DATA / "media" / "video" / "single_face.mp4", policy.parse(full).analysis)
        )
    told = [face.expression for one in seen for face in one.faces if face.expression is not None]
    assert len(told) == 2
    assert all(sum(expression.values()) == 100.0 for expression in told)
    assert max(told[-1], key=lambda name: told[-1][name]) == "HAPPY"
    shown = measures_of(state)
    assert shown.expression is not None
    assert sum(shown.expression.values()) == pytest.approx(100.0, abs=0.5)
    assert shown.expression_model == "faceapi-expression"


def test_the_held_phone_on_a_photo_is_found(bench: Bench, watcher: Watcher) -> None:
    (row,) = bench.objects(watcher)
    assert (row.value, row.n) == (100.0, 1)


def test_people_are_told_apart_with_room_to_spare(bench: Bench, watcher: Watcher) -> None:
    found = values(bench.identity(watcher))
    assert found["told apart at 80 %"] == 100.0
    least, most = found["one person, least alike, cosine"], found["two people, most alike, cosine"]
    assert least is not None
    assert most is not None
    assert least > 0.5 > 0.2 > most


def test_expressions_with_a_model_and_without(bench: Bench, watcher: Watcher) -> None:
    (with_model,) = bench.expression(watcher)
    (geometry,) = bench.estimate()
    assert with_model.n == geometry.n == 7
    assert with_model.value is not None
    assert with_model.value >= 100 * 6 / 7 - 0.1
    assert geometry.value is not None
    assert geometry.value >= 100 * 4 / 7 - 0.1
    assert watcher.models["expression"] == "faceapi-expression"


def test_a_covered_face_abstains_and_a_good_one_does_not(clips: list[Watched]) -> None:
    rows = measures.could_not_tell([clip(clips, "hands_over_face_20s.mp4")])
    assert all(row.value is not None and row.value > 10.0 for row in rows)
    assert any("occluded" in row.note for row in rows)
    good = values(measures.could_not_tell([clip(clips, "gaze_center.mp4")]))
    assert set(good.values()) == {0.0}


def test_a_missing_model_and_a_missing_file_are_said(bench: Bench, tmp_path: Path, built_dir: Path) -> None:
    media = TEST_DATA / "media"
    for folder in ("photos", "expressions", "headpose"):
        (tmp_path / folder).symlink_to(media / folder)
    models = ModelsSettings(dir=tmp_path / "none", built_dir=built_dir)
    short = Bench(tmp_path, material.read(), STANDARD, VisionSettings(), models, bars=False)
    report = short.run()
    assert "video/gaze_center.mp4" in report.absent
    assert set(report.missing) == {"objects", "identity", "expression"}
    assert "candor models pull" in report.missing["objects"]
    said = {row.what: accuracy.figure(row) for row in report.rows}
    assert said["presence, recall"] == said["people told apart"] == said["expression, model"] == "not measured"
    assert said["expression, geometry"] != "not measured"
    with short.watcher() as without:
        happy = material.still(media / "expressions" / "happy.jpg", policy.parse(STANDARD).analysis, ("expression",))
        assert without.still(happy).models["expression"] == "geometry"
    lines = accuracy.models_of(report)
    assert any(line.startswith("face: face-mesh") and line.endswith("on CPUExecutionProvider") for line in lines)
    assert any(line.startswith("identity: ") and "candor models pull sface" in line for line in lines)
    assert accuracy.table(report).row_count == len(report.rows)

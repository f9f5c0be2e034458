"""The figures of the accuracy table as arithmetic: each can be bad, and says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import accuracy, cli, material, measures
from bench.material import Clip, Expected, Head
from bench.measures import Pair, Row, Watched
from proto.errors import BadInput
from proto.observations import Face, FrameSeen
from tests.support.observed import STANDARD, Folded, calm, face, frame, span, thing

LEFT = {"gaze_yaw_deg": -20.0, "eye_yaw_deg": -21.0}


def watched(clip: Clip, seen: list[FrameSeen]) -> Watched:
    return Watched(clip, seen, Folded(seen).state)


def value(rows: list[Row], what: str) -> float | None:
    (row,) = [row for row in rows if row.what == what]
    return row.value


def clip(**known: object) -> Clip:
    return Clip(file="a.mp4", **known)  # type: ignore[arg-type]


def expected(rule: str, from_s: float, to_s: float) -> Expected:
    return Expected(what="it", rules=(rule,), from_s=from_s, to_s=to_s)


def test_presence_counts_faces_that_are_not_there_and_those_that_are_missed() -> None:
    seen = [frame(0.0, face()), frame(0.2), frame(0.4, face(), face()), frame(1.0, face()), frame(9.0)]
    known = clip(faces=((0.0, 0.9, 1), (1.0, 2.0, 0)))
    rows = measures.presence([watched(known, seen)])
    assert value(rows, "presence, precision") == pytest.approx(100 * 2 / 3)
    assert value(rows, "presence, recall") == pytest.approx(100 * 2 / 3)
    assert value(rows, "number of faces right") == pytest.approx(100 * 1 / 4)


def test_without_material_nothing_is_measured_and_that_is_said() -> None:
    rows = [*measures.presence([]), *measures.gaze([]), *measures.head_pose([]), *measures.alerts([])]
    rows += [*measures.identity([], 80.0, []), *measures.expression("model", []), *measures.objects([])]
    assert {row.value for row in rows} == {None}
    assert {accuracy.figure(row) for row in rows} == {"not measured"}
    assert all(row.note for row in rows)


def gazed(side: str) -> list[FrameSeen]:
    return calm(0, 5) + [frame(t_s, face(**(LEFT if side == "left" else {}))) for t_s in span(5, 10)] + calm(10, 15)


@pytest.mark.parametrize(
    ("did", "truth", "right"),
    [("left", "left", 3), ("left", "right", 2), ("left", "centre", 2), ("centre", "left", 2), ("centre", "centre", 3)],
)
def test_gaze_is_right_if_it_was_reported_and_to_the_right_side(did: str, truth: str, right: int) -> None:
    known = clip(gaze=((0.0, 5.0, "centre"), (5.0, 10.0, truth), (10.0, 15.0, "centre")))
    rows = measures.gaze([watched(known, gazed(did))])
    assert rows[0].value == pytest.approx(100 * right / 3)
    assert rows[0].n == 3


def test_head_pose_is_the_mean_error_and_names_what_was_not_found() -> None:
    def head(yaw_deg: float) -> Head:
        return Head(file="h.jpg", yaw_deg=yaw_deg, pitch_deg=0.0, roll_deg=0.0)

    def found(yaw_deg: float) -> list[Face]:
        return [face(yaw_deg=yaw_deg, pitch_deg=4.0, roll_deg=-1.0)]

    rows = measures.head_pose([(head(10.0), found(12.0)), (head(-70.0), found(-60.0)), (head(0.0), [])])
    assert value(rows, "head yaw, mean absolute error") == pytest.approx(6.0)
    assert value(rows, "head yaw, mean absolute error, short of profile") == pytest.approx(2.0)
    assert value(rows, "head pitch, mean absolute error") == pytest.approx(4.0)
    assert {row.note for row in rows} == {"1 heads not found"}


def phone_seen(from_s: float, to_s: float, until_s: float = 12.0) -> list[FrameSeen]:
    return [
        frame(t_s, face(), objects=(thing("cell phone"),) if from_s <= t_s < to_s else ()) for t_s in span(0.0, until_s)
    ]


def test_timing_is_from_what_began_to_what_was_reported() -> None:
    known = clip(expect=(expected("PHONE_DETECTED", 2.0, 6.0),))
    (row,) = measures.timing([watched(known, phone_seen(2.0, 6.0))], {})
    assert row.value is not None
    assert 0.0 < row.value <= 1.0
    assert row.of == ("objects",)


def test_what_was_never_reported_is_a_miss_and_what_has_no_model_is_not() -> None:
    known = clip(expect=(expected("PHONE_DETECTED", 2.0, 6.0),))
    (missed,) = measures.timing([watched(known, calm(0, 8))], {})
    assert (missed.value, missed.n, accuracy.figure(missed)) == (None, 1, "never")
    assert missed.note.startswith("MISSED")
    (without,) = measures.timing([watched(known, calm(0, 8))], {"objects": "no model"})
    assert (accuracy.figure(without), without.note) == ("not measured", "no model")


@pytest.mark.parametrize(
    ("rule", "to_s", "told"),
    [("NO_FACE", 3.0, "the policy waits 2 s, it lasts 1.0 s"), ("STRESS_HIGH", 9.0, "the policy has the rule off")],
)
def test_what_the_policy_cannot_report_is_not_held_against_the_models(rule: str, to_s: float, told: str) -> None:
    known = clip(expect=(expected(rule, 2.0, to_s),))
    policy_toml = STANDARD.replace("[rules.STRESS_HIGH]", "[rules.STRESS_HIGH]\nenabled = false")
    (row,) = measures.timing([Watched(known, calm(0, 8), Folded(calm(0, 8), policy_toml).state)], {})
    assert (accuracy.figure(row), row.note) == ("not measured", told)


def test_an_alert_is_false_before_after_and_beside_what_is_there() -> None:
    seen = phone_seen(2.0, 6.0)
    assert measures.false_alerts(watched(clip(expect=(expected("PHONE_DETECTED", 2.0, 6.0),)), seen)) == []
    for known in (
        clip(),
        clip(expect=(expected("PHONE_DETECTED", 4.0, 6.0),)),
        clip(expect=(expected("NO_FACE", 2.0, 6.0),)),
    ):
        assert measures.false_alerts(watched(known, seen)) == ["PHONE_DETECTED"]
    assert measures.false_alerts(watched(clip(may=("PHONE_DETECTED",)), seen)) == []


def test_a_second_alert_about_one_thing_is_false() -> None:
    """After the cool-down, while the truth says that there was one phone all the time."""
    seen = phone_seen(2.0, 6.0, 40.0) + [frame(t_s, face(), objects=(thing("cell phone"),)) for t_s in span(40.0, 42.0)]
    assert Folded(seen).rules == ["PHONE_DETECTED"] * 2
    known = clip(expect=(expected("PHONE_DETECTED", 2.0, 42.0),))
    assert measures.false_alerts(watched(known, seen)) == ["PHONE_DETECTED"]


def test_false_alerts_an_hour_come_with_the_hours_and_what_fits_with_none() -> None:
    quiet = watched(clip(clean=True), calm(0, 20))
    loud = watched(clip(clean=True), phone_seen(2.0, 6.0))
    rows = measures.alerts([quiet])
    assert value(rows, "false alerts an hour, clean clips") == 0.0
    assert "20 s watched" in rows[1].note
    assert f"up to {3 * 3600 / quiet.duration_s:.0f} an hour" in rows[1].note
    rows = measures.alerts([quiet, loud])
    hours = (quiet.duration_s + loud.duration_s) / 3600
    assert value(rows, "false alerts an hour, clean clips") == pytest.approx(1 / hours)
    assert value(rows, "false alerts, all clips") == 1.0
    assert rows[0].note == "PHONE_DETECTED in a.mp4"


def test_could_not_tell_names_the_reasons() -> None:
    seen = [frame(0.0, face(abstains={"gaze": "small"})), frame(0.2, face(abstains={"gaze": "turned"})), frame(0.4)]
    seen += calm(0.6, 1.0)
    rows = measures.could_not_tell([watched(clip(), seen)])
    (row,) = [row for row in rows if row.what == "could not tell: gaze"]
    assert (row.value, row.n, row.note) == (50.0, 4, "small 1, turned 1")
    assert value(rows, "could not tell: pose") == 0.0


def test_identity_shows_the_worst_of_each_kind() -> None:
    pairs = [Pair(True, 0.8, 99.0), Pair(True, 0.3, 78.0), Pair(False, 0.1, 30.0), Pair(False, 0.36, 81.0)]
    rows = measures.identity(pairs, 80.0, ["x.jpg (no_face)"])
    assert [(row.value, row.unit, row.n) for row in rows] == [
        (0.3, "cosine", 2), (78.0, "%", 2), (0.36, "cosine", 2), (81.0, "%", 2), (50.0, "%", 4),
    ]  # fmt: skip
    assert {row.note for row in rows} == {"unusable: x.jpg (no_face)"}


def test_expression_names_every_mistake_and_silence() -> None:
    said = [("HAPPY", {"HAPPY": 90.0, "CALM": 10.0}), ("SAD", {"CALM": 60.0, "SAD": 40.0}), ("FEAR", None)]
    (row,) = measures.expression("model", said)
    assert (row.value, row.n) == (pytest.approx(100 / 3), 3)
    assert row.note == "SAD read as CALM; could not tell: FEAR"


def test_objects_that_were_missed_are_named() -> None:
    (row,) = measures.objects([("a.jpg", True), ("b.jpg", False)])
    assert (row.value, row.note) == (50.0, "missed: b.jpg")


def test_the_packaged_truth_can_be_read_and_names_each_file_once() -> None:
    truth = material.read()
    assert len(truth.clips) == 9
    assert len(set(truth.files)) == len(truth.files)
    assert {clip.clean for clip in truth.clips} == {True, False}
    assert not any(clip.expect for clip in truth.clips if clip.clean)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[clips]]", "file"),
        ('[[clips]]\nfile = "a"\nfaces = [[2.0, 1.0, 1]]', "ends before it begins"),
        ('[[clips]]\nfile = "a"\nmay = ["PHONE"]', "PHONE, which is no rule"),
        ('[[clips]]\nfile = "a"\ngaze = [[0.0, 1.0, "away"]]', "away"),
        ('[[clips]]\nfile = "a"\nfases = []', "fases"),
        ('[[expressions]]\nfile = "a"\nshows = "JOY"', "shows JOY"),
        ('[[heads]]\nfile = "a"\nyaw_deg = 900.0\npitch_deg = 0.0\nroll_deg = 0.0', "180"),
        ("clips = 3", "clips"),
        ("[[", ""),
    ],
)
def test_a_truth_file_that_cannot_be_right_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "truth.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"truth\.toml") as error:
        material.read(path)
    assert told in str(error.value)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.toml: cannot be read"):
        material.read(tmp_path / "none.toml")
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (material.MAX_TRUTH_BYTES + 1))
    with pytest.raises(BadInput, match="larger than"):
        material.read(large)
    (tmp_path / "clip.mp4").write_bytes(b"not a film")
    with pytest.raises(BadInput, match="cannot be decoded"):
        list(material.frames(tmp_path / "clip.mp4", material.Analysis()))
    with pytest.raises(BadInput, match="is no picture"):
        material.still(tmp_path / "clip.mp4", material.Analysis())


def test_the_command_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--material: is needed"):
        cli.command(accuracy=True)
    with pytest.raises(BadInput, match="goes with --accuracy"):
        cli.command(truth=tmp_path)
    with pytest.raises(BadInput, match="is no folder"):
        cli.command(accuracy=True, folder=tmp_path / "none")


def test_without_accuracy_the_command_becomes_the_speed_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _path, words: became.append(words))
    with pytest.raises(BadInput):
        # The real execv does not return; this one does, and the command goes on to what it was not asked for.
        cli.command(seconds=5.0, only="stages", folder=None, json_file=Path("out.json"))
    assert became == [[sys.executable, "-m", "bench", "--seconds", "5.0", "--only", "stages", "--json", "out.json"]]

"""The manifest of models: ours pins and licenses everything, an operator's is read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.models import convert, labels, reading
from inference.models.cli import EPILOG
from inference.models.manifest import Card
from proto.errors import BadSettings, NotFound
from tests.support.models import MANIFEST

PERMISSIVE = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause"}
SUM = "a" * 64
GOOD = f"""
[models.own]
task = "objects"
feature = "objects"
licence = "MIT"
labels = ["cell phone", "book"]

[[models.own.files]]
path = "own.onnx"
url = "https://example.org/own.onnx"
sha256 = "{SUM}"
size_bytes = 1000

[models.own.layout]
width_px = 640
height_px = 480
mean = [0, 0, 0.5]
decode = "yolo_v8"
"""
FACES = """
[models.faces]
task = "identity"
feature = "identity"
licence = "MIT"
files = [{ path = "/srv/faces.onnx" }]
layout = { width_px = 112, height_px = 112 }
similarity = [[-1, 0], [0.3, 80], [1, 100]]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def ours() -> dict[str, Card]:
    return reading.read(reading.OURS)


def test_ours_names_only_weights_under_permissive_licences(ours: dict[str, Card]) -> None:
    assert {name: card.licence for name, card in ours.items() if card.licence not in PERMISSIVE} == {}


def test_ours_pins_all_that_is_fetched(ours: dict[str, Card]) -> None:
    for name, card in ours.items():
        if card.hub:
            assert card.size_bytes > 1_000_000, name
            assert set(card.hub.sha256) == {"model.bin"}, name
            assert set(card.hub.needed) <= {pattern for pattern in card.hub.files if "*" not in pattern}, name
        elif card.files and not card.package:
            for file in card.files:
                assert file.url.startswith("https://"), name
                # An address that names a release or a commit, never a branch.
                assert not {"main", "master", "latest"} & set(file.url.split("/")), name
                assert len(file.sha256) == 64, name
                assert "/" not in file.path, name


def test_ours_has_a_row_for_each_task_and_each_model_that_is_converted(ours: dict[str, Card]) -> None:
    assert {name for name, card in ours.items() if card.embedded} == set(convert.NAMES)
    assert {"objects", "identity", "expression", "speech to text", "text"} <= {card.task for card in ours.values()}


def test_the_tests_own_weights_are_not_the_products(ours: dict[str, Card]) -> None:
    both = reading.load(MANIFEST).models
    assert set(both) - set(ours) == {"mobilefacenet", "faceapi-expression"}
    assert both["mobilefacenet"].licence not in PERMISSIVE


def test_an_operators_rows_are_added_and_take_the_place_of_ours(tmp_path: Path, ours: dict[str, Card]) -> None:
    models = reading.load(written(tmp_path, GOOD + FACES)).models
    assert set(models) == {*ours, "own", "faces"}
    layout = models["own"].layout
    assert layout is not None
    assert (layout.width_px, layout.height_px, layout.mean, layout.colours) == (640, 480, (0.0, 0.0, 0.5), "rgb")
    replaced = reading.load(written(tmp_path, GOOD.replace("models.own", "models.yolox-nano"))).models
    assert set(replaced) == set(ours)
    assert replaced["yolox-nano"].files[0].path == "own.onnx"


def test_the_example_of_the_help_is_right(tmp_path: Path) -> None:
    rows = [line.strip() for line in EPILOG.splitlines() if "=" in line or line.strip().startswith("[")]
    text = "\n".join(row for row in rows if not row.startswith("Then"))
    card = reading.load(written(tmp_path, text)).models["my-phones"]
    assert card.labels == ("cell phone", "book")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((GOOD, "models = 3"), "models.toml: models: must be a table"),
        ((GOOD, "[other]"), "models.toml: other: is not known"),
        ((GOOD, "[models.x"), "is not TOML"),
        (("models.own", 'models."Own Model"'), "models.Own Model: a name is"),
        (('task = "objects"', 'task = "phones"'), "models.own.task: Invalid enum value 'phones'"),
        (('licence = "MIT"', ""), "models.own: Object missing required field `licence`"),
        (('licence = "MIT"', 'licence = ""'), "models.own.licence: Expected `str` of length >= 1"),
        (('licence = "MIT"', 'license = "MIT"'), "models.own: Object contains unknown field `license`"),
        (("width_px = 640", "width_px = 8"), "models.own.layout.width_px: Expected `int` >= 16"),
        (("width_px = 640", 'width_px = "640"'), "models.own.layout.width_px: Expected `int`, got `str`"),
        (("mean = [0, 0, 0.5]", "mean = [0, 0]"), "models.own.layout.mean"),
        (("mean = [0, 0, 0.5]", "mean = [0, 0, nan]"), "models.own.layout.mean: must be finite"),
        (("mean = [0, 0, 0.5]", "std = [1, 0, 1]"), "models.own.layout.std: must not hold a 0"),
        (('decode = "yolo_v8"', ""), "models.own.layout.decode: says how"),
        (
            ('decode = "yolo_v8"', 'decode = "yolo"'),
            "models.own.layout.decode: Invalid enum value 'yolo'; it is one of yolox,",
        ),
        (('labels = ["cell phone", "book"]', ""), "models.own.labels: the classes"),
        (('labels = ["cell phone", "book"]', 'labels = "voc"'), "models.own.labels: no list is called 'voc'"),
        (('path = "own.onnx"', 'path = "../own.onnx"'), "models.own.files[0].path: must be a plain path"),
        (('path = "own.onnx"', 'path = "/own.onnx"'), "models.own.files[0].path: of a file that is fetched"),
        (('path = "own.onnx"', 'path = "~/own.onnx"'), "models.own.files[0].path: of a file that is fetched"),
        (("https://", "http://"), "models.own.files[0].url: must be an https address"),
        (("https://", "file://"), "models.own.files[0].url: must be an https address"),
        (("https://example.org", "https://"), "models.own.files[0].url: must be an https address"),
        ((f'sha256 = "{SUM}"', ""), "models.own.files[0].sha256: a file that is fetched needs its checksum"),
        ((f'sha256 = "{SUM}"', 'sha256 = "abc"'), "models.own.files[0].sha256"),
        (("size_bytes = 1000", ""), "models.own.files[0].size_bytes: a file that is fetched needs its size"),
        (("size_bytes = 1000", "size_bytes = -1"), "models.own.files[0].size_bytes: Expected `int` >= 0"),
        (('licence = "MIT"', 'licence = "MIT"\nembedded = true'), "models.own.files: a model comes from exactly one"),
        ((GOOD, FACES.replace("files = [{", "hub = [{")), "models.faces.hub"),
        ((GOOD, FACES.replace('files = [{ path = "/srv/faces.onnx" }]', "")), "models.faces.files: a model comes from"),
        ((GOOD, FACES.replace("layout =", "# ")), "models.faces.layout: a model for identity needs one"),
        (
            (GOOD, FACES.replace("similarity =", "# ")),
            "models.faces.similarity: must be given",
        ),
        ((GOOD, FACES.replace("[0.3, 80]", "[0.3, 120]")), "models.faces.similarity: cosines are from -1 to 1"),
        ((GOOD, FACES.replace("[0.3, 80]", "[-1, 80]")), "models.faces.similarity: does not rise at (-1, 80)"),
        ((GOOD, FACES.replace("[[-1, 0], [0.3, 80], [1, 100]]", "[[1, 100]]")), "models.faces.similarity: needs two"),
        (
            (GOOD, '[models.e]\ntask = "hands"\nfeature = "hands"\nlicence = "MIT"\nembedded = true'),
            "models.e.embedded: is only for the models that come along",
        ),
        (
            (GOOD, '[models.e]\ntask = "hands"\nfeature = "h"\nlicence = "MIT"\nembedded = true\nopen_batch = true'),
            "models.e.open_batch: is only for a model with a file of its own and a layout",
        ),
        (("labels =", 'open_batch = "yes"\nlabels ='), "models.own.open_batch: Expected `bool`"),
    ],
)
def test_what_is_wrong_is_told_with_row_and_field(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    assert change[0] in GOOD
    path = written(tmp_path, GOOD.replace(*change))
    with pytest.raises(BadSettings) as wrong:
        reading.load(path)
    assert told in str(wrong.value)
    assert str(path) in str(wrong.value)


def test_a_file_that_is_missing_or_too_large_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be read: No such file"):
        reading.load(tmp_path / "none.toml")
    with pytest.raises(BadSettings, match="is larger than 1048576 bytes"):
        reading.load(written(tmp_path, "#" * (reading.MAX_BYTES + 1)))
    rows = "".join(f"[models.m{i}]\n" for i in range(reading.MAX_MODELS + 1))
    with pytest.raises(BadSettings, match="more than 200"):
        reading.load(written(tmp_path, rows))


def test_loopback_may_be_plain_http(tmp_path: Path) -> None:
    for host in ("127.0.0.1:80", "localhost", "[::1]:8080"):
        plain = GOOD.replace("https://example.org", f"http://{host}")
        assert plain != GOOD
        (url,) = {
            file.url
            for card in reading.load(written(tmp_path, plain)).models.values()
            for file in card.files
            if host in file.url
        }
        assert url.startswith(f"http://{host}/")


def test_coco_has_its_classes_in_their_places() -> None:
    coco = labels.resolve("coco")
    assert len(set(coco)) == 80
    assert [coco[i] for i in (0, 62, 63, 64, 66, 67, 73)] == [
        "person",
        "tv",
        "laptop",
        "mouse",
        "keyboard",
        "cell phone",
        "book",
    ]
    assert labels.resolve(("a", "b")) == ("a", "b")
    with pytest.raises(NotFound, match="there are coco"):
        labels.resolve("voc")

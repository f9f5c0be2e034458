"""Detectors of every layout: what goes into the model, and what its numbers mean. The models are made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inference.backends.settings import OnnxSettings
from inference.backends.yolo import Objects, YoloBackend
from inference.models.manifest import Layout
from proto.errors import FeatureMissing
from tests.support.detectors import LABELS, fixed_answer, local

SIDE_PX = 64
WHITE = np.full((SIDE_PX, SIDE_PX, 3), 255, dtype=np.uint8)
BLACK = np.zeros_like(WHITE)
PHONE = LABELS.index("cell phone")
BOOK = LABELS.index("book")


def layout(decode: str, **changes: Any) -> Layout:
    return Layout(**({"width_px": SIDE_PX, "height_px": SIDE_PX, "scale": 1 / 255, "decode": decode} | changes))


def backend(path: Path, answer: npt.ArrayLike, one: Layout, *, batch: int | None = None, **options: Any) -> YoloBackend:
    made = YoloBackend(local(fixed_answer(path / "made.onnx", answer, SIDE_PX, batch), one), OnnxSettings(), **options)
    made.load()
    return made


def rows(*things: tuple[float, float, float, float, float, int]) -> Objects:
    """Left, top, right, bottom, score, class."""
    return np.array(things, dtype=np.float32).reshape(-1, 6)


def one_hot(index: int, score: float = 1.0) -> list[float]:
    return [score if index == label else 0.0 for label in range(len(LABELS))]


def v5(*things: tuple[float, float, float, float, float, int]) -> npt.NDArray[np.float32]:
    """Rows of YOLOv5 for centre x, y, width, height, objectness, class."""
    return np.array([[*thing[:5], *one_hot(int(thing[5]))] for thing in things], dtype=np.float32)


CELLS = (SIDE_PX // 8) ** 2 + (SIDE_PX // 16) ** 2 + (SIDE_PX // 32) ** 2


def yolox(row: int, numbers: list[float]) -> npt.NDArray[np.float32]:
    answer = np.zeros((CELLS, 5 + len(LABELS)), dtype=np.float32)
    answer[row] = numbers
    return answer


def test_yolox_counts_from_its_cells(tmp_path: Path) -> None:
    """Row 64 + 6 is the cell in column 2, row 1 of the grid with 16 px cells; sizes are logarithms of cells."""
    answer = yolox(64 + 6, [0.5, 0.25, np.log(2.0), np.log(1.0), 0.9, *one_hot(PHONE, 0.8)])
    (found,) = backend(tmp_path, answer, layout("yolox")).run([WHITE])
    centre_x_px, centre_y_px = (2 + 0.5) * 16, (1 + 0.25) * 16
    expected = rows((centre_x_px - 16, centre_y_px - 8, centre_x_px + 16, centre_y_px + 8, 0.72, PHONE))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_yolo_v5_has_centres_objectness_and_classes(tmp_path: Path) -> None:
    answer = v5((20, 30, 10, 20, 0.9, BOOK), (40, 20, 8, 8, 0.1, PHONE))
    (found,) = backend(tmp_path, answer, layout("yolo_v5")).run([WHITE])
    np.testing.assert_allclose(found, rows((15, 20, 25, 40, 0.9, BOOK)), atol=1e-4)


def test_yolo_v8_is_transposed_and_has_no_objectness(tmp_path: Path) -> None:
    answer = np.array([[20, 30, 10, 20, *one_hot(BOOK, 0.9)], [40, 20, 8, 8, *one_hot(PHONE, 0.1)]]).T
    (found,) = backend(tmp_path, answer, layout("yolo_v8")).run([WHITE])
    np.testing.assert_allclose(found, rows((15, 20, 25, 40, 0.9, BOOK)), atol=1e-4)


def test_end_to_end_is_taken_as_it_is(tmp_path: Path) -> None:
    """Two boxes of one class on each other: suppression was the model's own business."""
    answer = [[10, 10, 30, 30, 0.9, PHONE], [11, 10, 30, 30, 0.8, PHONE], [0, 0, 5, 5, 0.01, BOOK]]
    (found,) = backend(tmp_path, answer, layout("yolo_end_to_end")).run([WHITE])
    np.testing.assert_allclose(found, rows((10, 10, 30, 30, 0.9, PHONE), (11, 10, 30, 30, 0.8, PHONE)), atol=1e-4)


def test_of_boxes_of_one_class_on_each_other_the_best_is_kept(tmp_path: Path) -> None:
    answer = v5((20, 20, 20, 20, 0.7, PHONE), (21, 20, 20, 20, 0.9, PHONE), (20, 21, 20, 20, 0.8, BOOK))
    (found,) = backend(tmp_path, answer, layout("yolo_v5")).run([WHITE])
    np.testing.assert_allclose(found[:, 4:], [[0.9, PHONE], [0.8, BOOK]], atol=1e-4)


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_a_batch_is_the_same_as_its_pictures_one_by_one(tmp_path: Path, batch: int | None) -> None:
    """The release of YOLOX takes one picture at a time; other exports take some number, or any."""
    detector = backend(tmp_path, v5((20, 30, 10, 20, 0.9, BOOK)), layout("yolo_v5"), batch=batch)
    pictures = [WHITE, BLACK, WHITE, WHITE, BLACK]
    assert [len(found) for found in detector.run(pictures)] == [1, 0, 1, 1, 0]
    assert detector.run([]) == []


def test_a_batch_is_no_larger_than_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fixed_answer(tmp_path / "made.onnx", v5((20, 30, 10, 20, 0.9, BOOK)), SIDE_PX)
    detector = YoloBackend(local(path, layout("yolo_v5")), OnnxSettings(max_batch=2))
    detector.load()
    sizes = [len(fed) for fed in feeds(detector, monkeypatch, [WHITE] * 5)]
    assert sizes == [2, 2, 1]


def feeds(
    detector: YoloBackend, monkeypatch: pytest.MonkeyPatch, batch: list[npt.NDArray[np.uint8]]
) -> list[npt.NDArray[np.float32]]:
    """What the model is fed for a batch."""
    fed: list[npt.NDArray[np.float32]] = []
    run = detector._onnx.run

    def noted(inputs: dict[str, Any]) -> list[Any]:
        fed.extend(inputs.values())
        return run(inputs)

    monkeypatch.setattr(detector._onnx, "run", noted)
    detector.run(batch)
    return fed


def test_letterbox_colours_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide picture, twice too large, in a square input: its upper half or its middle, the rest is grey."""
    wide = np.zeros((SIDE_PX, 2 * SIDE_PX, 3), dtype=np.uint8)
    wide[:] = (10, 20, 30)
    half = SIDE_PX // 2
    for fit, begin in (("letterbox_top_left", 0), ("letterbox", half // 2)):
        one = layout("yolo_v5", scale=1.0, colours="bgr", fit=fit, pad=114)
        (fed,) = feeds(backend(tmp_path, v5((8, 8, 4, 4, 0.0, 0)), one), monkeypatch, [wide])
        assert fed.shape == (1, 3, SIDE_PX, SIDE_PX)
        assert [set(fed[0, channel, begin : begin + half].ravel()) for channel in range(3)] == [{30}, {20}, {10}]
        assert set(np.delete(fed[0], np.s_[begin : begin + half], axis=1).ravel()) == {114}


def test_numbers_go_in_as_the_layout_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = layout("yolo_v5", scale=1 / 255, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    grey = np.full((SIDE_PX, SIDE_PX, 3), 51, dtype=np.uint8)
    (fed,) = feeds(backend(tmp_path, v5((8, 8, 4, 4, 0.0, 0)), one), monkeypatch, [grey])
    np.testing.assert_allclose(fed[0, :, 3, 3], [-0.6, -0.05, 0.1], atol=1e-6)


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "letterbox_top_left"])
@pytest.mark.parametrize("shape", [(32, 128, 3), (128, 32, 3), (100, 77, 3)])
def test_boxes_come_back_to_the_picture(tmp_path: Path, fit: str, shape: tuple[int, int, int]) -> None:
    """A box around all of the input is one around all of the picture, whatever was added around that."""
    answer = [[0, 0, SIDE_PX, SIDE_PX, 0.9, PHONE]]
    one = layout("yolo_end_to_end", fit=fit, pad=255)
    (found,) = backend(tmp_path, answer, one).run([np.full(shape, 255, dtype=np.uint8)])
    np.testing.assert_allclose(found, rows((0, 0, shape[1], shape[0], 0.9, PHONE)), atol=1e-3)


def test_a_point_of_the_input_is_where_it_was_in_the_picture(tmp_path: Path) -> None:
    """A picture of 128 x 32: half its size, and 24 px of border above where it is centred."""
    picture = np.full((32, 128, 3), 255, dtype=np.uint8)
    for fit, top_px in (("letterbox_top_left", 0), ("letterbox", 24)):
        answer = [[10, top_px + 4, 30, top_px + 12, 0.9, PHONE]]
        (found,) = backend(tmp_path, answer, layout("yolo_end_to_end", fit=fit, pad=255)).run([picture])
        np.testing.assert_allclose(found[0, :4], [20, 8, 60, 24], atol=1e-3)


def test_what_is_no_box_is_left_out(tmp_path: Path) -> None:
    nan, inf = np.nan, np.inf
    answer = [
        [nan, 0, 9, 9, 0.9, PHONE],
        [0, 0, inf, 9, 0.9, PHONE],
        [9, 9, 9, 12, 0.9, PHONE],
        [0, 0, 9, 9, nan, PHONE],
        [0, 0, 9, 9, 7.5, PHONE],
        [0, 0, 9, 9, 0.9, 99],
        [0, 0, 9, 9, 0.9, nan],
        [0, 0, 9, 9, 0.9, -1],
        [1, 2, 9, 9, 0.8, BOOK],
    ]
    (found,) = backend(tmp_path, answer, layout("yolo_end_to_end")).run([WHITE])
    np.testing.assert_allclose(found, rows((1, 2, 9, 9, 0.8, BOOK)), atol=1e-4)


def test_a_picture_full_of_things_has_the_best_of_them(tmp_path: Path) -> None:
    scores = np.linspace(0.61, 0.99, 900)
    answer = v5(*[(i % 30 * 2 + 1, i // 30 * 2 + 1, 1, 1, score, BOOK) for i, score in enumerate(scores)])
    (found,) = backend(tmp_path, answer, layout("yolo_v5"), max_objects=7).run([WHITE])
    np.testing.assert_allclose(found[:, 4], scores[::-1][:7], atol=1e-4)


def test_a_doubtful_find_needs_to_be_there_in_the_mirror_too(tmp_path: Path) -> None:
    """This model says the same of a mirrored picture: true of what is in the middle, and of nothing else."""
    answer = v5(
        (32, 32, 10, 10, 0.5, PHONE), (10, 10, 8, 8, 0.5, BOOK), (50, 10, 8, 8, 0.3, BOOK), (10, 50, 8, 8, 0.7, 1)
    )
    (found,) = backend(tmp_path, answer, layout("yolo_v5")).run([WHITE])
    np.testing.assert_allclose(found[:, 4:], [[0.7, PHONE], [0.5, PHONE], [0.4, BOOK], [0.4, BOOK]], atol=1e-4)


def test_another_thing_in_the_mirror_is_no_second_witness(tmp_path: Path) -> None:
    answer = v5((20, 20, 10, 10, 0.5, PHONE), (44, 20, 10, 10, 0.5, BOOK))
    (found,) = backend(tmp_path, answer, layout("yolo_v5")).run([WHITE])
    np.testing.assert_allclose(found[:, 4], [0.25, 0.25], atol=1e-4)


def test_who_stands_in_the_background_is_worth_no_second_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person, phone = ([(10, 10, 8, 8, 0.5, label)] for label in (LABELS.index("person"), PHONE))
    assert len(feeds(backend(tmp_path, v5(*person), layout("yolo_v5")), monkeypatch, [WHITE])) == 1
    assert len(feeds(backend(tmp_path, v5(*phone), layout("yolo_v5")), monkeypatch, [WHITE, BLACK])) == 2


@pytest.mark.parametrize(
    ("decode", "answer"),
    [
        ("yolox", np.zeros((CELLS, 5 + 80))),
        ("yolox", np.zeros((100, 5 + len(LABELS)))),
        ("yolo_v5", np.zeros((4 + len(LABELS), 100))),
        ("yolo_v8", np.zeros((100, 4 + len(LABELS)))),
        ("yolo_end_to_end", np.zeros((100, 7))),
        ("yolo_v5", np.zeros((2, 100, 5 + len(LABELS)))),
    ],
)
def test_a_layout_that_does_not_fit_says_so(tmp_path: Path, decode: str, answer: npt.NDArray[np.float32]) -> None:
    with pytest.raises(FeatureMissing, match="layout in the manifest does not fit"):
        backend(tmp_path, answer, layout(decode))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fit": "square_crop"}, "layout.fit is square_crop"),
        ({"decode": ""}, "no layout.decode"),
        ({"input": "picture"}, "no 'picture'"),
        ({"width_px": 2 * SIDE_PX}, f"does not take pictures of {2 * SIDE_PX}x{SIDE_PX}"),
    ],
)
def test_a_card_without_a_usable_layout_says_so(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    one = layout(**({"decode": "yolo_v5"} | changes))
    with pytest.raises(FeatureMissing, match=why):
        backend(tmp_path, v5((8, 8, 4, 4, 0.0, 0)), one)


def test_a_file_that_is_no_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(FeatureMissing, match="does not load"):
        YoloBackend(local(tmp_path / "broken.onnx", layout("yolo_v5")), OnnxSettings()).load()

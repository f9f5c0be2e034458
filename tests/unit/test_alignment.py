"""Five points of a face onto the template: as arithmetic, and beside OpenCV's own alignment."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper

from inference.signals import alignment
from inference.signals.alignment import TEMPLATE_PX, aligned_by, five_points, similarity_transform
from inference.signals.landmarks import LEFT_EYE, MOUTH_LEFT, MOUTH_RIGHT, RIGHT_EYE


def moved(points: np.ndarray, angle_deg: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ (scale * turn).T + shift


@pytest.mark.parametrize(
    ("angle_deg", "scale", "shift"), [(0, 1, (0, 0)), (30, 2.5, (40, -7)), (-170, 0.3, (900, 500))]
)
def test_any_turn_size_and_place_is_undone(angle_deg: float, scale: float, shift: tuple[float, float]) -> None:
    points = moved(TEMPLATE_PX, angle_deg, scale, shift)
    transform = similarity_transform(points, TEMPLATE_PX)
    assert np.allclose(points @ transform[:, :2].T + transform[:, 2], TEMPLATE_PX, atol=1e-9)


def test_it_is_a_similarity_even_where_none_fits() -> None:
    points = moved(TEMPLATE_PX, 12, 3, (5, 5)) + np.random.default_rng(1).normal(0, 4, (5, 2))
    linear = similarity_transform(points, TEMPLATE_PX)[:, :2]
    scale = np.sqrt(np.linalg.det(linear))
    assert np.allclose(linear @ linear.T, np.eye(2) * scale**2, atol=1e-9)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    mirrored = TEMPLATE_PX * (-1, 1)
    assert np.linalg.det(similarity_transform(mirrored, TEMPLATE_PX)[:, :2]) > 0


def test_no_better_transform_is_found_by_looking_for_one() -> None:
    rng = np.random.default_rng(2)
    points = moved(TEMPLATE_PX, -20, 1.7, (60, 20)) + rng.normal(0, 5, (5, 2))
    ours = similarity_transform(points, TEMPLATE_PX)

    def error(transform: np.ndarray) -> float:
        return float(((points @ transform[:, :2].T + transform[:, 2] - TEMPLATE_PX) ** 2).sum())

    a, b, (x, y) = ours[0, 0], ours[1, 0], ours[:, 2]
    for _ in range(300):
        da, db, dx, dy = rng.normal(0, (0.01, 0.01, 0.5, 0.5))
        other = np.array([[a + da, -b - db, x + dx], [b + db, a + da, y + dy]])
        assert error(other) >= error(ours)


def test_points_that_fall_together_are_no_face() -> None:
    with pytest.raises(ValueError, match="fall together"):
        similarity_transform(np.ones((5, 2)), TEMPLATE_PX)
    with pytest.raises(ValueError, match="fall together"):
        similarity_transform(np.full((5, 2), np.nan), TEMPLATE_PX)


def test_five_points_are_of_the_named_places() -> None:
    mesh = np.zeros((478, 3))
    mesh[LEFT_EYE.left], mesh[LEFT_EYE.right] = (10, 20, 1), (14, 22, 1)
    mesh[RIGHT_EYE.left], mesh[RIGHT_EYE.right] = (30, 20, 1), (36, 20, 1)
    mesh[alignment.NOSE_TIP], mesh[MOUTH_LEFT], mesh[MOUTH_RIGHT] = (23, 30, -5), (15, 40, 0), (31, 41, 0)
    # Where the irises look changes nothing.
    mesh[LEFT_EYE.iris], mesh[RIGHT_EYE.iris] = (13, 21, 0), (35, 20, 0)
    assert five_points(mesh).tolist() == [[12, 21], [33, 20], [23, 30], [15, 40], [31, 41]]


def picture_with_dots(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    radius = max(2, round(float(np.ptp(points[:, 0])) / 18))
    for x, y in points:
        cv2.circle(image, (round(x), round(y)), radius, (255, 255, 255), -1)
    return image


@pytest.mark.parametrize("scale", [0.8, 1.6, 3.3, 9.0])
def test_the_face_lies_where_the_template_says(scale: float) -> None:
    points = moved(TEMPLATE_PX, 25, scale, (90 * scale, 10 * scale))
    aligned = aligned_by(picture_with_dots(points, (round(240 * scale), round(190 * scale))), points)
    assert aligned.shape == (112, 112, 3)
    for x, y in TEMPLATE_PX:
        left, top = round(x) - 6, round(y) - 6
        window = aligned[top : top + 13, left : left + 13, 0].astype(float)
        rows, columns = np.mgrid[: window.shape[0], : window.shape[1]]
        centre = ((columns * window).sum() / window.sum() + left, (rows * window).sum() / window.sum() + top)
        # A dot's own middle was rounded to whole pixels.
        assert np.hypot(centre[0] - x, centre[1] - y) < 0.75 / min(1.0, scale)


def test_a_large_face_is_averaged_not_sampled() -> None:
    # Stripes one pixel wide are grey from afar; a sample here and there would show black and white.
    image = np.zeros((1200, 1200, 3), dtype=np.uint8)
    image[:, ::2] = 255
    aligned = aligned_by(image, moved(TEMPLATE_PX, 0, 8, (150, 100)))
    assert float(aligned[20:90, 20:90].std()) < 20
    assert 110 < float(aligned[20:90, 20:90].mean()) < 145


def test_what_is_outside_the_picture_is_black() -> None:
    image = np.full((112, 60, 3), 200, dtype=np.uint8)
    aligned = aligned_by(image, TEMPLATE_PX)
    assert (aligned[:, 62:] == 0).all()
    assert (aligned[:, :58] == 200).all()


def test_it_is_what_opencv_does_for_the_same_model_family(tmp_path: Path) -> None:
    recognizer = cv2.FaceRecognizerSF.create(str(a_model(tmp_path / "through.onnx")), "")
    rng = np.random.default_rng(3)
    image = cv2.GaussianBlur(rng.integers(0, 255, (300, 300, 3), dtype=np.uint8), (0, 0), 2)
    for angle_deg in (0, 15, -40):
        points = moved(TEMPLATE_PX, angle_deg, 1.4, (70, 60)) + rng.normal(0, 2, (5, 2))
        row = np.concatenate([[0, 0, 300, 300], points.ravel(), [1]]).astype(np.float32)[None]
        theirs = recognizer.alignCrop(image, row)
        assert np.abs(aligned_by(image, points).astype(int) - theirs.astype(int)).max() <= 3


def a_model(path: Path) -> Path:
    """An ONNX file that gives back what it gets: OpenCV aligns only beside a model."""
    shape = [1, 3, 112, 112]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("data", "out")]
    graph = helper.make_graph([helper.make_node("Relu", ["data"], ["out"])], "through", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path

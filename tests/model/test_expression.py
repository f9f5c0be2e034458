"""Expressions of real faces, with a model and without. Seven pictures: enough to see a mistake, not to claim a rate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from inference.backends.expression import ExpressionBackend
from inference.backends.settings import OnnxSettings
from inference.models.store import LocalModel
from inference.signals import expressions, head_pose
from inference.signals.expressions import NAMES, OF_LABEL
from inference.signals.landmarks import Points, to_pixels
from inference.vision.faces import FaceFinder
from proto.errors import FeatureMissing
from tests.support.clips import Image, picture
from tests.support.embedded import face_finder
from tests.support.models import real_store


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return face_finder()


@pytest.fixture
def model(models_dir: Path, tmp_path: Path) -> LocalModel:
    return real_store(models_dir, tmp_path).find("faceapi-expression", "expression")


@pytest.fixture
def backend(model: LocalModel) -> Iterator[ExpressionBackend]:
    backend = ExpressionBackend(model, OnnxSettings())
    backend.load()
    yield backend
    backend.close()


def face_of(finder: FaceFinder, path: Path) -> tuple[Image, Points]:
    image = picture(path)
    return image, to_pixels(finder.find([image], [None])[0].meshes[0], image.shape[1], image.shape[0])


def faces_of(finder: FaceFinder, media: Path) -> dict[str, tuple[Image, Points]]:
    """By our name of the expression."""
    return {OF_LABEL[path.stem]: face_of(finder, path) for path in sorted((media / "expressions").glob("*.jpg"))}


def frontal(points_px: Points) -> Points:
    pose = head_pose.fit(points_px)
    assert pose is not None
    return pose.frontal_cm(points_px)


def strongest(found: dict[str, float] | None) -> str:
    assert found is not None
    assert set(found) == set(NAMES)
    assert sum(found.values()) == 100.0
    return max(found, key=lambda name: found[name])


def test_the_model_reads_six_of_seven(finder: FaceFinder, backend: ExpressionBackend, media: Path) -> None:
    """The seventh, DISGUSTED, is read as ANGRY."""
    faces = faces_of(finder, media)
    crops = [backend.crop(image, points_px) for image, points_px in faces.values()]
    found = [
        strongest(expressions.of_model(probabilities, backend.labels, frontal(points_px)))
        for probabilities, (_, points_px) in zip(backend.run(crops), faces.values(), strict=True)
    ]
    right = [truth for truth, said in zip(faces, found, strict=True) if truth == said]
    assert len(faces) == 7
    assert len(right) >= 6, dict(zip(faces, found, strict=True))


def test_the_mesh_alone_reads_what_is_strong(finder: FaceFinder, media: Path) -> None:
    """ANGRY and DISGUSTED cannot be told from a face at rest that is not known; what is missed is missed as CALM."""
    faces = faces_of(finder, media)
    found = {truth: strongest(expressions.of_geometry(frontal(points_px))) for truth, (_, points_px) in faces.items()}
    assert {truth for truth, said in found.items() if truth == said} >= {"HAPPY", "CALM", "SURPRISED", "FEAR"}
    assert {said for truth, said in found.items() if truth != said} <= {"CALM"}


def test_smiles_of_other_people_are_smiles_with_and_without_a_model(
    finder: FaceFinder, backend: ExpressionBackend, media: Path
) -> None:
    """These pictures had no part in any threshold."""
    for name in ("person_a_1.jpg", "person_a_2.jpg"):
        image, points_px = face_of(finder, media / "photos" / name)
        (probabilities,) = backend.run([backend.crop(image, points_px)])
        assert strongest(expressions.of_model(probabilities, backend.labels, frontal(points_px))) == "HAPPY"
        assert strongest(expressions.of_geometry(frontal(points_px))) == "HAPPY"


def test_a_batch_is_the_same_as_its_faces_one_by_one(
    finder: FaceFinder, backend: ExpressionBackend, media: Path
) -> None:
    crops = [backend.crop(image, points_px) for image, points_px in faces_of(finder, media).values()]
    batch = np.stack(backend.run(crops))
    single = np.concatenate([np.stack(backend.run([crop])) for crop in crops])
    np.testing.assert_allclose(batch, single, atol=1e-4)
    np.testing.assert_allclose(batch.sum(axis=1), 1.0, atol=1e-4)
    assert backend.run([]) == []


def test_a_crop_holds_the_whole_face_and_black_beside_it(
    finder: FaceFinder, backend: ExpressionBackend, media: Path
) -> None:
    image, points_px = face_of(finder, media / "photos" / "person_b_1.jpg")
    white = np.full_like(image, 255)
    crop = backend.crop(white, points_px)
    columns = crop[56, :, 0]
    assert crop.shape == (112, 112, 3)
    assert (columns[0], columns[-1]) == (0, 0)
    height, width = np.ptp(points_px[:468, 1]), np.ptp(points_px[:468, 0])
    assert (columns > 127).sum() == pytest.approx(112 * width / height, abs=3)
    beside = points_px + np.array([10.0 * image.shape[1], 0.0, 0.0])
    with pytest.raises(ValueError, match="outside"):
        backend.crop(image, beside)


def test_an_aligned_crop_has_eyes_and_mouth_where_the_card_says(
    finder: FaceFinder, model: LocalModel, media: Path
) -> None:
    """As `fer-mobilefacenet` is fed, whose weights are not here."""
    layout = msgspec.structs.replace(model.card.layout, fit="align_5_points")
    backend = ExpressionBackend(_with(model, layout=layout), OnnxSettings())
    image, points_px = face_of(finder, media / "photos" / "person_c_2.jpg")
    dots = np.zeros_like(image)
    left_eye = ((points_px[33] + points_px[133]) / 2)[:2].round().astype(int)
    dots[left_eye[1] - 3 : left_eye[1] + 4, left_eye[0] - 3 : left_eye[0] + 4] = 255
    rows, columns = np.nonzero(backend.crop(dots, points_px)[..., 0] > 127)
    assert (columns.mean(), rows.mean()) == pytest.approx((38.3, 51.7), abs=4.0)


def test_a_softmax_makes_probabilities_of_logits(finder: FaceFinder, model: LocalModel, media: Path) -> None:
    """The file gives probabilities already: of those, a softmax keeps the order and the sum."""
    backend = ExpressionBackend(
        _with(model, layout=msgspec.structs.replace(model.card.layout, softmax=True)), OnnxSettings()
    )
    backend.load()
    plain = ExpressionBackend(model, OnnxSettings())
    plain.load()
    crop = backend.crop(*face_of(finder, media / "expressions" / "sad.jpg"))
    (soft,), (raw,) = backend.run([crop]), plain.run([crop])
    powers = np.exp(raw.astype(np.float64))
    np.testing.assert_allclose(soft, powers / powers.sum(), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": ("neutral", "contempt")}, "'contempt'"),
        ({"labels": ()}, "no labels"),
        ({"labels": ("neutral", "happy")}, "gives 7 numbers a face, not the 2"),
        ({"layout": None}, "square"),
        ({"fit": "stretch"}, "square"),
        ({"input": "pixels"}, "no 'pixels'"),
        ({"width_px": 96, "height_px": 96}, "does not take faces of 96x96"),
    ],
)
def test_a_card_that_does_not_fit_says_what_is_wrong(model: LocalModel, changes: dict[str, Any], told: str) -> None:
    layout = model.card.layout
    if not changes.keys() & {"labels", "layout"}:
        changes = {"layout": msgspec.structs.replace(layout, **changes)}
    with pytest.raises(FeatureMissing, match=told):
        ExpressionBackend(_with(model, **changes), OnnxSettings()).load()


def _with(model: LocalModel, **changes: Any) -> LocalModel:
    return msgspec.structs.replace(model, card=msgspec.structs.replace(model.card, **changes))

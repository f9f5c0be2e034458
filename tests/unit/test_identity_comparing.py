"""A batch of frames of many sessions against their references: in order, and silent where nothing can be said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from inference.backends.face_embedding import FaceEmbeddingBackend
from inference.models.manifest import Card, Layout
from inference.signals.alignment import NOSE_TIP, TEMPLATE_PX
from inference.signals.landmarks import LEFT_EYE, MOUTH_LEFT, MOUTH_RIGHT, RIGHT_EYE
from inference.vision.identity import Asked, Comparer, Reference
from proto.errors import BadSettings
from proto.observations import Face, IdentityCheck

CARD = Card(task="identity", feature="identity", licence="x", similarity=((-1.0, 0.0), (0.4, 80.0), (1.0, 100.0)))


class ScriptedEmbedder:
    """Who a face is, by the brightness of its middle: 10 is the first person, 20 the second, ..."""

    name = "scripted"
    layout = Layout(width_px=112, height_px=112, fit="align_5_points")

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, batch: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.batches.append(len(batch))
        return [person(int(image[56, 56, 0]) // 10) for image in batch]


def person(number: int) -> np.ndarray:
    return np.eye(8, dtype=np.float32)[number]


def a_face(**fields: object) -> Face:
    numbers = ("x", "y", "yaw_deg", "pitch_deg", "roll_deg", "left_eye_openness", "right_eye_openness")
    known: dict[str, object] = dict.fromkeys((*numbers, "mouth_opening", "smile", "brow_raise"), 0.0)
    return Face(**{**known, "width": 0.5, "height": 0.5, **fields})  # type: ignore[arg-type]


def a_mesh() -> np.ndarray:
    mesh = np.zeros((478, 3))
    left, right, nose, mouth_left, mouth_right = TEMPLATE_PX
    for eye, middle in ((LEFT_EYE, left), (RIGHT_EYE, right)):
        mesh[eye.left, :2], mesh[eye.right, :2] = middle - 8, middle + 8
    mesh[NOSE_TIP, :2], mesh[MOUTH_LEFT, :2], mesh[MOUTH_RIGHT, :2] = nose, mouth_left, mouth_right
    return mesh


def asked(who: int, registered: int, *faces: Face, model: str = "scripted") -> Asked:
    image = np.full((112, 112, 3), who * 10, dtype=np.uint8)
    found = faces or (a_face(),)
    return Asked(image, found, a_mesh(), Reference(model, person(registered)))


def comparer(embedder: ScriptedEmbedder) -> Comparer:
    return Comparer(cast("FaceEmbeddingBackend", embedder), CARD)


def test_every_frame_is_answered_in_order_and_only_the_fit_ones_are_embedded() -> None:
    embedder = ScriptedEmbedder()
    batch = [
        asked(1, 1),
        asked(1, 1, a_face(abstains={"identity": "blurred"})),
        asked(2, 1),
        asked(1, 1, a_face(), a_face(height=0.4)),
        asked(3, 3, model="another"),
        asked(3, 3),
        Asked(np.zeros((112, 112, 3), dtype=np.uint8), (), None, Reference("scripted", person(1))),
    ]
    same = IdentityCheck(similarity_pct=100.0, matches=True)
    # A cosine of 0: 1 / 1.4 of the way to 80.
    other = IdentityCheck(similarity_pct=57.1, matches=False)
    reasons = [IdentityCheck(reason=reason) for reason in ("blurred", "several_faces", "other_model", "no_face")]
    assert comparer(embedder).check(batch) == [same, reasons[0], other, reasons[1], reasons[2], same, reasons[3]]
    assert embedder.batches == [3]


def test_a_reference_of_other_weights_under_the_same_name_says_nothing() -> None:
    one = asked(1, 1)._replace(reference=Reference("scripted", np.ones(4, dtype=np.float32)))
    assert comparer(ScriptedEmbedder()).check([one]) == [IdentityCheck(reason="other_model")]


@pytest.mark.parametrize("numbers", [0.0, np.nan, np.inf])
def test_a_model_that_gives_nothing_accuses_nobody(numbers: float) -> None:
    nothing = np.full(8, numbers, dtype=np.float32)
    failing = ScriptedEmbedder()
    failing.run = lambda batch: [nothing] * len(batch)  # type: ignore[method-assign]
    registered_so = asked(1, 1)._replace(reference=Reference("scripted", nothing))
    said = comparer(failing).check([asked(1, 1)]) + comparer(ScriptedEmbedder()).check([registered_so])
    assert said == [IdentityCheck(reason="no_numbers")] * 2


def test_nothing_asked_is_nothing_done() -> None:
    assert comparer(ScriptedEmbedder()).check([]) == []


def test_a_card_without_a_scale_is_refused() -> None:
    card = Card(task="identity", feature="identity", licence="x")
    with pytest.raises(BadSettings, match="similarity of scripted"):
        Comparer(cast("FaceEmbeddingBackend", ScriptedEmbedder()), card)

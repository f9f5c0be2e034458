"""`candor models calibrate`: faces of labelled pictures through the model, as a registered photo goes through it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from inference.backends import registry
from inference.backends.settings import OnnxSettings
from inference.models.calibration import FEW, Calibration, calibrate, pairs
from inference.models.store import Store
from inference.vision.decode import picture_of
from inference.vision.faces import FaceFinder
from inference.vision.identity import portraits
from inference.vision.identity.comparing import Comparer
from proto.errors import BadInput

MAX_PICTURES = 5000
MAX_PICTURE_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
SUFFIXES = (".jpg", ".jpeg")


class _Models(NamedTuple):
    finder: FaceFinder
    comparer: Comparer


class Result(NamedTuple):
    """`unusable` says of each picture that was left out why."""

    calibration: Calibration
    people: int
    pictures: int
    unusable: tuple[str, ...]


def pictures_of(folder: Path) -> list[tuple[str, Path]]:
    """Person and file of every JPEG: the folder has a folder for each person.

    Raises:
        BadInput: it is no folder, or holds none or too many.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder", field="folder")
    found = [(file.parent.name, file) for file in sorted(folder.glob("*/*")) if file.suffix.lower() in SUFFIXES]
    if not found:
        raise BadInput(f"{folder} has no folders with JPEG pictures: one folder for each person", field="folder")
    if len(found) > MAX_PICTURES:
        raise BadInput(f"{folder} has {len(found)} pictures, at most {MAX_PICTURES} are read", field="folder")
    return found


def run(store: Store, name: str, folder: Path, told: Callable[[int, int], None] = lambda _done, _of: None) -> Result:
    """Calibrate the identity model `name` on pictures in `folder`. `told` hears how many of how many are done. About
    50 ms a picture; nothing is kept.

    Raises:
        BadInput: the folder or the model cannot be used for this.
        FeatureMissing: the model, or one that finds faces, is not here.
    """
    card = store.card(name)
    if card.task != "identity":
        raise BadInput(f"{name} is for {card.task}; calibrated are models for identity")
    wanted = pictures_of(folder)
    models = _loaded(store, name)
    people, embeddings, unusable = [], [], []
    for done, (person, file) in enumerate(wanted):
        told(done, len(wanted))
        try:
            image = picture_of(file.read_bytes(), MAX_PICTURE_BYTES, MAX_PIXELS)
            embeddings.append(portraits.of_photo(models, image).embedding)
            people.append(person)
        except (BadInput, portraits.Trouble, OSError) as error:
            unusable.append(f"{file.relative_to(folder)}: {error}")
    told(len(wanted), len(wanted))
    genuine, impostors = pairs(people, np.stack(embeddings)) if embeddings else ([], [])
    return Result(calibrate(genuine, impostors), len(set(people)), len(people), tuple(unusable))


def report(name: str, result: Result) -> list[str]:
    """What is told of a calibration; the last line goes into the model's row of the manifest."""
    found = result.calibration
    one, two = f"{found.genuine} pairs of one person", f"{found.impostors} of two"
    lines = [f"left out {reason}" for reason in result.unusable]
    lines.append(f"{result.pictures} pictures of {result.people} people: {one}, {two}.")
    lines.append(f"At 80 %, {found.refused} of {one} are refused and {found.accepted} of {two} accepted.")
    if found.impostors < FEW:
        lines.append(f"Too few pairs to rely on: {FEW} pairs of two people show one false match in a thousand.")
    points = ", ".join(f"[{cosine:g}, {percent:g}]" for cosine, percent in found.points)
    return [*lines, f"For [models.{name}] in your manifest (CANDOR_MODELS_MANIFEST):", f"similarity = [{points}]"]


def _loaded(store: Store, name: str) -> _Models:
    onnx = OnnxSettings.load()
    found = store.find(name, "identity")
    detector, mesh = (
        registry.create(model, model=store.find(model, "face"), onnx=onnx) for model in ("face-detector", "face-mesh")
    )
    embedder = registry.create("face-embedding", model=found, onnx=onnx)
    for backend in (detector, mesh, embedder):
        backend.load()
    # Its own mapping is what is looked for.
    card = msgspec.structs.replace(found.card, similarity=((-1.0, 0.0), (1.0, 100.0)))
    return _Models(FaceFinder(detector, mesh), Comparer(embedder, card))  # type: ignore[arg-type]

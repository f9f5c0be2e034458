"""Real face models beside a registrar, and documents made of photos."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
from pydantic import SecretStr

from inference.backends import registry
from inference.backends.settings import OnnxSettings
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.vision.faces import FaceFinder
from inference.vision.identity import Comparer, FaceModels, References, Registrar, Vault, load_key, portraits
from inference.vision.settings import VisionSettings
from proto.errors import FeatureMissing
from runtime.bus import Bus
from tests.support.clips import Image, picture

KEY = "q" * 43 + "="
"""32 bytes as base64."""

MODEL = "mobilefacenet"
MANIFEST = Path(__file__).with_name("models.toml")

T = TypeVar("T")


class Models(NamedTuple):
    finder: FaceFinder
    comparer: Comparer | None


@contextmanager
def face_models(models_dir: Path, built_dir: Path) -> Iterator[Models]:
    """Detector, mesh and embedding, loaded, on the CPU."""
    store = Store(ModelsSettings(dir=models_dir, built_dir=built_dir, manifest=MANIFEST))
    onnx = OnnxSettings(provider="cpu")
    backends: list[Any] = []
    for row, name, feature in (
        ("face-detector", "face-detector", "face"),
        ("face-mesh", "face-mesh", "face"),
        ("face-embedding", MODEL, "identity"),
    ):
        backends.append(registry.create(row, model=store.find(name, feature), onnx=onnx))
        backends[-1].load()
    detector, mesh, embedder = backends
    try:
        yield Models(FaceFinder(detector, mesh), Comparer(embedder, store.card(MODEL)))
    finally:
        for backend in backends:
            backend.close()


class Thread:
    """A thread for the models, as a worker's lane has one."""

    def __init__(self, models: FaceModels) -> None:
        self._models = models
        self._pool = ThreadPoolExecutor(1)

    async def run(self, work: Callable[[FaceModels], T], /) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, self._models)

    def close(self) -> None:
        self._pool.shutdown()


@asynccontextmanager
async def registering(
    bus: Bus, models: FaceModels, *, key: str = KEY, missing: FeatureMissing | None = None
) -> AsyncIterator[References | None]:
    """A registrar that answers; yields the references beside it."""
    settings = VisionSettings(identity_key=SecretStr(key))
    vault = None if missing else Vault(load_key(settings))
    references = References(bus, vault) if vault else None
    thread = Thread(models)
    try:
        async with Registrar(settings, bus, thread, vault, references, missing):
            yield references
    finally:
        thread.close()


def photo(media: Path, name: str) -> Image:
    return picture(media / "photos" / f"{name}.jpg")


def portrait(models: FaceModels, image: Image) -> Image:
    """Head and shoulders cut out of a photo, as on a document."""
    points = portraits.of_photo(models, image).portrait.points_px[:, :2]
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    wide, high = 0.35 * (right - left), 0.45 * (bottom - top)
    rows = slice(max(0, round(top - high)), round(bottom + high))
    columns = slice(max(0, round(left - wide)), round(right + wide))
    return image[rows, columns]


class Pasted(NamedTuple):
    """A portrait on a card: its height, and where its top left corner is."""

    image: Image
    height_px: int
    x: int
    y: int
    strength: float = 1.0


def card(*pasted: Pasted, width_px: int = 1200, height_px: int = 760) -> Image:
    """Something like an identity card: a pattern, lines of text, portraits."""
    image = np.full((height_px, width_px, 3), (205, 215, 200), dtype=np.uint8)
    image[::6] = (190, 205, 190)
    for line in range(10):
        text = "SPECIMEN REPUBLIC 0123456789 IDENTITY CARD"[line:]
        cv2.putText(image, text, (430, 120 + 45 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (40, 40, 60), 2)
    for face in pasted:
        width = round(face.image.shape[1] * face.height_px / face.image.shape[0])
        small = cv2.resize(face.image, (width, face.height_px), interpolation=cv2.INTER_AREA)
        place = image[face.y : face.y + face.height_px, face.x : face.x + width]
        place[:] = (face.strength * small + (1.0 - face.strength) * place).astype(np.uint8)
    return image


def turned(image: Image, quarters: int) -> Image:
    """Turned counter-clockwise."""
    return np.ascontiguousarray(np.rot90(image, quarters))

"""Where each signal stops working: real pictures are spoiled step by step until it leaves what it said before.

The limits of `inference/signals/fitness.py` are read off these rows. What a signal says of the unspoiled picture is
taken for the truth, so this measures how much spoiling moves it, not how right it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from rich.progress import track
from rich.table import Column, Table

from bench import material
from bench.figures import machine, wide_console
from bench.material import Truth
from inference.backends.base import Image
from inference.backends.expression import ExpressionBackend
from inference.backends.settings import OnnxSettings
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.signals import expressions, fitness, quality
from inference.signals.fitness import Condition
from inference.vision import interpret
from inference.vision.analysis import Analyst
from inference.vision.decode import picture_of
from inference.vision.settings import VisionSettings
from proto.errors import BadInput, FeatureMissing
from proto.policy import Analysis

MAX_BYTES, MAX_PIXELS = 4_000_000, 4_000_000
JPEG_QUALITY = 80

EVERY_S = 0.6
"""A clip gives a picture this often: neighbouring frames are alike."""

NOISE_LUMA = 2.0
"""Standard deviation of the noise that a darkened picture gets: dark pictures of real cameras have some."""

Pair = tuple[float, float]


class Read(NamedTuple):
    """What the signals say of the largest face, whether they would abstain or not."""

    condition: Condition
    angles: tuple[float, float, float]
    gaze: Pair | None
    expression: str
    embedding: npt.NDArray[np.float32] | None


class Step(NamedTuple):
    """All pictures spoiled to one level: medians of the condition, 95th percentiles of the deviations in degrees."""

    spoil: str
    level: float
    n: int
    lost: int
    face_px: float
    brightness: float
    sharpness: float
    clipped: float
    pose_deg: float
    gaze_deg: float
    same_expression: float
    least_cosine: float
    abstaining: dict[str, float]


def shrunk(image: Image, whole: Condition, face_px: float) -> Image | None:
    scale = face_px / whole.face_px
    if scale > 1.0:
        return None
    size = (max(16, round(image.shape[1] * scale)), max(16, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def blurred(image: Image, whole: Condition, sigma: float) -> Image | None:
    """`sigma` in pixels of a face of 128."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma * whole.face_px / 128), dtype=np.uint8)


def darkened(image: Image, whole: Condition, luma: float) -> Image | None:
    if luma > whole.brightness:
        return None
    noise = np.random.default_rng(0).normal(0.0, NOISE_LUMA, image.shape)
    return np.asarray(np.clip(image * (luma / whole.brightness) + noise, 0, 255), dtype=np.uint8)


def brightened(image: Image, _whole: Condition, gain: float) -> Image | None:
    return np.asarray(np.clip(image * gain, 0, 255), dtype=np.uint8)


Spoil = Callable[[Image, Condition, float], Image | None]
SPOILS: dict[str, tuple[Spoil, tuple[float, ...]]] = {
    "shrunk to px": (shrunk, (160, 100, 80, 64, 56, 48, 40, 32, 24, 16)),
    "blurred, sigma": (blurred, (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)),
    "darkened to luma": (darkened, (60, 40, 30, 20, 15, 10, 6, 4)),
    "brightened, gain": (brightened, (1.2, 1.5, 1.8, 2.1, 2.5, 3.0)),
}


class Reader:
    """Reads faces as a worker does, but goes on where it would abstain. A context manager, for the models' sake."""

    def __init__(self, settings: VisionSettings, models: ModelsSettings, onnx: OnnxSettings) -> None:
        self._analyst = Analyst(settings, models, onnx)
        self._expression: ExpressionBackend | None = None
        self.expression_model = expressions.GEOMETRY
        with suppress(FeatureMissing):
            self._expression = ExpressionBackend(Store(models).find(settings.expression_model, "expression"), onnx)
            self.expression_model = settings.expression_model

    def __enter__(self) -> Self:
        self._analyst.load()
        if self._expression is not None:
            self._expression.load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._analyst.close()
        if self._expression is not None:
            self._expression.close()

    def read(self, image: Image) -> Read | None:
        """The largest face of a picture (RGB); None where none is found.

        Raises:
            FeatureMissing: there is no face model.
        """
        height_px, width_px = image.shape[:2]
        found = interpret.readings(self._analyst.finder.find([image], [None])[0].meshes, width_px, height_px)
        if not found:
            return None
        face, points_px, pose = found[0]
        said = expressions.of_geometry(pose.frontal_cm(points_px))
        if self._expression is not None:
            (shares,) = self._expression.run([self._expression.crop(image, points_px)])
            said = expressions.of_model(shares, self._expression.labels, pose.frontal_cm(points_px))
        comparer = self._analyst.comparer
        return Read(
            condition=fitness.condition(quality.luma_of(image), face, 0.0),
            angles=(face.yaw_deg, face.pitch_deg, face.roll_deg),
            gaze=None if face.gaze_yaw_deg is None else (face.gaze_yaw_deg, face.gaze_pitch_deg or 0.0),
            expression=max(said, key=lambda name: said[name]) if said else "",
            embedding=comparer.embed([(image, points_px)])[0] if comparer else None,
        )


class Whole(NamedTuple):
    """An unspoiled picture; `person` is whose it is, where that is known."""

    image: Image
    read: Read
    person: str


def pictures(folder: Path, truth: Truth, analysis: Analysis) -> Iterator[tuple[str, Image]]:
    """Whose face it is ("": unknown), and the picture: of the clips in which a face is known to be, and the photos."""
    for clip in truth.clips:
        due_s = 0.0
        spans = [(from_s, to_s) for from_s, to_s, count in clip.faces if count == 1]
        if not (clip.clean or clip.gaze) or not (folder / clip.file).is_file():
            continue
        for frame in material.frames(folder / clip.file, analysis):
            if frame.t_s >= due_s and any(from_s <= frame.t_s < to_s for from_s, to_s in spans):
                due_s = frame.t_s + EVERY_S
                yield "", picture_of(frame.jpeg, MAX_BYTES, MAX_PIXELS)
    named = [(person.name, file) for person in truth.people for file in person.files]
    for name, file in [*named, *(("", one.file) for one in truth.expressions)]:
        if (folder / file).is_file():
            yield name, picture_of(material.still(folder / file, analysis).jpeg, MAX_BYTES, MAX_PIXELS)


def steps(
    reader: Reader,
    some: Iterable[tuple[str, Image]],
    spoils: Mapping[str, tuple[Spoil, tuple[float, ...]]] = SPOILS,
    *,
    bars: bool = True,
) -> Iterator[Step]:
    """One for each level of each way to spoil a picture; all take about a minute."""
    whole = [Whole(image, read, person) for person, image in some if (read := reader.read(image)) is not None]
    work = [(what, spoil, level) for what, (spoil, levels) in spoils.items() for level in levels]
    for what, spoil, level in track(work, "spoiling", disable=not bars, transient=True):
        pairs = []
        for one in whole:
            spoiled = spoil(one.image, one.read.condition, level)
            if spoiled is not None:
                jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(spoiled), quality=JPEG_QUALITY, colorspace="RGB")
                pairs.append((one, reader.read(picture_of(jpeg, MAX_BYTES, MAX_PIXELS))))
        if pairs:
            yield step(what, level, pairs, whole)


def step(what: str, level: float, pairs: Sequence[tuple[Whole, Read | None]], whole: Sequence[Whole]) -> Step:
    """What became of the pictures; each person's spoiled picture is compared with their other, unspoiled ones."""
    both = [(one, read) for one, read in pairs if read is not None]
    poses = [max(abs(a - b) for a, b in zip(one.read.angles, read.angles, strict=True)) for one, read in both]
    gazes = [
        max(abs(a - b) for a, b in zip(one.read.gaze, read.gaze, strict=True))
        for one, read in both
        if one.read.gaze is not None and read.gaze is not None
    ]
    cosines = [
        float(read.embedding @ other.read.embedding)
        for one, read in both
        for other in whole
        if other.person and other.person == one.person and other is not one
        if read.embedding is not None and other.read.embedding is not None
    ]
    told = [fitness.abstains(read.condition) for _, read in both]

    def median(values: Iterable[float]) -> float:
        return float(np.median(list(values))) if both else math.nan

    return Step(
        spoil=what,
        level=level,
        n=len(pairs),
        lost=len(pairs) - len(both),
        face_px=median(read.condition.face_px for _, read in both),
        brightness=median(read.condition.brightness for _, read in both),
        sharpness=median(read.condition.sharpness for _, read in both),
        clipped=median(read.condition.clipped for _, read in both),
        pose_deg=_p95(poses),
        gaze_deg=_p95(gazes),
        same_expression=sum(one.read.expression == read.expression for one, read in both) / max(1, len(both)),
        least_cosine=min(cosines, default=math.nan),
        abstaining={signal: sum(signal in one for one in told) / max(1, len(told)) for signal in fitness.RANGES},
    )


def _p95(values: Sequence[float]) -> float:
    return float(np.percentile(values, 95)) if values else math.nan


def table(found: Iterable[Step]) -> Table:
    """All steps. "same face" is the share with the same strongest expression; the last columns say in how many of the
    pictures each signal abstains.
    """
    shown = Table(
        Column("spoilt", no_wrap=True), "n", "lost", "px", "luma", "sharp", "white", "pose off, p95", "gaze off, p95",
        "same face", "least cosine", *(f"no {signal}" for signal in fitness.RANGES),
    )  # fmt: skip
    for one in found:
        shown.add_row(
            f"{one.spoil} {one.level:g}", str(one.n), str(one.lost), f"{one.face_px:.0f}", f"{one.brightness:.0f}",
            f"{one.sharpness:.0f}", f"{one.clipped:.0%}", f"{one.pose_deg:.1f} deg", f"{one.gaze_deg:.1f} deg",
            f"{one.same_expression:.0%}", f"{one.least_cosine:.2f}",
            *(f"{one.abstaining[signal]:.0%}" for signal in fitness.RANGES),
        )  # fmt: skip
    return shown


def run(folder: Path, truth_file: Path, settings: VisionSettings) -> None:
    """Spoil, read, print the table.

    Raises:
        BadInput: folder or truth cannot be used.
        FeatureMissing: there is no face model.
    """
    if not folder.is_dir():
        raise BadInput("is no folder", field=str(folder))
    console = wide_console()
    some = pictures(folder, material.read(truth_file), Analysis())
    with Reader(settings, ModelsSettings.load(), OnnxSettings.load()) as reader:
        console.print(table(steps(reader, some, bars=console.is_terminal)))
    console.print(f"{machine()}; expression by {reader.expression_model}, likeness by {settings.identity_model}")

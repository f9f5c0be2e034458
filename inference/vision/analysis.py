"""Pictures in, what was seen in them out: which models run on which pictures of a batch, and in which order.

Every picture is searched for faces. Where there is none, a segmentation looks for a person, and where it sees none the
picture is searched in parts, because somebody may sit far away. Where the halves of the face differ, a hand detector
looks for what covers it. Everything else is done only for the pictures that ask for it. What a stage fails at is
missing from that picture alone; without the faces nothing can be said of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.backends.regions import Rois
from inference.backends.settings import OnnxSettings
from inference.models.settings import ModelsSettings
from inference.signals import expressions, fitness, objects, quality
from inference.signals.landmarks import Points
from inference.signals.quality import Luma
from inference.vision import interpret, metrics
from inference.vision.decode import picture_of
from inference.vision.distant import is_anybody_far_away
from inference.vision.equipment import EXPRESSION, FACE, HANDS, IDENTITY, OBJECTS, PERSON, Equipment
from inference.vision.faces import FaceFinder, FoundFaces
from inference.vision.identity.comparing import Asked, Comparer
from inference.vision.identity.vault import Reference
from inference.vision.interpret import Reading
from inference.vision.settings import VisionSettings
from proto.errors import BadInput, FeatureMissing
from proto.media import Look
from proto.observations import Face, IdentityCheck, Quality, SeenObject
from runtime.log import get_logger

log = get_logger("vision")

X = TypeVar("X")
Y = TypeVar("Y")


class Ask(NamedTuple):
    """What is asked of one picture: `hint` is where the session's faces were (None: search), `hands` whether hands may
    be looked for, `reference` the face that is compared where "identity" is among the `looks`.
    """

    looks: frozenset[Look] = frozenset()
    hint: Rois | None = None
    hands: bool = True
    reference: Reference | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one picture shows; fields as in `proto.observations.FrameSeen`, and `found`, which stays in the worker."""

    faces: tuple[Face, ...]
    quality: Quality
    person_present: bool | None
    models: dict[str, str]
    timings_ms: dict[str, float]
    objects: tuple[SeenObject, ...] | None = None
    identity: IdentityCheck | None = None
    found: FoundFaces | None = None


class Unread(msgspec.Struct, frozen=True):
    """A picture nothing can be said of, and why."""

    reason: str


@dataclass(slots=True)
class _Picture:
    """On its way through the stages."""

    image: Image
    ask: Ask
    models: dict[str, str] = field(default_factory=dict)
    timings_ms: dict[str, float] = field(default_factory=dict)
    failed: str = ""
    found: FoundFaces | None = None
    luma: Luma | None = None
    suspect: bool = False
    readings: tuple[Reading, ...] = ()
    person_present: bool | None = None
    covered: float = 0.0
    judged: Quality | None = None
    objects: tuple[SeenObject, ...] | None = None
    identity: IdentityCheck | None = None

    def result(self) -> Seen | Unread:
        if self.failed or self.judged is None:
            return Unread(self.failed or "a model failed")
        return Seen(
            faces=tuple(reading.face for reading in self.readings),
            quality=self.judged,
            person_present=self.person_present,
            models=self.models,
            timings_ms=self.timings_ms,
            objects=self.objects,
            identity=self.identity,
            found=self.found,
        )


class Analyst:
    """The models of one worker and what is done with them. Used by one thread at a time."""

    def __init__(
        self,
        settings: VisionSettings | None = None,
        models: ModelsSettings | None = None,
        onnx: OnnxSettings | None = None,
    ) -> None:
        """What is not given is read from the environment."""
        self._settings = settings or VisionSettings.load()
        self.equipment = Equipment(self._settings, models or ModelsSettings.load(), onnx or OnnxSettings.load())

    def load(self) -> dict[str, FeatureMissing | None]:
        """As `Equipment.load`."""
        return self.equipment.load()

    def close(self) -> None:
        self.equipment.close()

    @property
    def finder(self) -> FaceFinder:
        """Raises FeatureMissing: there is no face model."""
        if self.equipment.finder is None:
            raise FeatureMissing(FACE, "its models are not loaded")
        return self.equipment.finder

    @property
    def comparer(self) -> Comparer | None:
        return self.equipment.comparer

    def read(self, jpegs: Sequence[bytes], asks: Sequence[Ask] | None = None) -> list[Seen | Unread]:
        """As `look`, of JPEGs; one that cannot be decoded spoils no other."""
        asks = [Ask()] * len(jpegs) if asks is None else asks
        results: list[Seen | Unread | None] = [None] * len(jpegs)
        pictures: dict[int, _Picture] = {}
        for index, (jpeg, ask) in enumerate(zip(jpegs, asks, strict=True)):
            start = time.perf_counter()
            try:
                image = picture_of(jpeg, self._settings.max_jpeg_bytes, self._settings.max_pixels)
            except BadInput as error:
                results[index] = Unread(str(error))
            else:
                decode_ms = (time.perf_counter() - start) * 1e3
                pictures[index] = _Picture(image, ask, timings_ms={"decode": decode_ms})
        for index, result in zip(pictures, self._looked(list(pictures.values())), strict=True):
            results[index] = result
        return [result for result in results if result is not None]

    def look(self, images: Sequence[Image], asks: Sequence[Ask] | None = None) -> list[Seen | Unread]:
        """What each picture (RGB) shows, in order; without `asks`, that which is looked for in every picture."""
        asks = [Ask()] * len(images) if asks is None else asks
        return self._looked([_Picture(image, ask) for image, ask in zip(images, asks, strict=True)])

    def _looked(self, batch: list[_Picture]) -> list[Seen | Unread]:
        self._faces(batch)
        readable = [one for one in batch if not one.failed]
        self._signals(readable)
        readable = [one for one in readable if not one.failed]
        self._person(readable)
        self._hands(readable)
        self._quality(readable)
        self._objects(readable)
        self._expression(readable)
        self._identity(readable)
        return [one.result() for one in batch]

    # The stages. Each takes from the batch what it is for.

    def _faces(self, batch: list[_Picture]) -> None:
        if self.equipment.finder is None:
            for one in batch:
                one.failed = str(FeatureMissing(FACE, "its models are not loaded"))
            return

        def find(some: Sequence[_Picture]) -> list[FoundFaces]:
            return self.finder.find([one.image for one in some], [one.ask.hint for one in some])

        for one, found in self._run("faces", FACE, [(one, one) for one in batch], find, vital=True):
            one.found = found

    def _signals(self, batch: list[_Picture]) -> None:
        hands = self.equipment.get(HANDS) is not None

        def read(some: Sequence[_Picture]) -> list[tuple[Luma, tuple[Reading, ...], bool]]:
            return [_read(one, hands=hands and one.ask.hands) for one in some]

        for one, read_ in self._run("signals", "", [(one, one) for one in batch], read, vital=True):
            one.luma, one.readings, one.suspect = read_

    def _person(self, batch: list[_Picture]) -> None:
        model = self.equipment.get(PERSON)

        def present(images: Sequence[Image]) -> list[bool]:
            return [interpret.is_person(mask) for mask in model.run(images)]

        faceless = [(one, one.image) for one in batch if model and not one.readings]
        for one, person_present in self._run(PERSON, PERSON, faceless, present):
            one.person_present = person_present
        empty = [(one, one.image) for one in batch if one.person_present is False]
        for one, person_present in self._run("distant", FACE, empty, self._distant):
            one.person_present = person_present

    def _distant(self, images: Sequence[Image]) -> list[bool]:
        return [is_anybody_far_away(self.finder, image) for image in images]

    def _hands(self, batch: list[_Picture]) -> None:
        model = self.equipment.get(HANDS)

        def covered(some: Sequence[_Picture]) -> list[float]:
            found = model.run([one.image for one in some])
            return [_covered(one, hands) for one, hands in zip(some, found, strict=True)]

        suspects = [(one, one) for one in batch if one.suspect]
        for one, share in self._run(HANDS, HANDS, suspects, covered):
            one.covered = share

    def _quality(self, batch: list[_Picture]) -> None:
        def judge(some: Sequence[_Picture]) -> list[tuple[Quality, tuple[Reading, ...]]]:
            return [_judged(one) for one in some]

        for one, (judged, readings) in self._run("quality", "", [(one, one) for one in batch], judge, vital=True):
            one.judged, one.readings = judged, readings

    def _objects(self, batch: list[_Picture]) -> None:
        model = self.equipment.get(OBJECTS)

        def things(images: Sequence[Image]) -> list[tuple[SeenObject, ...]]:
            found = zip(model.run(images), images, strict=True)
            return [objects.seen(raw, model.labels, image.shape[1], image.shape[0]) for raw, image in found]

        asking = [(one, one.image) for one in batch if model and OBJECTS in one.ask.looks]
        for one, seen in self._run(OBJECTS, OBJECTS, asking, things):
            one.objects = seen

    def _expression(self, batch: list[_Picture]) -> None:
        asking = [one for one in batch if EXPRESSION in one.ask.looks and one.readings]
        able = [one for one in asking if fitness.EXPRESSION not in one.readings[0].face.abstains]
        model = self.equipment.get(EXPRESSION)

        def told(some: Sequence[_Picture]) -> list[dict[str, float] | None]:
            if model is None:
                return [expressions.of_geometry(_frontal_cm(one)) for one in some]
            shares = model.run([model.crop(one.image, one.readings[0].points_px) for one in some])
            return [
                expressions.of_model(share, model.labels, _frontal_cm(one))
                for one, share in zip(some, shares, strict=True)
            ]

        for one, expression in self._run(EXPRESSION, EXPRESSION, [(one, one) for one in able], told):
            one.models.setdefault(EXPRESSION, expressions.GEOMETRY)
            first, *rest = one.readings
            first = first._replace(face=msgspec.structs.replace(first.face, expression=expression))
            one.readings = (first, *rest)

    def _identity(self, batch: list[_Picture]) -> None:
        comparer = self.equipment.comparer
        if comparer is None:
            return

        def checks(some: Sequence[_Picture]) -> list[IdentityCheck]:
            return comparer.check([_asked(one) for one in some])

        asking = [(one, one) for one in batch if IDENTITY in one.ask.looks and one.ask.reference is not None]
        for one, check in self._run(IDENTITY, IDENTITY, asking, checks):
            one.identity = check

    def _run(
        self,
        stage: str,
        feature: str,
        work: Sequence[tuple[_Picture, X]],
        run: Callable[[Sequence[X]], Sequence[Y]],
        *,
        vital: bool = False,
    ) -> list[tuple[_Picture, Y]]:
        """One stage over its pictures as one batch; if that breaks, one by one. Those that it worked for, with what
        came of it. Where a `vital` stage fails, the picture has failed.
        """
        if not work:
            return []
        start = time.perf_counter()
        try:
            results = run([given for _, given in work])
        except Exception as error:  # the boundary where whatever a picture does to a stage ends
            metrics.MODEL_FAILURES.labels(stage).inc()
            log.error("vision.stage_failed", stage=stage, frames=len(work), error=type(error).__name__, exc_info=error)
            self.equipment.reload(feature)
            if len(work) > 1:
                return [pair for one in work for pair in self._run(stage, feature, [one], run, vital=vital)]
            work[0][0].failed = "a model failed" if vital else ""
            return []
        spent_ms = (time.perf_counter() - start) * 1e3 / len(work)
        for picture, _ in work:
            picture.timings_ms[stage] = spent_ms
            if name := self.equipment.name(feature):
                picture.models[feature] = name
        return [(picture, result) for (picture, _), result in zip(work, results, strict=True)]


def _read(picture: _Picture, *, hands: bool) -> tuple[Luma, tuple[Reading, ...], bool]:
    assert picture.found is not None
    height_px, width_px = picture.image.shape[:2]
    luma = quality.luma_of(picture.image)
    readings = interpret.readings(picture.found.meshes, width_px, height_px)
    return luma, readings, hands and bool(readings) and interpret.is_suspect(luma, readings[0])


def _covered(picture: _Picture, hands: npt.NDArray[np.float32]) -> float:
    height_px, width_px = picture.image.shape[:2]
    return interpret.occlusion_of(picture.readings[0], hands, width_px, height_px)


def _judged(picture: _Picture) -> tuple[Quality, tuple[Reading, ...]]:
    assert picture.luma is not None
    shown = interpret.conditions(picture.luma, picture.readings, picture.covered)
    judged = interpret.quality_of(picture.luma, shown, picture.person_present)
    return judged, interpret.with_abstentions(picture.readings, shown)


def _frontal_cm(picture: _Picture) -> Points:
    reading = picture.readings[0]
    return reading.pose.frontal_cm(reading.points_px)


def _asked(picture: _Picture) -> Asked:
    readings, reference = picture.readings, picture.ask.reference
    assert reference is not None
    return Asked(picture.image, [one.face for one in readings], readings[0].points_px if readings else None, reference)

"""Which models a worker has: for each feature the backend that gives it, and the models that this one is made of.

A model that is absent is a state: what it would give is missing, and everything else works.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2

from inference.backends import registry
from inference.backends.base import Backend
from inference.backends.settings import OnnxSettings
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.vision.faces import FaceFinder
from inference.vision.identity.comparing import Comparer
from inference.vision.settings import VisionSettings
from proto.errors import BadSettings, FeatureMissing
from runtime.log import get_logger

FACE, PERSON, HANDS = "face", "person", "hands"
OBJECTS, IDENTITY, EXPRESSION, TEXT = "objects", "identity", "expression", "text"

FEATURES = (FACE, PERSON, HANDS, OBJECTS, IDENTITY, EXPRESSION, TEXT)
"""In one order everywhere: that one of them is missing is told to a session under the same id by every worker."""

_FACE_DETECTOR, _FACE_MESH = "face-detector", "face-mesh"

log = get_logger("vision")


class Row(NamedTuple):
    """One backend. `models` maps its arguments to names of the manifest; "" stands for the name in the settings' field
    `setting`, which is a switch otherwise (empty: always on). `options` maps further arguments to fields of the
    settings.
    """

    feature: str
    backend: str
    models: Mapping[str, str]
    setting: str = ""
    options: Mapping[str, str] = {}


ROWS = {
    _FACE_DETECTOR: Row(
        FACE, "face-detector", {"model": "face-detector"}, options={"min_confidence": "min_face_confidence"}
    ),
    _FACE_MESH: Row(FACE, "face-mesh", {"model": "face-mesh"}),
    PERSON: Row(PERSON, "person", {"model": "person"}, "person"),
    HANDS: Row(HANDS, "hands", {"model": "hands-palm", "landmarks": "hands-landmarks"}, "hands"),
    OBJECTS: Row(OBJECTS, "yolo", {"model": ""}, "objects_model"),
    IDENTITY: Row(IDENTITY, "face-embedding", {"model": ""}, "identity_model"),
    EXPRESSION: Row(EXPRESSION, "expression", {"model": ""}, "expression_model"),
}


class Equipment:
    """The models of one worker. Used by one thread at a time."""

    def __init__(self, settings: VisionSettings, models: ModelsSettings, onnx: OnnxSettings) -> None:
        self._settings = settings
        self._models = models
        self._onnx = onnx
        self._backends: dict[str, Backend[Any]] = {}
        self.finder: FaceFinder | None = None
        self.comparer: Comparer | None = None

    def load(self) -> dict[str, FeatureMissing | None]:
        """Load every model that the settings ask for; seconds. For each feature, why it is missing, or None.

        Raises:
            BadSettings: the operator's manifest cannot be read.
        """
        self.close()
        # Its pictures are small: threads that wait for work cost more than they do, a third of the signals' time.
        cv2.setNumThreads(1)
        store = Store(self._models)
        found: dict[str, FeatureMissing | None] = {}
        for name, row in ROWS.items():
            found.setdefault(row.feature, None)
            try:
                backend = self._made(row, store)
                if backend is None:
                    del found[row.feature]
                    continue
                backend.load()
                if row.feature == IDENTITY:
                    embedder: Any = backend
                    self.comparer = Comparer(embedder, store.card(self._settings.identity_model))
            except FeatureMissing as error:
                found[row.feature] = error
            except BadSettings as error:
                # One wrong row costs what it is for, not the whole worker.
                found[row.feature] = FeatureMissing(row.feature, str(error))
            else:
                self._backends[name] = backend
        if found[FACE] is None:
            self.finder = FaceFinder(
                self._backends[_FACE_DETECTOR], self._backends[_FACE_MESH], max_faces=self._settings.max_faces
            )
        return found

    def get(self, feature: str) -> Any:
        """What gives a feature; None where it is missing."""
        composed = {FACE: self.finder, IDENTITY: self.comparer}
        return composed[feature] if feature in composed else self._backends.get(feature)

    def name(self, feature: str) -> str:
        """Model and version, as `frame.seen` reports it."""
        backend = self._backends.get(_FACE_MESH if feature == FACE else feature)
        return backend.name if backend is not None else ""

    def reload(self, feature: str) -> None:
        """Load the models of a feature again after one has failed; a GPU's memory may have run out for good. Where that
        fails, too, they are tried again by whatever uses them next.
        """
        for name, row in ROWS.items():
            backend = self._backends.get(name)
            if row.feature == feature and backend is not None:
                backend.close()
                try:
                    backend.load()
                except FeatureMissing as error:
                    log.error("vision.not_loaded_again", feature=feature, reason=error.reason)

    def close(self) -> None:
        self.finder = self.comparer = None
        for backend in self._backends.values():
            backend.close()
        self._backends.clear()

    def _made(self, row: Row, store: Store) -> Backend[Any] | None:
        """The backend, not loaded yet; None where the settings have it switched off."""
        setting: Any = getattr(self._settings, row.setting) if row.setting else True
        if setting is False:
            return None
        if not setting:
            raise FeatureMissing(row.feature, f"is switched off: CANDOR_VISION_{row.setting.upper()} is empty")
        models = {name: store.find(model or setting, row.feature) for name, model in row.models.items()}
        options = {name: getattr(self._settings, field) for name, field in row.options.items()}
        return registry.create(row.backend, **models, **options, onnx=self._onnx)

"""Which backends there are. Adding one is one file and one row."""

from __future__ import annotations

import importlib
from typing import Any

from inference.backends.base import Backend
from proto.errors import NotFound

BACKENDS: dict[str, str] = {
    "expression": "inference.backends.expression:ExpressionBackend",
    "face-detector": "inference.backends.face_detector:FaceDetectorBackend",
    "face-embedding": "inference.backends.face_embedding:FaceEmbeddingBackend",
    "face-mesh": "inference.backends.face_mesh:FaceMeshBackend",
    "hands": "inference.backends.hands:HandsBackend",
    "person": "inference.backends.person:PersonBackend",
    "text": "inference.backends.text_reader:TextReaderBackend",
    "voice-encoder": "inference.backends.voice_encoder:VoiceEncoderBackend",
    "yolo": "inference.backends.yolo:YoloBackend",
}
"""Name to `module:class`, imported only when asked for: a process loads what it uses."""


def create(name: str, **options: Any) -> Backend[Any]:
    """A backend that is not loaded yet.

    Raises:
        NotFound: no such row.
    """
    if name not in BACKENDS:
        raise NotFound(f"no backend {name!r}; there are {', '.join(sorted(BACKENDS))}")
    module, _, attribute = BACKENDS[name].partition(":")
    backend: Backend[Any] = getattr(importlib.import_module(module), attribute)(**options)
    return backend

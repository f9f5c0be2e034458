"""Reference faces at rest: AES-256-GCM with a key of the deployment's own.

An embedding identifies a person for life, so it is stored in no other form. The session's id is authenticated with it:
what is copied to another session's key does not open there.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from inference.signals.identity import Embedding
from inference.vision.settings import VisionSettings
from proto import codec
from proto.errors import BadInput, BadMessage, BadSettings, FeatureMissing

FEATURE = "identity"
KEY_BYTES = 32
NONCE_BYTES = 12
"""The size AES-GCM is made for (NIST SP 800-38D, 5.2.1.1); random, as a session is registered a few times at most."""

VERSION = 1
MAX_KEY_FILE_BYTES = 4096
MAX_NUMBERS = 4096
"""Longest embedding that is read; known models give 128 to 1024 numbers."""

HOW_TO_MAKE_A_KEY = "openssl rand -base64 32"


class Sealed(msgspec.Struct, frozen=True):
    """What is stored. Version and model can be read without the key, but not changed."""

    version: int
    model: str
    nonce: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Reference:
    """A registered face: which model made the embedding, and the embedding, which no `repr` shows."""

    model: str
    embedding: Embedding = field(repr=False, compare=False)


class Vault:
    """Seals and opens reference faces with one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, session: str, reference: Reference) -> bytes:
        """Encrypted bytes of a reference, for the key of this session; different each time."""
        nonce = os.urandom(NONCE_BYTES)
        plain = np.ascontiguousarray(reference.embedding, dtype="<f4").tobytes()
        data = self._cipher.encrypt(nonce, plain, _bound(session, VERSION, reference.model))
        return codec.encode(Sealed(VERSION, reference.model, nonce, data))

    def open(self, session: str, stored: bytes) -> Reference:
        """The reference that was sealed for this session.

        Raises:
            BadInput: sealed with another key, for another session, changed since, or in a form not known here.
        """
        try:
            sealed = codec.decode(stored, Sealed)
        except BadMessage as error:
            # Not passed on: it keeps the bytes.
            raise BadInput("is not in a form known here", field="reference") from error
        if sealed.version != VERSION or len(sealed.nonce) != NONCE_BYTES:
            raise BadInput(f"is of version {sealed.version}, {VERSION} is known here", field="reference")
        try:
            plain = self._cipher.decrypt(sealed.nonce, sealed.data, _bound(session, sealed.version, sealed.model))
        except InvalidTag as error:
            raise BadInput("was sealed with another key, or changed since", field="reference") from error
        if len(plain) % 4 or not 0 < len(plain) <= 4 * MAX_NUMBERS:
            raise BadInput("holds no embedding", field="reference")
        return Reference(sealed.model, np.frombuffer(plain, dtype="<f4").astype(np.float32))


def _bound(session: str, version: int, model: str) -> bytes:
    """Associated data: none of these can be exchanged. Session ids have no zero byte."""
    return b"candor-identity\0%d\0%s\0%s" % (version, session.encode(), model.encode())


def load_key(settings: VisionSettings) -> bytes:
    """The key of the settings, 32 bytes.

    Raises:
        FeatureMissing: none is set; says how to make one.
        BadSettings: it is not 32 bytes of base64, its file cannot be read, or both settings are there.
    """
    text, where = settings.identity_key.get_secret_value().strip(), "CANDOR_VISION_IDENTITY_KEY ([vision] identity_key)"
    if settings.identity_key_file is not None:
        if text:
            raise BadSettings("and identity_key_file exclude each other: set one", field=where)
        where = f"CANDOR_VISION_IDENTITY_KEY_FILE={settings.identity_key_file}"
        text = _read(settings.identity_key_file, where)
    elif not text:
        raise FeatureMissing(FEATURE, "no key for reference faces (CANDOR_VISION_IDENTITY_KEY)", HOW_TO_MAKE_A_KEY)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        # Says nothing of what was read: part of it may be a key.
        raise BadSettings(f"must be {KEY_BYTES} bytes as base64: {HOW_TO_MAKE_A_KEY} makes one", field=where)
    return key


def _read(path: Path, where: str) -> str:
    try:
        if path.stat().st_size > MAX_KEY_FILE_BYTES:
            raise BadSettings(f"is larger than {MAX_KEY_FILE_BYTES} bytes", field=where)
        return path.read_text("ascii").strip()
    except UnicodeDecodeError as error:
        raise BadSettings(f"must be {KEY_BYTES} bytes as base64", field=where) from error
    except OSError as error:
        raise BadSettings(f"cannot be read: {error.strerror}", field=where) from error

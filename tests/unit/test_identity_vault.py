"""Reference faces at rest: what opens, what does not, and what nobody gets to see."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
from pydantic import SecretStr

from inference.vision.identity import Reference, Vault, load_key
from inference.vision.identity.vault import Sealed
from inference.vision.settings import VisionSettings
from proto import codec
from proto.errors import BadInput, BadSettings, FeatureMissing

KEY = bytes(range(32))


def an_embedding(seed: int = 1, size: int = 512) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def test_what_is_sealed_opens_again() -> None:
    reference = Reference("sface", an_embedding())
    opened = Vault(KEY).open("s1", Vault(KEY).seal("s1", reference))
    assert opened.model == "sface"
    assert np.array_equal(opened.embedding, reference.embedding)


def test_nothing_of_the_embedding_can_be_read() -> None:
    embedding = an_embedding()
    sealed = Vault(KEY).seal("s1", Reference("sface", embedding))
    for start in range(0, embedding.nbytes - 8, 4):
        assert embedding.tobytes()[start : start + 8] not in sealed
    assert embedding.tobytes() != codec.decode(sealed, Sealed).data[: embedding.nbytes]


def test_no_two_are_alike() -> None:
    vault, reference = Vault(KEY), Reference("sface", an_embedding())
    nonces = {codec.decode(vault.seal("s1", reference), Sealed).nonce for _ in range(100)}
    assert len(nonces) == 100


@pytest.mark.parametrize("change", ["session", "key", "model", "version", "data", "nonce", "cut", "junk", "empty"])
def test_what_was_changed_does_not_open(change: str) -> None:
    stored = Vault(KEY).seal("s1", Reference("sface", an_embedding()))
    sealed = codec.decode(stored, Sealed)
    data = bytes([sealed.data[0] ^ 1]) + sealed.data[1:]
    changed = {
        "model": codec.encode(msgspec.structs.replace(sealed, model="other")),
        "version": codec.encode(msgspec.structs.replace(sealed, version=2)),
        "data": codec.encode(msgspec.structs.replace(sealed, data=data)),
        "nonce": codec.encode(msgspec.structs.replace(sealed, nonce=b"")),
        "cut": stored[:-1],
        "junk": os.urandom(200),
        "empty": b"",
    }
    key = bytes(32) if change == "key" else KEY
    with pytest.raises(BadInput) as caught:
        Vault(key).open("s2" if change == "session" else "s1", changed.get(change, stored))
    assert "reference" in str(caught.value)


def test_a_reference_shows_no_numbers() -> None:
    assert repr(Reference("sface", an_embedding())) == "Reference(model='sface')"


def settings(**given: object) -> VisionSettings:
    return VisionSettings(**given)  # type: ignore[arg-type]


def test_a_key_comes_from_the_setting_or_a_file(tmp_path: Path) -> None:
    text = base64.b64encode(KEY).decode()
    assert load_key(settings(identity_key=SecretStr(text))) == KEY
    file = tmp_path / "key"
    # As `openssl rand -base64 32 > key` writes it.
    file.write_text(text + "\n")
    assert load_key(settings(identity_key_file=file)) == KEY


def test_without_a_key_the_feature_is_missing_and_says_how_to_make_one() -> None:
    with pytest.raises(FeatureMissing) as caught:
        load_key(settings())
    assert (caught.value.feature, caught.value.command) == ("identity", "openssl rand -base64 32")


def test_a_key_that_is_none_stops_the_worker_and_is_not_told(tmp_path: Path) -> None:
    short = base64.b64encode(KEY[:31]).decode()
    for text in (short, "not base64 at all!", base64.b64encode(bytes(33)).decode(), "ü" * 44):
        with pytest.raises(BadSettings, match=r"CANDOR_VISION_IDENTITY_KEY .*32 bytes as base64") as caught:
            load_key(settings(identity_key=SecretStr(text)))
        assert text not in str(caught.value)
    for content in (short.encode(), b"\xff\xfe", b"x" * 5000):
        file = tmp_path / "bad"
        file.write_bytes(content)
        with pytest.raises(BadSettings, match="CANDOR_VISION_IDENTITY_KEY_FILE"):
            load_key(settings(identity_key_file=file))
    with pytest.raises(BadSettings, match="cannot be read"):
        load_key(settings(identity_key_file=tmp_path / "absent"))
    with pytest.raises(BadSettings, match="exclude each other"):
        load_key(settings(identity_key=SecretStr(short), identity_key_file=tmp_path / "absent"))

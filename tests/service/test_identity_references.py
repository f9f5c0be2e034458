"""Reference faces as a worker reads them: remembered for seconds, never trusted blindly, and no reason to fail."""

from __future__ import annotations

import numpy as np
import pytest

from inference.vision.identity import Reference, References, Vault, metrics
from inference.vision.identity import references as module
from inference.vision.identity.vault import Sealed
from proto import codec, subjects
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support.nats import NatsServer
from tests.support.wait import eventually

MODEL = "some-model"


def a_reference(seed: int = 1) -> Reference:
    vector = np.random.default_rng(seed).normal(size=64).astype(np.float32)
    return Reference(MODEL, vector)


def a_vault() -> Vault:
    return Vault(bytes(32))


async def test_bytes_of_another_deployment_are_as_good_as_none(bus: Bus, capfd: pytest.CaptureFixture[str]) -> None:
    bucket = await bus.bucket(subjects.KV_IDENTITIES)
    sealed = Vault(b"x" * 32).seal("s1", a_reference())
    await bucket.put("s1", sealed)
    await bucket.put("s2", a_vault().seal("s1", a_reference()))
    await bucket.put("s3", b"rubbish")
    await bucket.put("s4", codec.encode(Sealed(1, MODEL, bytes(12), b"short")))
    await bucket.put("s5", a_vault().seal("s5", a_reference()))
    references = References(bus, a_vault())
    before = metrics.REFERENCES.labels("unreadable")._value.get()
    for session in ("s1", "s2", "s3", "s4", "s0"):
        assert await references.of(session) is None
    found = await references.of("s5")
    assert found is not None
    assert found.model == MODEL
    assert metrics.REFERENCES.labels("unreadable")._value.get() == before + 4
    assert "".join(capfd.readouterr()).count("vision.reference_unreadable") == 4


async def test_answers_hold_for_seconds_and_are_bounded(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 3)
    now = 100.0
    known = References(bus, a_vault(), clock=lambda: now)
    bucket = await bus.bucket(subjects.KV_IDENTITIES)
    assert await known.of("s1") is None
    await bucket.put("s1", a_vault().seal("s1", a_reference()))
    now += module.KEEP_S / 2
    assert await known.of("s1") is None
    now += module.KEEP_S
    assert await known.of("s1") is not None
    await bucket.purge("s1")
    assert await known.of("s1") is not None
    now += module.KEEP_S * 1.01
    known.forget_old()
    assert not known._known
    assert await known.of("s1") is None
    for number in range(10):
        await known.of(f"t{number}")
    assert list(known._known) == ["t7", "t8", "t9"]


async def test_while_nats_is_away_nothing_is_said_and_nothing_remembered(
    connect: Connect, nats_server: NatsServer
) -> None:
    bus = await connect()
    bucket = await bus.bucket(subjects.KV_IDENTITIES)
    await bucket.put("s1", a_vault().seal("s1", a_reference()))
    references = References(bus, a_vault())
    nats_server.stop()
    assert await references.of("s1") is None
    nats_server.start()

    async def found() -> bool:
        return await references.of("s1") is not None

    await eventually(found, 15)

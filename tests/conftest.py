"""Fixtures that every tier shares. A missing part skips on a laptop, with a reason, and fails in CI."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from runtime.bus import Bus
from runtime.settings import RuntimeSettings
from tests.support.models import environment
from tests.support.nats import NatsServer

REPOSITORY = Path(__file__).resolve().parent.parent
TEST_DATA = Path(os.environ.get("CANDOR_TEST_DATA", REPOSITORY.parent / "shared"))

Connect = Callable[[], Awaitable[Bus]]


def missing(what: str) -> None:
    """Skip because `what` is not here; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing in CI")
    pytest.skip(f"{what} is missing")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell reaches a test."""
    for name in [name for name in os.environ if name.startswith("CANDOR_") and name != "CANDOR_TEST_DATA"]:
        monkeypatch.delenv(name)


@pytest.fixture
def media() -> Path:
    """Folder of real recordings and pictures."""
    folder = TEST_DATA / "media"
    if not folder.is_dir():
        missing(f"the folder of test recordings ({folder})")
    return folder


@pytest.fixture
def models_dir() -> Path:
    """Folder of real weights."""
    folder = TEST_DATA / "models"
    if not folder.is_dir():
        missing(f"the folder of test models ({folder})")
    return folder


@pytest.fixture(scope="session")
def built_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of converted models, made once in a run."""
    return tmp_path_factory.mktemp("built-models")


@pytest.fixture(autouse=True)
def _models_of_the_tests(_clean_environment: None, built_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was pulled on this machine changes a test; what the packages carry is converted once in a run."""
    monkeypatch.setenv("CANDOR_MODELS_DIR", str(built_dir / "nothing-was-pulled"))
    monkeypatch.setenv("CANDOR_MODELS_BUILT_DIR", str(built_dir))


@pytest.fixture
def real_models(
    models_dir: Path, built_dir: Path, _models_of_the_tests: None, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """This process and its children use the folder of real weights; returns the variables that say so."""
    variables = environment(models_dir, built_dir)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A fresh nats-server with JetStream."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def nats_url(nats_server: NatsServer) -> str:
    return nats_server.url


@pytest.fixture
async def connect(nats_server: NatsServer) -> AsyncIterator[Connect]:
    """Makes as many connections as a test needs, all closed at its end."""
    opened: list[Bus] = []

    async def connect() -> Bus:
        bus = await Bus.connect(RuntimeSettings(nats_url=nats_server.url), "test")
        opened.append(bus)
        return bus

    yield connect
    for bus in opened:
        await bus.close()


@pytest.fixture
async def bus(connect: Connect) -> Bus:
    """One connection, with streams, consumers and buckets in place."""
    return await connect()

"""Settings: environment over file over default, and errors that name the variable."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from proto.errors import BadSettings
from runtime import settings
from runtime.settings import RuntimeSettings, ServiceSettings


@pytest.fixture(autouse=True)
def _example_section(monkeypatch):
    monkeypatch.setattr(settings, "SECTIONS", settings.SECTIONS | {"example"})


class Settings(ServiceSettings, section="example"):
    limit: int = Field(3, ge=1, description="x")
    name: str = Field("a", description="x")


def test_environment_wins_over_file_and_file_over_default(monkeypatch, tmp_path):
    path = tmp_path / "candor.toml"
    path.write_text('[example]\nlimit = 5\nname = "file"\n[runtime]\nnats_url = "nats://elsewhere:1"\n')
    monkeypatch.setenv("CANDOR_CONFIG", str(path))
    monkeypatch.setenv("CANDOR_EXAMPLE_LIMIT", "7")
    loaded = Settings.load()
    assert (loaded.limit, loaded.name) == (7, "file")
    assert RuntimeSettings.load().nats_url == "nats://elsewhere:1"


def test_a_bad_value_names_variable_and_limit(monkeypatch):
    monkeypatch.setenv("CANDOR_EXAMPLE_LIMIT", "0")
    with pytest.raises(BadSettings, match=r"CANDOR_EXAMPLE_LIMIT.*greater than or equal to 1"):
        Settings.load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[example]\nlimt = 5\n", "limt: is not a setting"),
        ("[exmaple]\nlimit = 5\n", r"\[exmaple\]: is no section; the sections are aggregator"),
        ("[example\n", "is not TOML"),
        ("example = 3\n", "must be a table"),
        (f"example = {'[' * 30_000}{']' * 30_000}\n", "is not TOML"),
        ('[example]\nlimit = "many"\n', "CANDOR_EXAMPLE_LIMIT"),
    ],
)
def test_a_bad_file_says_what_is_wrong(monkeypatch, tmp_path, content, message):
    path = tmp_path / "candor.toml"
    path.write_text(content)
    monkeypatch.setenv("CANDOR_CONFIG", str(path))
    with pytest.raises(BadSettings, match=message):
        Settings.load()


def test_a_missing_file_is_an_error_not_a_default(monkeypatch, tmp_path):
    monkeypatch.setenv("CANDOR_CONFIG", str(tmp_path / "nowhere.toml"))
    with pytest.raises(BadSettings, match=r"nowhere\.toml"):
        Settings.load()


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Settings.load().limit = 4  # type: ignore[misc]


def test_a_variable_that_names_nothing_is_found(monkeypatch):
    monkeypatch.setenv("CANDOR_EXAMPLE_LIMIT", "4")
    monkeypatch.setenv("CANDOR_EXAMPLE_LIMTI", "4")
    assert Settings.unknown_variables() == ["CANDOR_EXAMPLE_LIMTI"]

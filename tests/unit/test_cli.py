"""The command line: what it teaches, what it imports, and how it fails."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from deploy import cli
from proto.errors import BadInput, NotFound
from runtime.settings import ServiceSettings

HEAVY = ("aiortc", "av", "cv2", "fastapi", "httpx", "mediapipe", "nats", "numpy", "pydantic", "uvicorn")


def run(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


@pytest.fixture(scope="module")
def app():
    """The command line with all its tools, as `main` makes it when nothing in particular is asked for."""
    cli.add_tools("")
    return cli.app


def test_the_help_lists_every_command(app):
    text = CliRunner().invoke(app, ["--help"]).output
    for name in (*cli.SERVICES, *cli.TOOLS, "up", "demo", "publish", "watch"):
        assert name in text


@pytest.mark.parametrize("name", ["up", "demo", "publish", "watch"])
def test_the_help_of_a_command_teaches_by_example(app, name):
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert f"candor {name}" in result.output


@pytest.mark.parametrize(("name", "teaches"), [("replay", "--policy"), ("models", "pull")])
def test_a_tool_has_its_own_help_when_it_is_asked_for(name, teaches):
    result = run(name, "--help")
    assert result.returncode == 0
    assert teaches in result.stdout


def test_asking_for_help_imports_nothing_heavy():
    code = f"import sys, deploy.cli; sys.exit(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.stderr.strip() == ""


@pytest.mark.parametrize("name", cli.SERVICES)
def test_every_service_resolves_to_settings_and_a_serve_function(name):
    service = cli.SERVICES[name]
    settings = cli.resolve(service.settings)
    assert issubclass(settings, ServiceSettings)
    assert settings.section == name
    assert callable(cli.resolve(service.serve))


@pytest.mark.parametrize("name", cli.TOOLS)
def test_every_tool_resolves(name):
    assert cli.resolve(cli.TOOLS[name].target) is not None


def test_the_version_is_the_package_s():
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("candor 0.")


@pytest.mark.parametrize(("error", "code"), [(BadInput("is wrong", field="x"), 2), (NotFound("is not here"), 1)])
def test_an_expected_error_is_one_line_and_an_exit_code(monkeypatch, capsys, error, code):
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(cli, "add_tools", lambda _asked: None)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == code
    assert capsys.readouterr().err == f"candor: {error}\n"


def test_a_setting_that_does_not_parse_is_named():
    result = run("api", env={"PATH": "", "CANDOR_API_PORT": "many"})
    assert result.returncode == 2
    assert "CANDOR_API_PORT" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_recording_that_is_not_there_is_said_before_anything_starts(tmp_path):
    result = run("demo", "--video", "nowhere.mp4", "--data", str(tmp_path / "data"))
    assert result.returncode == 1
    assert result.stderr == "candor: there is no file nowhere.mp4\n"
    assert not (tmp_path / "data").exists()


def test_an_unknown_command_is_bad_input():
    assert run("nonsense").returncode == 2

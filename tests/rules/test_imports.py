"""The rooms' import contracts hold, and the check that says so would notice if they did not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ROOMS = ("aggregator", "api", "bench", "deploy", "inference", "ingest", "proto", "runtime")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [str(command), "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )


def test_contracts_hold():
    result = lint_imports(REPOSITORY)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(REPOSITORY / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("ingest/extra.py", "import api.app\n"),
        ("runtime/extra.py", "import aggregator.service\n"),
        ("proto/extra.py", "import runtime.log\n"),
        ("ingest/extra.py", "import nats\n"),
        ("aggregator/risk/extra.py", "import time\n"),
        ("deploy/extra.py", "import inference.vision\n"),
    ],
)
def test_a_broken_copy_is_noticed(copy, file, line):
    (copy / file).write_text(line)
    result = lint_imports(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout

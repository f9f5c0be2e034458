"""The pages' pure modules, tested where they run: in JavaScript, by Node's own test runner."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import missing

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent.parent / "api" / "static"


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is None:
        missing("node")
        raise AssertionError
    return found


def test_units_of_the_pages_pass(node: str, tmp_path: Path) -> None:
    # Outside a browser, only a package says that a .js file is a module; the files that are served stay without one.
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copytree(STATIC / "js", tmp_path / "static" / "js")
    shutil.copytree(HERE / "js", tmp_path / "tests")
    files = sorted(str(path) for path in (tmp_path / "tests").glob("*.test.mjs"))
    assert files
    result = subprocess.run(
        [node, "--test", *files], cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_parses(node: str, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copytree(STATIC / "js", tmp_path / "js")
    for path in sorted((tmp_path / "js").rglob("*.js")):
        result = subprocess.run([node, "--check", str(path)], capture_output=True, text=True, timeout=30, check=False)
        assert result.returncode == 0, result.stderr


def test_pages_keep_to_their_content_policy() -> None:
    # What the policy would block in a browser anyway must not be in the files: inline code, inline styles, other hosts.
    for page in STATIC.glob("*.html"):
        text = page.read_text("utf-8")
        assert " style=" not in text, page
        assert "<style" not in text, page
        assert " onclick=" not in text, page
        assert "<script>" not in text, page
        assert "://" not in text.replace("https:// ", ""), page
    for script in STATIC.rglob("*.js"):
        text = script.read_text("utf-8")
        for forbidden in ("innerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"):
            assert forbidden not in text, f"{script.name}: {forbidden}"

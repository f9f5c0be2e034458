"""What the documents say is what the code does."""

from __future__ import annotations

import re

from runtime.settings import SECTIONS
from tests.conftest import REPOSITORY
from tests.support.settings_table import BEGIN, END, classes, table


def test_every_setting_is_in_the_readme_with_its_default():
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    shown = readme.split(BEGIN)[1].split(END)[0].strip()
    assert shown == table(), "run `uv run python -m tests.support.settings_table`"


def test_every_setting_says_what_it_is():
    for settings in classes():
        for name, field in settings.model_fields.items():
            assert field.description, f"{settings.__name__}.{name} has no description"


def test_every_settings_class_is_in_the_table():
    found = set()
    for path in REPOSITORY.glob("*/**/*.py"):
        if path.relative_to(REPOSITORY).parts[0] in {"tests", ".venv"}:
            continue
        found |= set(re.findall(r"^class (\w+)\(ServiceSettings, section=", path.read_text("utf-8"), re.MULTILINE))
    assert found == {settings.__name__ for settings in classes()}


def test_a_settings_file_may_have_the_sections_that_exist():
    assert {settings.section for settings in classes()} == SECTIONS


def test_links_in_documents_lead_somewhere():
    for document in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")]:
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_commands_in_the_readme_exist():
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    for target in set(re.findall(r"^make ([a-z-]+)", readme, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"

"""The dashboard has plain words for every reason the fold can give for "could not tell", and for every rule."""

from __future__ import annotations

import re
import tomllib

from aggregator.risk import abstention, expression, life, look, quality, sight, view
from api import figures
from tests.conftest import REPOSITORY


def keys(table: str) -> set[str]:
    words = (REPOSITORY / "api" / "static" / "js" / "words.js").read_text("utf-8")
    body = re.search(rf"const {table} = {{(.*?)^}};", words, re.DOTALL | re.MULTILINE)
    assert body
    return set(re.findall(r"^  (\w+):", body[1], re.MULTILINE))


def test_reasons():
    named = {
        value
        for module in (look, quality, sight)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and value.islower()
    }
    assert named | set(look.UNFIT_PICTURE) | {"occluded"} <= keys("REASONS")


def test_rules():
    for path in (REPOSITORY / "deploy" / "policies").glob("*.toml"):
        assert set(tomllib.loads(path.read_text("utf-8"))["rules"]) <= keys("RULES"), path.name
    assert {life.FACE_REGISTERED, life.DOCUMENT_COMPARED} <= keys("RULES")


def test_what_abstains_and_why():
    assert set(abstention.SIGNALS) <= keys("SIGNALS") & set(figures.SIGNALS)
    assert set(abstention.REASONS) <= keys("ABSTAINED") & set(figures.REASONS) & set(view.EYES_UNREAD)


def test_expressions():
    assert set(expression.NAMES) <= keys("EXPRESSIONS")

"""The dashboard has plain words for every reason the fold can give for "could not tell", and for every rule."""

from __future__ import annotations

import json
import re
import tomllib

from aggregator.risk import abstention, draft, expression, life, look, quality, sight, sound, watching
from api import figures, speaking
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
    assert {life.FACE_REGISTERED, life.DOCUMENT_COMPARED, draft.SOUND_UNCLEAR} <= keys("RULES")


def test_what_abstains_and_why():
    assert set(abstention.SIGNALS) <= keys("SIGNALS") & set(figures.SIGNALS)
    assert set(abstention.REASONS) <= keys("ABSTAINED") & set(figures.REASONS) & set(watching.EYES_UNREAD)


def test_expressions():
    assert set(expression.NAMES) <= keys("EXPRESSIONS")


def test_what_is_wrong_with_the_sound():
    assert set(sound.PROBLEMS) == keys("SOUND") == set(figures.SOUND)
    assert set(sound.UNCLEAR) == set(sound.WORDS)


def test_the_pages_have_the_bands_of_the_report():
    script = (REPOSITORY / "api" / "static" / "js" / "speaking.js").read_text("utf-8")
    body = re.search(r"export const SCALES = ({.*?^});", script, re.DOTALL | re.MULTILINE)
    assert body
    shown = json.loads(re.sub(r",(\s*[\]}])", r"\1", re.sub(r"^  (\w+):", r'  "\1":', body[1], flags=re.MULTILINE)))
    expected = {name: [[one.least, one.word] for one in scale.bands] for name, scale in speaking.SCALES.items()}
    assert shown == expected
    assert f"MIN_SPEECH_S = {speaking.MIN_SPEECH_S:g};" in script
    assert f"MIN_PAUSES = {speaking.MIN_PAUSES};" in script

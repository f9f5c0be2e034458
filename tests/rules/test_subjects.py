"""Subjects are built in one place."""

from __future__ import annotations

import ast

from tests.conftest import REPOSITORY

ROOMS = ("aggregator", "api", "inference", "ingest", "deploy")
PREFIXES = ("frames.", "recorded.", "audio.", "log.", "alerts.", "live.", "dead.", "ingest.offer", "ingest.close")


def test_no_room_spells_a_subject_itself():
    spelt = []
    for room in ROOMS:
        for path in (REPOSITORY / room).rglob("*.py"):
            tree = ast.parse(path.read_text("utf-8"))
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
                if not isinstance(call.func, ast.Attribute) or not call.args:
                    continue
                if call.func.attr not in {
                    "publish",
                    "append",
                    "subscribe",
                    "request",
                    "follow",
                    "read",
                    "last",
                    "purge",
                }:
                    continue
                for argument in call.args[:2]:
                    text = next((n.value for n in ast.walk(argument) if isinstance(n, ast.Constant)), None)
                    if isinstance(text, str) and text.startswith(PREFIXES):
                        spelt.append(f"{path.relative_to(REPOSITORY)}:{call.lineno} {text}")
    assert spelt == []

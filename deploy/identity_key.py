"""A key for reference faces where none is configured: trying things out needs none, production sets its own."""

from __future__ import annotations

import base64
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

KEY, KEY_FILE, CONFIG = "CANDOR_VISION_IDENTITY_KEY", "CANDOR_VISION_IDENTITY_KEY_FILE", "CANDOR_CONFIG"
KEY_BYTES = 32


def ephemeral(env: Mapping[str, str]) -> dict[str, str]:
    """Variables for the vision workers: a random key, or nothing where `env`, or the file it names, sets one."""
    if env.get(KEY) or env.get(KEY_FILE) or _in_config(env.get(CONFIG, "")):
        return {}
    return {KEY: base64.b64encode(os.urandom(KEY_BYTES)).decode()}


def _in_config(path: str) -> bool:
    if not path:
        return False
    try:
        section = tomllib.loads(Path(path).read_text("utf-8")).get("vision", {})
    except (OSError, ValueError):
        # Not told here: every child that reads it says what is wrong with it.
        return True
    return isinstance(section, dict) and bool({"identity_key", "identity_key_file"} & set(section))

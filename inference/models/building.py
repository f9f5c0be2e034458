"""Models that are made of what the mediapipe package carries."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

from inference.models.integrity import put_in_place
from inference.models.locks import alone
from proto.errors import FeatureMissing, Unavailable

CONVERTER = "inference.models.convert"
WAIT_S = 120.0
COMMAND = "candor models build"


def file_name(name: str) -> str:
    """Name of the built file. It changes with whatever the result depends on, so that an old one is never taken."""
    return str(importlib.import_module(CONVERTER).file_name(name))


def build(name: str, final: Path, feature: str) -> None:
    """Make `final`, unless another process was first. Takes seconds; nobody sees half a file.

    Raises:
        FeatureMissing: the package, or room to write, is missing.
    """
    folder = final.parent
    try:
        with alone(folder / f".{name}.lock", WAIT_S):
            if final.is_file():
                return
            workshop = folder / f".{name}.building"
            # Left behind by a process that died.
            shutil.rmtree(workshop, ignore_errors=True)
            workshop.mkdir()
            try:
                put_in_place(importlib.import_module(CONVERTER).build(name, workshop), final)
            finally:
                shutil.rmtree(workshop, ignore_errors=True)
    except (OSError, Unavailable) as error:
        raise FeatureMissing(feature, f"{name} cannot be built in {folder}: {error}", COMMAND) from error

"""Real weights for tests, by way of the product's own settings."""

from __future__ import annotations

from pathlib import Path

from inference.models.settings import ModelsSettings
from inference.models.store import Store

MANIFEST = Path(__file__).with_name("models.toml")
"""Rows of the weights that only tests may use: `mobilefacenet`, `faceapi-expression`."""


def environment(models_dir: Path, built_dir: Path) -> dict[str, str]:
    """Variables that make a process use the weights in `models_dir`, the tests' own among them."""
    return {
        "CANDOR_MODELS_DIR": str(models_dir),
        "CANDOR_MODELS_BUILT_DIR": str(built_dir),
        "CANDOR_MODELS_MANIFEST": str(MANIFEST),
    }


def real_store(models_dir: Path, built_dir: Path) -> Store:
    """The same for this process, without touching its environment."""
    return Store(ModelsSettings(dir=models_dir, built_dir=built_dir, manifest=MANIFEST))

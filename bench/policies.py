"""A policy that speaks up fast and often: only for measuring how long it takes to be heard."""

from __future__ import annotations

import shutil
from pathlib import Path

PACKAGED = Path(__file__).resolve().parent.parent / "deploy" / "policies"

FAST = """
name = "bench"
description = "NO_FACE fires after 0.3 s, again and again: for measuring latency, not people."
half_life_s = 5.0

[analysis]
evidence = false

[rules.NO_FACE]
severity = "high"
weight = 20
hold_s = 0.3
release_s = 0.3
cooldown_s = 0.5
"""


def with_bench(folder: Path) -> Path:
    """A folder of the packaged policies and `bench`; for CANDOR_API_POLICY_DIR."""
    shutil.copytree(PACKAGED, folder, dirs_exist_ok=True)
    (folder / "bench.toml").write_text(FAST)
    return folder

"""Figures: percentiles, and rows that say what was measured, how often, and against what."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

PIPE_COLUMNS = 150


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile, `share` 0-1; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


@dataclass(frozen=True)
class Figure:
    """One measured number; `samples` says how many measurements it stands on, `target` what the design asks for."""

    name: str
    value: float
    unit: str
    samples: int
    target: float | None = None

    def line(self) -> str:
        ratio = f"   {self.value / self.target:5.2f} x target {self.target:g}" if self.target else ""
        return f"{self.name:58s} {self.value:10.2f} {self.unit:12s} n={self.samples:<6d}{ratio}"


def machine() -> str:
    """What the figures were measured on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"


def wide_console() -> Console:
    """The terminal; or a file or a pipe, in which a table is as wide as it needs to be."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=PIPE_COLUMNS)


class Report:
    """Prints figures as they come and can write them all as JSON."""

    def __init__(self) -> None:
        self._figures: list[Figure] = []

    def say(self, text: str) -> None:
        print(text, flush=True)

    def add(self, name: str, value: float, unit: str, samples: int, target: float | None = None) -> None:
        figure = Figure(name, value, unit, samples, target)
        self._figures.append(figure)
        self.say(figure.line())

    def write(self, path: Path) -> None:
        content = {"machine": machine(), "command": sys.argv, "figures": [asdict(figure) for figure in self._figures]}
        path.write_text(json.dumps(content, indent=2) + "\n")

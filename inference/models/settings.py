"""Where models live: one setting for every process that uses them."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from runtime.settings import ServiceSettings


class ModelsSettings(ServiceSettings, section="models"):
    """The model store."""

    dir: Path = Field(
        default_factory=lambda: Path.home() / ".cache" / "candor" / "models",
        description="Folder that holds pulled models.",
    )
    built_dir: Path = Field(
        default_factory=lambda: Path.home() / ".cache" / "candor" / "built",
        description="Folder of models that `candor models build` makes of what the packages carry and what was pulled.",
    )
    manifest: Path | None = Field(None, description="A manifest of your own models, added to the one that comes along.")
    mirror: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Web folder to pull single files from, as MIRROR/FILE; HF_ENDPOINT is the hub's own mirror.",
    )

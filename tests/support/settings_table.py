"""The README's table of settings, made from the settings classes: `python -m tests.support.settings_table`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from pydantic_core import PydanticUndefined

from runtime.settings import ServiceSettings

BEGIN = "<!-- settings: made from the code, checked by a test -->"
END = "<!-- end of settings -->"

CLASSES = (
    "runtime.settings:RuntimeSettings",
    "ingest.settings:IngestSettings",
    "inference.vision.settings:VisionSettings",
    "inference.speech.settings:SpeechSettings",
    "inference.models.settings:ModelsSettings",
    "inference.backends.settings:OnnxSettings",
    "aggregator.settings:AggregatorSettings",
    "api.settings:ApiSettings",
)
README = Path(__file__).resolve().parent.parent.parent / "README.md"


def classes() -> list[type[ServiceSettings]]:
    """The settings classes, resolved."""
    found = []
    for row in CLASSES:
        module, name = row.split(":")
        found.append(getattr(import_module(module), name))
    return found


def table() -> str:
    """Markdown: one row per setting, under the variable's name."""
    lines = ["| variable | default | what it is |", "|---|---|---|"]
    for settings in classes():
        prefix = settings.model_config.get("env_prefix", "")
        for name, field in settings.model_fields.items():
            shown = _shown(field.get_default(call_default_factory=False))
            lines.append(f"| `{prefix}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines)


def _shown(default: object) -> str:
    if default is PydanticUndefined or str(default) in ("", "None", "()"):
        return ""
    if isinstance(default, Path) and default.is_relative_to(README.parent):
        default = default.relative_to(README.parent)
    return f"`{default}`"


def main() -> None:
    text = README.read_text("utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()

"""Settings: one frozen object per service, read once at the entry from the environment and a TOML file.

`CANDOR_<SECTION>_<FIELD>` in the environment wins over `[<section>] <field>` in the file that `CANDOR_CONFIG` names;
the section `runtime`, which every process has, is `CANDOR_<FIELD>` in the environment.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from proto.errors import BadSettings
from runtime.log import LogFormat

CONFIG_ENV = "CANDOR_CONFIG"
MAX_CONFIG_BYTES = 1 << 20
SECTIONS = frozenset({"runtime", "ingest", "vision", "speech", "models", "onnx", "aggregator", "api"})


class _TomlSection(PydanticBaseSettingsSource):
    """The settings class's own section of the file named by CANDOR_CONFIG."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        path = os.environ.get(CONFIG_ENV)
        if not path:
            return {}
        section = getattr(self.settings_cls, "section", "")
        everything = _read_toml(Path(path))
        if strange := sorted(set(everything) - SECTIONS):
            raise BadSettings(f"is no section; the sections are {', '.join(sorted(SECTIONS))}", field=f"[{strange[0]}]")
        content = everything.get(section, {})
        if not isinstance(content, dict):
            raise BadSettings("must be a table", field=f"[{section}] in {path}")
        unknown = sorted(set(content) - set(self.settings_cls.model_fields))
        if unknown:
            raise BadSettings(f"is not a setting of [{section}] (in {path})", field=unknown[0])
        return content


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise BadSettings(f"is larger than {MAX_CONFIG_BYTES} bytes", field=str(path))
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadSettings(f"cannot be read: {error.strerror}", field=f"{CONFIG_ENV}={path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSettings(f"is not TOML: {error}", field=str(path)) from error


class ServiceSettings(BaseSettings):
    """Base of every service's settings. Derive with `section="ingest"`; every field has a `description`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")
    section: ClassVar[str]

    def __init_subclass__(cls, section: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.section = section
        prefix = "CANDOR_" if section == "runtime" else f"CANDOR_{section.upper()}_"
        cls.model_config = SettingsConfigDict(**{**cls.model_config, "env_prefix": prefix})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic passes it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _TomlSection(settings_cls)

    @classmethod
    def unknown_variables(cls) -> list[str]:
        """Variables of this section's prefix that name no setting. No error: an orchestrator sets some of its own."""
        prefix = str(cls.model_config.get("env_prefix", ""))
        known = {f"{prefix}{name}".upper() for name in cls.model_fields}
        return sorted(name for name in os.environ if name.startswith(prefix) and name not in known)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read environment and file once.

        Raises:
            BadSettings: naming the variable and what it may be.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else cls.section
            prefix = cls.model_config.get("env_prefix", "")
            raise BadSettings(first["msg"], field=f"{prefix}{name.upper()} ([{cls.section}] {name})") from error


class RuntimeSettings(ServiceSettings, section="runtime"):
    """What every process needs."""

    nats_url: str = Field("nats://127.0.0.1:4222", description="NATS servers, comma separated.")
    nats_credentials: Path | None = Field(None, description="NATS credentials file (JWT and NKEY seed).")
    nats_replicas: int = Field(1, ge=1, le=5, description="Copies of each stream: 3 in a cluster.")
    log_retention_days: float = Field(30.0, gt=0, description="How long observations and snapshots are kept.")
    log_max_gib: float = Field(4.0, gt=0, description="Size of the observation log at which the oldest go.")
    log_format: LogFormat = Field("auto", description="console, json, or auto: console on a terminal.")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged.")
    log_pii: bool = Field(False, description="Leave personal data in log lines (for debugging on test data only).")
    health_host: str = Field(
        "127.0.0.1", description="Where each process serves /healthz, /readyz, /health and /metrics."
    )
    health_port: int = Field(0, ge=0, le=65535, description="Port of the same; 0 takes a free one and logs it.")
    drain_s: float = Field(20.0, gt=0, description="How long a process may finish its work after SIGTERM.")

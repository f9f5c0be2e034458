"""Policies by name: `standard` is the file `standard.toml` of the policy folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from proto import policy
from proto.errors import BadInput, BadPolicy

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Policies:
    """A folder of policies. Files are read at each use: an edit holds from the next session on."""

    folder: Path

    def names(self) -> list[str]:
        """The policies there are, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.toml") if _NAME.fullmatch(path.stem))

    def load(self, name: str) -> str:
        """TOML text of a policy, checked.

        Raises:
            BadInput: no such policy; names those there are.
            BadPolicy: the file does not parse.
        """
        if not _NAME.fullmatch(name) or name not in self.names():
            raise BadInput(f"is not known; known are: {', '.join(self.names()) or '(none)'}", field="policy")
        try:
            text = (self.folder / f"{name}.toml").read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadPolicy(f"{name} cannot be read: {error}", field="policy") from error
        policy.parse(text, known_rules_only=True)
        return text

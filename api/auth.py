"""Who may do what: API keys with roles, and the session tokens that publish.

Keys and tokens are kept and compared as SHA-256 digests, in constant time: neither a memory dump nor a stopwatch gives
one away. With no key configured every caller may do everything, which is why such a server listens on loopback only
(`check_exposure`).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal, get_args

from api.settings import ApiSettings
from proto.errors import BadSettings, Refused

Role = Literal["ingest", "supervise", "admin"]

MIN_KEY_CHARS = 16
MAX_KEYS_FILE_BYTES = 256 * 1024
TOKEN_BYTES = 32


class Right(Enum):
    """What an endpoint asks for."""

    CREATE = "create"
    END = "end"
    PUBLISH = "publish"
    READ = "read"
    ERASE = "erase"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    "ingest": frozenset({Right.CREATE, Right.END, Right.PUBLISH}),
    "supervise": frozenset({Right.READ}),
    "admin": frozenset(Right),
}


class Unauthorized(Refused):
    """No credential, or one nobody knows: 401. Answered by `api.problems`."""


class Forbidden(Refused):
    """A known credential without the right: 403. Answered by `api.problems`."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The configured API keys, as (digest, role). Empty: open."""

    digests: tuple[tuple[str, Role], ...] = ()

    @property
    def open(self) -> bool:
        return not self.digests

    def role_of(self, key: str) -> Role | None:
        """Role of a key, None for an unknown one. Every key is compared, so that the time tells nothing."""
        given = digest(key)
        found: Role | None = None
        for known, role in self.digests:
            if hmac.compare_digest(given, known):
                found = role
        return found

    def check(self, credential: str, right: Right) -> None:
        """Raise Unauthorized or Forbidden unless `credential` carries `right`."""
        if self.open:
            return
        role = self.role_of(credential) if credential else None
        if role is None:
            raise Unauthorized("an API key is needed" if not credential else "this API key is not known")
        if right not in RIGHTS[role]:
            raise Forbidden(f"the role {role} may not {right.value}")


def digest(secret: str) -> str:
    """Hex SHA-256 of a key or token, as stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_token() -> str:
    """A session token: 256 random bits, fit for a URL fragment."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_matches(token: str, token_sha256: str) -> bool:
    """Constant-time comparison of a session token with its stored digest."""
    return hmac.compare_digest(digest(token), token_sha256)


def bearer(authorization: str) -> str:
    """Credential in an Authorization header of the Bearer scheme (RFC 6750), "" if there is none."""
    scheme, _, credential = authorization.partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def load_keys(settings: ApiSettings) -> Keys:
    """Keys of the setting and the file.

    Raises:
        BadSettings: a line is not role:key, a role is unknown, a key is short, or the file cannot be read.
    """
    lines = [(item, "CANDOR_API_KEYS") for item in settings.keys.get_secret_value().split(",")]
    if settings.keys_file is not None:
        lines += [(line, str(settings.keys_file)) for line in _read(settings.keys_file).splitlines()]
    found = [_parse(line, where) for text, where in lines if (line := text.partition("#")[0].strip())]
    return Keys(tuple(found))


def check_exposure(settings: ApiSettings, keys: Keys) -> None:
    """Refuse to be open to the network.

    Raises:
        BadSettings: no keys and a host that is not loopback.
    """
    if keys.open and not settings.loopback:
        raise BadSettings(
            f"{settings.host} is reachable from other machines, and no API keys are set. Set CANDOR_API_KEYS "
            "(for example admin:<32 random characters>) or CANDOR_API_KEYS_FILE, or listen on 127.0.0.1",
            field="CANDOR_API_HOST ([api] host)",
        )


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_KEYS_FILE_BYTES:
            raise BadSettings(f"is larger than {MAX_KEYS_FILE_BYTES} bytes", field=str(path))
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"cannot be read: {error}", field=f"CANDOR_API_KEYS_FILE={path}") from error


def _parse(line: str, where: str) -> tuple[str, Role]:
    name, colon, key = line.partition(":")
    name, key = name.strip(), key.strip()
    if not colon:
        raise BadSettings("must be role:key", field=where)
    for role in get_args(Role):
        if role == name:
            if len(key) < MIN_KEY_CHARS:
                raise BadSettings(f"a key of role {role} is shorter than {MIN_KEY_CHARS} characters", field=where)
            return digest(key), role
    raise BadSettings(f"a role must be one of {', '.join(get_args(Role))}", field=where)

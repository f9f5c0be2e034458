"""API keys: how they are read, who may do what, and that an open server stays at home."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from api import auth
from api.auth import Forbidden, Keys, Right, Unauthorized
from api.settings import ApiSettings
from proto.errors import BadSettings

INGEST, SUPERVISE, ADMIN = "i" * 20, "s" * 20, "a" * 20


def settings(keys: str = "", **more: object) -> ApiSettings:
    return ApiSettings(keys=SecretStr(keys), **more)  # type: ignore[arg-type]


def test_keys_come_from_setting_and_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# platform\ningest:{INGEST}   # the first\n\nsupervise: {SUPERVISE}\n")
    keys = auth.load_keys(settings(f"admin:{ADMIN}", keys_file=file))
    assert [keys.role_of(key) for key in (INGEST, SUPERVISE, ADMIN, "z" * 20, "")] == [
        "ingest",
        "supervise",
        "admin",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("root:" + "x" * 20, "ingest, supervise, admin"),
        ("x" * 20, "role:key"),
        ("admin:short", "shorter than 16"),
        ("admin:", "shorter than 16"),
    ],
)
def test_a_bad_key_is_told_without_repeating_it(text: str, said: str) -> None:
    with pytest.raises(BadSettings) as caught:
        auth.load_keys(settings(text))
    assert said in str(caught.value)
    assert "CANDOR_API_KEYS" in str(caught.value)
    assert "x" * 20 not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="CANDOR_API_KEYS_FILE"):
        auth.load_keys(settings(keys_file=tmp_path / "none"))


def test_every_role_has_its_rights_and_no_more() -> None:
    keys = auth.load_keys(settings(f"ingest:{INGEST},supervise:{SUPERVISE},admin:{ADMIN}"))
    allowed = {
        INGEST: {Right.CREATE, Right.END, Right.PUBLISH},
        SUPERVISE: {Right.READ},
        ADMIN: set(Right),
    }
    for key, rights in allowed.items():
        for right in Right:
            if right in rights:
                keys.check(key, right)
            else:
                with pytest.raises(Forbidden):
                    keys.check(key, right)
    for unknown in ("", "z" * 20, INGEST[:-1]):
        with pytest.raises(Unauthorized):
            keys.check(unknown, Right.READ)


def test_without_keys_everything_is_allowed() -> None:
    for right in Right:
        Keys().check("", right)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "localhost", "::1", "[::1]"])
def test_an_open_server_may_be_on_loopback(host: str) -> None:
    auth.check_exposure(settings(host=host), Keys())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "candor.example", ""])
def test_an_open_server_may_be_nowhere_else(host: str) -> None:
    with pytest.raises(BadSettings) as caught:
        auth.check_exposure(settings(host=host), Keys())
    assert "CANDOR_API_KEYS" in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    auth.check_exposure(settings(host=host), auth.load_keys(settings(f"admin:{ADMIN}")))


def test_tokens_are_long_differ_and_match_only_their_own_digest() -> None:
    tokens = {auth.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) >= 43 for token in tokens)
    token = tokens.pop()
    assert auth.token_matches(token, auth.digest(token))
    assert not auth.token_matches(tokens.pop(), auth.digest(token))
    assert not auth.token_matches("", auth.digest(token))
    assert not auth.token_matches("\udce4", auth.digest(token))


@pytest.mark.parametrize(
    ("header", "credential"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("Bearer", ""), ("", ""), ("abc", "")],
)
def test_bearer(header: str, credential: str) -> None:
    assert auth.bearer(header) == credential

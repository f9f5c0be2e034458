"""`candor up` makes a key for reference faces where none is set, and never beside one that is."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy import identity_key
from inference.vision.identity import load_key
from inference.vision.settings import VisionSettings


def test_a_key_that_a_worker_takes_and_a_new_one_each_time() -> None:
    made = [identity_key.ephemeral({})[identity_key.KEY] for _ in range(2)]
    assert made[0] != made[1]
    for text in made:
        assert len(load_key(VisionSettings(identity_key=SecretStr(text)))) == 32


@pytest.mark.parametrize("name", [identity_key.KEY, identity_key.KEY_FILE])
def test_a_key_of_ones_own_stays(name: str) -> None:
    assert identity_key.ephemeral({name: "something"}) == {}
    assert identity_key.ephemeral({name: ""}) != {}


@pytest.mark.parametrize(
    ("text", "makes"),
    [
        ('[vision]\nidentity_key_file = "/run/key"\n', False),
        ('[vision]\nidentity_key = "x"\n', False),
        ("[vision]\nbatch_frames = 4\n", True),
        ("[api]\nport = 1\n", True),
        ("no toml", False),
    ],
)
def test_a_key_in_the_file_of_settings_stays(tmp_path: Path, text: str, makes: bool) -> None:
    file = tmp_path / "candor.toml"
    file.write_text(text)
    assert bool(identity_key.ephemeral({identity_key.CONFIG: str(file)})) == makes
    assert identity_key.ephemeral({identity_key.CONFIG: str(tmp_path / "absent")}) == {}

"""Pulling models over HTTP: whole or not at all, going on after a break, clear when it cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from inference.models.manifest import MODELS, Model, Weights
from inference.models.store import Store
from proto.errors import FeatureMissing, Full, NotFound, Unavailable
from tests.support.hub import REPOSITORY, REVISION, Hub, serving

WEIGHTS = random.Random(7).randbytes(3_000_000)
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"[]",
    "vocabulary.txt": b"a\nb\n",
    "model.bin": WEIGHTS,
    "README.md": b"not wanted",
}
ROOT = Path(__file__).resolve().parents[2]


def model(**changes: object) -> Model:
    fields = {
        "name": "whisper-test",
        "task": "speech to text",
        "feature": "transcript",
        "repository": REPOSITORY,
        "revision": REVISION,
        "licence": "MIT",
        "size_bytes": len(WEIGHTS),
        "files": ("config.json", "model.bin", "tokenizer.json", "vocabulary.*"),
        "needed": ("config.json", "model.bin", "tokenizer.json"),
        "weights": Weights("model.bin", hashlib.sha256(WEIGHTS).hexdigest()),
        "note": "",
    }
    return Model(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(dict(FILES)) as server:
        yield server


@pytest.fixture(autouse=True)
def _small_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _s: None)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    # Written in small blocks, so that a small file can be half written.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)


def store(folder: Path, hub: Hub, **changes: object) -> Store:
    return Store(folder, [model(**changes)], endpoint=hub.url)


def test_a_pull_brings_what_is_wanted_and_nothing_else(tmp_path: Path, hub: Hub) -> None:
    kept = store(tmp_path, hub)
    assert not kept.present("whisper-test")
    folder = kept.pull("whisper-test", progress=False)
    assert folder == tmp_path / "whisper-test"
    assert kept.present("whisper-test")
    assert {path.name for path in folder.iterdir()} == set(FILES) - {"README.md"}
    assert (folder / "model.bin").read_bytes() == WEIGHTS
    assert kept.find("whisper-test", "transcript") == folder


def test_what_is_here_is_not_fetched_again(tmp_path: Path, hub: Hub) -> None:
    kept = store(tmp_path, hub)
    kept.pull("whisper-test", progress=False)
    hub.downloads.clear()
    kept.pull("whisper-test", progress=False)
    assert hub.downloads == []


def test_a_connection_that_breaks_off_once_is_taken_up_where_it_was(tmp_path: Path, hub: Hub) -> None:
    hub.cuts = 1
    folder = store(tmp_path, hub).pull("whisper-test", progress=False)
    assert (folder / "model.bin").read_bytes() == WEIGHTS
    assert hub.ranges == [f"bytes={len(WEIGHTS) // 2}-"]


def test_a_pull_that_fails_half_way_leaves_no_model_and_the_next_goes_on(tmp_path: Path, hub: Hub) -> None:
    hub.cuts = 1000
    kept = store(tmp_path, hub)
    with pytest.raises(Unavailable, match="goes on where it was"):
        kept.pull("whisper-test", progress=False)
    assert not kept.present("whisper-test")
    assert not (tmp_path / "whisper-test").exists()
    with pytest.raises(FeatureMissing):
        kept.find("whisper-test", "transcript")
    hub.cuts = 0
    hub.ranges.clear()
    assert (kept.pull("whisper-test", progress=False) / "model.bin").read_bytes() == WEIGHTS
    assert hub.ranges == [f"bytes={len(WEIGHTS) // 2}-"]


def test_files_on_another_host_are_fetched_without_the_token(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    store(tmp_path / "here", hub).pull("whisper-test", progress=False)
    assert set(hub.tokens) == {"Bearer hf_secret"}
    hub.tokens.clear()
    hub.elsewhere = True
    folder = store(tmp_path / "there", hub).pull("whisper-test", progress=False)
    assert (folder / "model.bin").read_bytes() == WEIGHTS
    assert set(hub.tokens) == {None}


def test_other_weights_than_the_pinned_ones_are_thrown_away(tmp_path: Path, hub: Hub) -> None:
    hub.files["model.bin"] = WEIGHTS[:-1] + b"\0"
    kept = store(tmp_path, hub)
    with pytest.raises(Unavailable, match="not the pinned one"):
        kept.pull("whisper-test", progress=False)
    assert not kept.present("whisper-test")
    hub.files["model.bin"] = WEIGHTS
    kept.pull("whisper-test", progress=False)
    assert kept.present("whisper-test")


def test_a_repository_without_a_needed_file_is_told(tmp_path: Path, hub: Hub) -> None:
    del hub.files["tokenizer.json"]
    with pytest.raises(NotFound, match=r"tokenizer\.json"):
        store(tmp_path, hub).pull("whisper-test", progress=False)


def test_a_revision_that_is_gone_is_told(tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(NotFound, match="ffffffffffff"):
        store(tmp_path, hub, revision="f" * 40).pull("whisper-test", progress=False)


def test_a_hub_that_refuses_is_told(tmp_path: Path, hub: Hub) -> None:
    hub.refuse = 403
    with pytest.raises(Unavailable, match="broke off or refused"):
        store(tmp_path, hub).pull("whisper-test", progress=False)


def test_a_disk_without_room_is_told_before_anything_is_fetched(tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(Full, match="MiB are free"):
        store(tmp_path, hub, size_bytes=1 << 60).pull("whisper-test", progress=False)
    assert hub.downloads == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, hub: Hub) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(Unavailable, match="cannot write"):
        store(blocked, hub).pull("whisper-test", progress=False)


def test_a_model_of_ones_own_is_found_by_its_path(tmp_path: Path) -> None:
    assert Store(tmp_path).find(str(tmp_path), "transcript") == tmp_path
    with pytest.raises(FeatureMissing) as missing:
        Store(tmp_path).find("whisper-tiny", "transcript")
    assert missing.value.command == "candor models pull whisper-tiny"
    with pytest.raises(FeatureMissing, match="neither a folder"):
        Store(tmp_path).find("whisper-huge", "transcript")


def test_the_manifest_pins_every_model() -> None:
    for row in MODELS:
        assert len(row.revision) == 40, row.name
        assert len(row.weights.sha256) == 64, row.name
        assert row.size_bytes > 1_000_000, row.name
        assert row.licence, row.name
        assert set(row.needed) <= {pattern for pattern in row.files if "*" not in pattern}, row.name
        assert row.weights.file in row.needed, row.name


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inference.models", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_lists_and_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    listed = command("list", "--json", CANDOR_MODELS_DIR=str(tmp_path))
    assert listed.returncode == 0, listed.stderr
    rows = json.loads(listed.stdout)
    assert [row["name"] for row in rows] == ["whisper-tiny", "whisper-base", "whisper-small"]
    assert not any(row["present"] for row in rows)
    offline = command("pull", "whisper-tiny", CANDOR_MODELS_DIR=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    assert offline.returncode == 1
    assert offline.stderr.startswith("candor: http://127.0.0.1:9 cannot be reached")
    assert len(offline.stderr.splitlines()) == 1
    unknown = command("pull", "whisper-huge", CANDOR_MODELS_DIR=str(tmp_path))
    assert unknown.returncode == 1
    assert "there are whisper-base, whisper-small, whisper-tiny" in unknown.stderr

"""The model store: what is here, and pulling from the hub: whole or not at all, going on after a break."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import constants

from inference.models.manifest import Card, Manifest
from inference.models.manifest import Hub as Source
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from inference.speech.settings import SpeechSettings
from inference.vision.settings import VisionSettings
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


def card(*, size_bytes: int = len(WEIGHTS), revision: str = REVISION, weights: bytes = WEIGHTS) -> Card:
    return Card(
        task="speech to text",
        feature="transcript",
        licence="MIT",
        size_bytes=size_bytes,
        hub=Source(
            repository=REPOSITORY,
            revision=revision,
            files=("config.json", "model.bin", "tokenizer.json", "vocabulary.*"),
            needed=("config.json", "model.bin", "tokenizer.json"),
            sha256={"model.bin": hashlib.sha256(weights).hexdigest()},
        ),
    )


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


def store(folder: Path, hub: Hub, of: Card | None = None) -> Store:
    manifest = Manifest(models={"whisper-test": of or card()})
    return Store(ModelsSettings(dir=folder), manifest=manifest, endpoint=hub.url)


def product(folder: Path) -> Store:
    return Store(ModelsSettings(dir=folder))


def test_a_pull_brings_what_is_wanted_and_nothing_else(tmp_path: Path, hub: Hub) -> None:
    kept = store(tmp_path, hub)
    assert not kept.present("whisper-test")
    folder = kept.pull("whisper-test", progress=False)
    assert folder == tmp_path / "whisper-test"
    assert kept.present("whisper-test")
    assert {path.name for path in folder.iterdir()} == set(FILES) - {"README.md"}
    assert (folder / "model.bin").read_bytes() == WEIGHTS
    found = kept.find("whisper-test", "transcript")
    assert (found.name, found.path, found.labels) == ("whisper-test", folder, ())


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
        store(tmp_path, hub, card(revision="f" * 40)).pull("whisper-test", progress=False)


def test_a_hub_that_refuses_is_told(tmp_path: Path, hub: Hub) -> None:
    hub.refuse = 403
    with pytest.raises(Unavailable, match="broke off or refused"):
        store(tmp_path, hub).pull("whisper-test", progress=False)


def test_a_disk_without_room_is_told_before_anything_is_fetched(tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(Full, match="MiB are free"):
        store(tmp_path, hub, card(size_bytes=1 << 60)).pull("whisper-test", progress=False)
    assert hub.downloads == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, hub: Hub) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(Unavailable, match="cannot write"):
        store(blocked, hub).pull("whisper-test", progress=False)


def test_a_folder_with_other_weights_is_not_taken_and_a_pull_replaces_it(tmp_path: Path, hub: Hub) -> None:
    kept = store(tmp_path, hub)
    folder = kept.pull("whisper-test", progress=False)
    newer = WEIGHTS[::-1]
    hub.files["model.bin"] = newer
    now = store(tmp_path, hub, card(weights=newer))
    with pytest.raises(FeatureMissing, match=r"model\.bin is not the one that the manifest names"):
        now.find("whisper-test", "transcript")
    now.pull("whisper-test", progress=False)
    assert (folder / "model.bin").read_bytes() == newer
    assert not (tmp_path / ".partial" / "whisper-test").exists()


def test_a_folder_that_lacks_a_file_is_not_taken(tmp_path: Path, hub: Hub) -> None:
    kept = store(tmp_path, hub)
    folder = kept.pull("whisper-test", progress=False)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(FeatureMissing, match=r"tokenizer\.json is not here"):
        kept.find("whisper-test", "transcript")
    kept.pull("whisper-test", progress=False)
    assert kept.present("whisper-test")


def test_of_two_pulls_at_once_one_fetches_and_both_have_it(tmp_path: Path, hub: Hub) -> None:
    with ThreadPoolExecutor(2) as pool:
        pulls = [pool.submit(store(tmp_path, hub).pull, "whisper-test", progress=False) for _ in range(2)]
        folders = {pull.result(60) for pull in pulls}
    assert folders == {tmp_path / "whisper-test"}
    assert hub.downloads.count("model.bin") == 1


def test_a_model_of_ones_own_is_found_by_its_path(tmp_path: Path) -> None:
    assert product(tmp_path).find(str(tmp_path), "transcript").path == tmp_path
    with pytest.raises(FeatureMissing) as missing:
        product(tmp_path).find("whisper-tiny", "transcript")
    assert missing.value.command == "candor models pull whisper-tiny"
    assert missing.value.reason == "model whisper-tiny is not here"
    with pytest.raises(FeatureMissing, match="neither a folder"):
        product(tmp_path).find("whisper-huge", "transcript")


def test_a_whisper_of_ones_own_may_be_a_row(tmp_path: Path) -> None:
    manifest = tmp_path / "models.toml"
    manifest.write_text(
        """[models.ours]
task = "speech to text"
feature = "transcript"
licence = "ours"
files = [{ path = "ours/model.bin" }, { path = "ours/config.json" }, { path = "ours/tokenizer.json" }]
"""
    )
    kept = Store(ModelsSettings(dir=tmp_path, manifest=manifest))
    (tmp_path / "ours").mkdir()
    for name in ("model.bin", "config.json"):
        (tmp_path / "ours" / name).write_text("{}")
    with pytest.raises(FeatureMissing, match=r"tokenizer\.json is not here"):
        kept.find("ours", "transcript")
    (tmp_path / "ours" / "tokenizer.json").write_text("{}")
    assert kept.find("ours", "transcript").path == tmp_path / "ours"


def test_what_a_package_carries_is_here(tmp_path: Path) -> None:
    kept = product(tmp_path)
    assert kept.find("rapidocr", "text").path.is_file()
    assert kept.size_bytes("rapidocr") > 10_000_000


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


def test_the_command_lists_what_is_here_and_what_is_not(tmp_path: Path) -> None:
    listed = command("list", "--json", CANDOR_MODELS_DIR=str(tmp_path))
    assert listed.returncode == 0, listed.stderr
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert {"whisper-tiny", "yolox-nano", "sface", "fer-mobilefacenet", "face-mesh", "rapidocr"} <= set(rows)
    pulled = [row for row in rows.values() if not row["source"].startswith("package ")]
    assert {row["state"] for row in pulled} == {"absent"}
    assert rows["yolox-nano"] | {"path": "", "note": "", "source": ""} == {
        "name": "yolox-nano",
        "task": "objects",
        "feature": "objects",
        "present": False,
        "state": "absent",
        "path": "",
        "batched": "",
        "size_bytes": 3_659_407,
        "licence": "Apache-2.0",
        "source": "",
        "command": "candor models pull yolox-nano",
        "default": True,
        "note": "",
    }
    assert rows["rapidocr"]["present"]
    assert rows["rapidocr"]["command"] == ""


def test_the_list_for_people_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "yolox_nano.onnx").write_bytes(b"half")
    listed = command("list", CANDOR_MODELS_DIR=str(tmp_path), COLUMNS="140")
    assert listed.returncode == 0, listed.stderr
    lines = {line.split()[0]: line for line in listed.stdout.splitlines() if line.strip()}
    assert " no " in lines["whisper-tiny"]
    assert "78.2 MB" in lines["whisper-tiny"]
    assert "MIT" in lines["whisper-tiny"]
    assert "99 languages" in lines["whisper-tiny"]
    assert " yes " in lines["rapidocr"]
    assert " broken " in listed.stdout
    assert "yolox-nano: yolox_nano.onnx is not the one that the manifest names" in listed.stdout
    assert "candor models pull" in listed.stdout


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    offline = command("pull", "whisper-tiny", CANDOR_MODELS_DIR=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    assert offline.returncode == 1
    assert offline.stderr.startswith("candor: http://127.0.0.1:9 cannot be reached")
    assert len(offline.stderr.splitlines()) == 1
    unknown = command("pull", "whisper-huge", CANDOR_MODELS_DIR=str(tmp_path))
    assert unknown.returncode == 1
    assert "whisper-base, whisper-small, whisper-tiny" in unknown.stderr
    built = command("pull", "face-mesh", CANDOR_MODELS_DIR=str(tmp_path))
    assert built.returncode == 1
    assert "candor models build face-mesh" in built.stderr


def test_a_pull_without_names_fetches_what_the_default_settings_use(tmp_path: Path) -> None:
    pulled = command(
        "pull",
        CANDOR_MODELS_DIR=str(tmp_path),
        CANDOR_MODELS_MIRROR="http://127.0.0.1:9",
        HF_ENDPOINT="http://127.0.0.1:9",
    )
    assert pulled.returncode == 1
    told = [line for line in pulled.stderr.splitlines() if line.startswith("candor: ")]
    assert len(told) == 5
    for file in ("yolox_nano", "face_recognition_sface_2021dec", "mobilefacenet_2022july", "resemblyzer_voice_encoder"):
        assert any(file in line and "cannot be reached" in line for line in told), file
    defaults = {
        VisionSettings.model_fields["objects_model"].default,
        VisionSettings.model_fields["identity_model"].default,
        VisionSettings.model_fields["expression_model"].default,
        SpeechSettings.model_fields["model"].default,
        SpeechSettings.model_fields["voices_model"].default,
    }
    assert {name for name, row in product(tmp_path).models.items() if row.default} == defaults

"""Fetching single files over HTTP: whole or not at all, going on after a break, clear when it cannot be."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.models import download
from inference.models.manifest import Card, File, Layout, Manifest
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from proto.errors import BadInput, BadSettings, FeatureMissing, Full, NotFound, Unavailable
from tests.support.web import Web, serving, tls_context

DATA = random.Random(11).randbytes(400_000)
HALF = len(DATA) // 2
NAME = "own-yolo"
ROOT = Path(__file__).resolve().parents[2]
LAYOUT = Layout(width_px=416, height_px=416, decode="yolox")


@pytest.fixture
def web() -> Iterator[Web]:
    with serving({"/yolo.onnx": DATA}) as server:
        yield server


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)


def store(folder: Path, web: Web | None, *, mirror: str = "", **changes: object) -> Store:
    file: dict[str, object] = {
        "path": "yolo.onnx",
        "url": f"{web.url}/yolo.onnx" if web else "",
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "size_bytes": len(DATA),
    }
    card = Card(
        task="objects",
        feature="objects",
        licence="MIT",
        layout=LAYOUT,
        labels="coco",
        files=(File(**{**file, **changes}),),  # type: ignore[arg-type]
    )
    return Store(ModelsSettings(dir=folder, mirror=mirror), manifest=Manifest(models={NAME: card}))


def row(web: Web) -> str:
    """The same as a row of an operator's manifest."""
    return f"""[models.{NAME}]
task = "text"
feature = "objects"
licence = "MIT"

[[models.{NAME}.files]]
path = "yolo.onnx"
url = "{web.url}/yolo.onnx"
sha256 = "{hashlib.sha256(DATA).hexdigest()}"
size_bytes = {len(DATA)}
"""


def pull_command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inference.models", "pull", *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "120"} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))


def test_a_pull_puts_the_file_in_place(tmp_path: Path, web: Web) -> None:
    kept = store(tmp_path, web)
    with pytest.raises(FeatureMissing) as missing:
        kept.find(NAME, "objects")
    assert missing.value.command == f"candor models pull {NAME}"
    assert kept.pull(NAME, progress=False) == tmp_path / "yolo.onnx"
    assert (tmp_path / "yolo.onnx").read_bytes() == DATA
    assert leftovers(tmp_path) == ["yolo.onnx"]
    found = kept.find(NAME, "objects")
    assert (found.name, found.path, len(found.labels)) == (NAME, tmp_path / "yolo.onnx", 80)
    web.seen.clear()
    kept.pull(NAME, progress=False)
    assert web.seen == []


def test_a_connection_that_breaks_is_taken_up_where_it_was(tmp_path: Path, web: Web) -> None:
    web.cuts = 2
    store(tmp_path, web).pull(NAME, progress=False)
    assert (tmp_path / "yolo.onnx").read_bytes() == DATA
    assert [asked for _, asked in web.seen] == ["", f"bytes={HALF}-", f"bytes={HALF + HALF // 2}-"]


def test_an_end_without_an_announced_length_is_taken_up_too(tmp_path: Path, web: Web) -> None:
    web.chunked = True
    web.cuts = 1
    store(tmp_path, web).pull(NAME, progress=False)
    assert (tmp_path / "yolo.onnx").read_bytes() == DATA
    assert [asked for _, asked in web.seen] == ["", f"bytes={HALF}-"]


def test_a_pull_that_failed_is_gone_on_with_by_the_next(tmp_path: Path, web: Web, monkeypatch) -> None:
    monkeypatch.setattr(download, "MAX_TRIES", 1)
    web.cuts = 1
    kept = store(tmp_path, web)
    with pytest.raises(Unavailable, match="goes on where it was"):
        kept.pull(NAME, progress=False)
    assert not kept.present(NAME)
    assert leftovers(tmp_path) == ["yolo.onnx.part"]
    assert not (tmp_path / "yolo.onnx").exists()
    web.seen.clear()
    kept.pull(NAME, progress=False)
    assert web.seen == [("GET /yolo.onnx", f"bytes={HALF}-")]
    assert kept.present(NAME)


def test_a_server_that_brings_nothing_is_given_up_after_a_few_tries(tmp_path: Path, web: Web) -> None:
    web.refuse = 503
    with pytest.raises(Unavailable, match=r"503.*goes on where it was"):
        store(tmp_path, web).pull(NAME, progress=False)
    assert len(web.seen) == download.MAX_IDLE_TRIES


def test_a_server_that_is_busy_for_a_moment_is_asked_again(tmp_path: Path, web: Web) -> None:
    web.refuse, web.times = 503, 2
    store(tmp_path, web).pull(NAME, progress=False)
    assert (tmp_path / "yolo.onnx").read_bytes() == DATA


def test_a_server_that_knows_no_ranges_begins_anew_and_the_file_is_whole(tmp_path: Path, web: Web) -> None:
    web.cuts = 1
    web.ranges = False
    store(tmp_path, web).pull(NAME, progress=False)
    assert (tmp_path / "yolo.onnx").read_bytes() == DATA
    assert [asked for _, asked in web.seen] == ["", f"bytes={HALF}-"]


def test_another_file_under_the_address_is_thrown_away_and_the_next_pull_starts_clean(tmp_path: Path, web: Web) -> None:
    web.files["/yolo.onnx"] = DATA[:-1] + b"\0"
    kept = store(tmp_path, web)
    with pytest.raises(Unavailable, match="not the pinned one"):
        kept.pull(NAME, progress=False)
    assert leftovers(tmp_path) == []
    web.files["/yolo.onnx"] = DATA
    web.seen.clear()
    kept.pull(NAME, progress=False)
    assert web.seen == [("GET /yolo.onnx", "")]
    assert kept.present(NAME)


@pytest.mark.parametrize("size", [len(DATA) - 100_000, len(DATA) + 100_000])
def test_a_file_of_another_size_is_refused_before_it_is_fetched(tmp_path: Path, web: Web, size: int) -> None:
    web.files["/yolo.onnx"] = DATA[:size] if size < len(DATA) else DATA + b"\0" * 100_000
    with pytest.raises(Unavailable, match=f"offers {size} bytes where the manifest says {len(DATA)}"):
        store(tmp_path, web).pull(NAME, progress=False)
    assert leftovers(tmp_path) == []


def test_a_server_that_does_not_stop_sending_is_cut_off(tmp_path: Path, web: Web) -> None:
    web.chunked = True
    web.files["/yolo.onnx"] = DATA * 20
    with pytest.raises(Unavailable, match="sends more than"):
        store(tmp_path, web).pull(NAME, progress=False)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= len(DATA)


def test_what_the_last_pull_left_of_another_version_is_not_gone_on_with(tmp_path: Path, web: Web, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(download, "MAX_TRIES", 1)
        web.cuts = 1
        with pytest.raises(Unavailable):
            store(tmp_path, web).pull(NAME, progress=False)
    newer = random.Random(12).randbytes(len(DATA))
    web.files["/yolo.onnx"] = newer
    web.seen.clear()
    store(tmp_path, web, sha256=hashlib.sha256(newer).hexdigest()).pull(NAME, progress=False)
    assert web.seen == [("GET /yolo.onnx", "")]
    assert (tmp_path / "yolo.onnx").read_bytes() == newer
    assert leftovers(tmp_path) == ["yolo.onnx"]


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, web: Web, status: int) -> None:
    web.refuse = status
    with pytest.raises(NotFound, match=rf"yolo\.onnx is not there \({status}\)"):
        store(tmp_path, web).pull(NAME, progress=False)
    assert len(web.seen) == 1


def test_a_server_that_refuses_is_told(tmp_path: Path, web: Web) -> None:
    web.refuse = 403
    with pytest.raises(Unavailable, match="refuses: 403 Forbidden"):
        store(tmp_path, web).pull(NAME, progress=False)
    assert len(web.seen) == 1


def test_offline_is_told_at_once_with_what_can_be_done(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/yolo.onnx"
    with pytest.raises(Unavailable, match=r"cannot be reached: .*HTTPS_PROXY.*CANDOR_MODELS_MIRROR"):
        store(tmp_path, None, url=url).pull(NAME, progress=False)


def test_a_silent_server_is_not_waited_for_for_ever(tmp_path: Path, web: Web, monkeypatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT", download.httpx.Timeout(0.2))
    web.hold = threading.Event()
    with pytest.raises(Unavailable, match="broke off"):
        store(tmp_path, web).pull(NAME, progress=False)


def test_a_server_that_only_drips_is_asked_anew(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SLOW_S", 0.2)
    web.drips = 1
    store(tmp_path, web).pull(NAME, progress=False)
    assert (tmp_path / "yolo.onnx").read_bytes() == DATA
    assert len(web.seen) == 2
    assert 0 < int(web.seen[1][1].removeprefix("bytes=").removesuffix("-")) < len(DATA) // 10


def test_a_disk_without_room_is_told_before_anything_is_fetched(tmp_path: Path, web: Web) -> None:
    with pytest.raises(Full, match="MiB are free"):
        store(tmp_path, web, size_bytes=1 << 36 << 20).pull(NAME, progress=False)
    assert web.seen == []


def test_a_disk_that_fills_up_meanwhile_is_told(tmp_path: Path, web: Web) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("there is no /dev/full here")
    aside = tmp_path / ".partial" / NAME / hashlib.sha256(DATA).hexdigest()[:12]
    aside.mkdir(parents=True)
    (aside / "yolo.onnx.part").symlink_to("/dev/full")
    with pytest.raises(Full, match="no room"):
        store(tmp_path, web).pull(NAME, progress=False)
    assert not (tmp_path / "yolo.onnx").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, web: Web) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(Unavailable, match="cannot write models to"):
        store(blocked, web).pull(NAME, progress=False)


def test_of_two_pulls_at_once_one_fetches_and_both_have_it(tmp_path: Path, web: Web) -> None:
    web.hold = threading.Event()
    errors: list[BaseException] = []

    def pull() -> None:
        try:
            store(tmp_path, web).pull(NAME, progress=False)
        except Exception as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    threads = [threading.Thread(target=pull) for _ in range(3)]
    for thread in threads:
        thread.start()
    web.wait_for(1)
    web.hold.set()
    for thread in threads:
        thread.join(30)
    assert not errors
    assert len(web.seen) == 1
    assert (tmp_path / "yolo.onnx").read_bytes() == DATA


def test_a_process_that_was_killed_in_mid_pull_is_in_nobodys_way(tmp_path: Path, web: Web) -> None:
    web.hold = threading.Event()
    manifest = tmp_path / "models.toml"
    manifest.write_text(row(web))
    folder = tmp_path / "models"
    child = subprocess.Popen(
        [sys.executable, "-m", "inference.models", "pull", NAME],
        cwd=ROOT,
        env=os.environ | {"CANDOR_MODELS_DIR": str(folder), "CANDOR_MODELS_MANIFEST": str(manifest)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        web.wait_for(1)
    finally:
        child.kill()
        child.wait(10)
    web.hold.set()
    store(folder, web).pull(NAME, progress=False)
    assert (folder / "yolo.onnx").read_bytes() == DATA


def test_a_half_or_changed_file_is_not_taken_and_a_pull_mends_it(tmp_path: Path, web: Web) -> None:
    kept = store(tmp_path, web)
    kept.pull(NAME, progress=False)
    for broken in (DATA[:-1], b"", DATA[:-1] + b"\0"):
        (tmp_path / "yolo.onnx").write_bytes(broken)
        assert not kept.present(NAME)
        with pytest.raises(FeatureMissing, match="another checksum") as missing:
            kept.find(NAME, "objects")
        assert missing.value.command == f"candor models pull {NAME}"
    kept.pull(NAME, progress=False)
    assert kept.present(NAME)


def test_a_path_that_cannot_be_looked_at_is_a_missing_feature(tmp_path: Path) -> None:
    kept = store(tmp_path, None, path=f"{'x' * 300}.onnx")
    with pytest.raises(FeatureMissing, match="File name too long"):
        kept.find(NAME, "objects")
    assert kept.size_bytes(NAME) == 0


def test_another_export_that_is_as_good_is_taken(tmp_path: Path) -> None:
    (tmp_path / "yolo.onnx").write_bytes(b"another export")
    good = hashlib.sha256(b"another export").hexdigest()
    assert store(tmp_path, None, also_sha256=(good,)).present(NAME)
    assert not store(tmp_path, None).present(NAME)


def test_an_operators_own_file_is_found_where_it_is_and_never_fetched(tmp_path: Path, web: Web) -> None:
    own = tmp_path / "elsewhere" / "own.onnx"
    kept = store(tmp_path / "models", None, path=str(own), sha256="", size_bytes=0)
    with pytest.raises(FeatureMissing, match="is not here") as missing:
        kept.find(NAME, "objects")
    assert missing.value.command == ""
    with pytest.raises(BadInput, match="no url"):
        kept.pull(NAME, progress=False)
    own.parent.mkdir()
    own.write_bytes(b"")
    with pytest.raises(FeatureMissing, match="is empty"):
        kept.find(NAME, "objects")
    own.write_bytes(b"weights")
    assert kept.find(NAME, "objects").path == own


def test_a_mirror_is_asked_instead(tmp_path: Path, web: Web) -> None:
    web.files["/mirrored/yolo.onnx"] = DATA
    kept = store(tmp_path, None, url="https://models.invalid/original/yolo.onnx", mirror=f"{web.url}/mirrored/")
    kept.pull(NAME, progress=False)
    assert web.seen == [("GET /mirrored/yolo.onnx", "")]
    assert kept.present(NAME)


def test_an_http_proxy_is_used(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", web.url)
    web.files["http://models.invalid/yolo.onnx"] = DATA
    store(tmp_path, None, url="https://elsewhere.invalid/y", mirror="http://models.invalid").pull(NAME, progress=False)
    assert web.seen == [("GET http://models.invalid/yolo.onnx", "")]


def test_an_https_proxy_is_used_and_its_refusal_told(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", web.url)
    with pytest.raises(Unavailable, match="cannot be reached: 502"):
        store(tmp_path, None, url="https://models.invalid/yolo.onnx").pull(NAME, progress=False)
    assert web.seen == [("CONNECT models.invalid:443", "")]


def test_a_proxy_that_is_no_address_is_told(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://proxy")
    with pytest.raises(BadSettings, match="HTTPS_PROXY"):
        store(tmp_path, web).pull(NAME, progress=False)


def test_a_server_that_sends_us_on_is_followed(tmp_path: Path, web: Web) -> None:
    web.sends_on["/old.onnx"] = "/yolo.onnx"
    web.cuts = 1
    store(tmp_path, web, url=f"{web.url}/old.onnx").pull(NAME, progress=False)
    assert (tmp_path / "yolo.onnx").read_bytes() == DATA
    assert web.seen[-2:] == [("GET /old.onnx", f"bytes={HALF}-"), ("GET /yolo.onnx", f"bytes={HALF}-")]


def test_nobody_is_sent_on_from_https_to_http(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    context, certificate = tls_context(tmp_path)
    with serving({"/yolo.onnx": DATA}, tls=context) as secure:
        kept = store(tmp_path / "models", secure)
        with pytest.raises(Unavailable, match=r"CERTIFICATE_VERIFY_FAILED.*SSL_CERT_FILE"):
            kept.pull(NAME, progress=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        secure.sends_on["/yolo.onnx"] = f"{web.url}/yolo.onnx"
        with pytest.raises(Unavailable, match="which is not https"):
            kept.pull(NAME, progress=False)
        assert web.seen == []
        secure.sends_on.clear()
        kept.pull(NAME, progress=False)
    assert kept.present(NAME)


def test_a_circle_ends(tmp_path: Path, web: Web) -> None:
    web.sends_on["/yolo.onnx"] = "/yolo.onnx"
    with pytest.raises(Unavailable, match="sends us on more than"):
        store(tmp_path, web).pull(NAME, progress=False)


@pytest.mark.parametrize("there", ["ftp://models.invalid/yolo.onnx", "file:///etc/passwd"])
def test_only_web_addresses_are_followed(tmp_path: Path, web: Web, there: str) -> None:
    web.sends_on["/yolo.onnx"] = there
    with pytest.raises(Unavailable, match="which is not https"):
        store(tmp_path, web).pull(NAME, progress=False)


def test_an_error_names_no_password(tmp_path: Path, web: Web) -> None:
    web.refuse = 403
    mirror = web.url.replace("http://", "http://me:secret@")
    with pytest.raises(Unavailable) as refused:
        store(tmp_path, web, mirror=mirror).pull(NAME, progress=False)
    assert "secret" not in str(refused.value)


def test_the_command_shows_how_far_it_is_and_ends_with_where_the_file_is(tmp_path: Path, web: Web) -> None:
    manifest = tmp_path / "models.toml"
    manifest.write_text(row(web))
    variables = {"CANDOR_MODELS_DIR": str(tmp_path / "models"), "CANDOR_MODELS_MANIFEST": str(manifest)}
    pulled = pull_command(NAME, **variables)
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.splitlines()[-1] == f"{NAME}: {tmp_path / 'models' / 'yolo.onnx'} (MIT)"
    assert "400.0/400.0 kB" in pulled.stderr
    web.files["/yolo.onnx"] = DATA[:-1] + b"\0"
    (tmp_path / "models" / "yolo.onnx").unlink()
    wrong = pull_command(NAME, "--quiet", **variables)
    assert wrong.returncode == 1
    assert wrong.stderr == f"candor: yolo.onnx of {NAME} is not the pinned one: thrown away, pull again\n"


def test_a_wrong_manifest_is_told_in_one_line(tmp_path: Path, web: Web) -> None:
    manifest = tmp_path / "models.toml"
    manifest.write_text(row(web).replace('task = "text"', 'task = "tea"'))
    refused = pull_command(NAME, CANDOR_MODELS_MANIFEST=str(manifest))
    assert refused.returncode == 1
    (told,) = refused.stderr.splitlines()
    assert told.startswith(f"candor: {manifest}: models.{NAME}.task: Invalid enum value 'tea'; it is one of ")
    assert "objects" in told

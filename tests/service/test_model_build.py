"""Models made of what the mediapipe package carries: when first needed, once, whole; and `candor models build`."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnxruntime
import pytest
from typer.testing import CliRunner

from inference.backends import engines
from inference.models import batching, building, cli, convert
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from proto.errors import BadInput, FeatureMissing, Unavailable
from tests.support.models import environment

ROOT = Path(__file__).resolve().parents[2]


def store(folder: Path, **changes: bool) -> Store:
    return Store(ModelsSettings(dir=folder / "pulled", built_dir=folder / "built"), **changes)


def models_in(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "built").iterdir() if not path.name.endswith(".lock"))


def test_a_model_that_is_not_built_yet_is_built_when_it_is_needed(tmp_path: Path) -> None:
    kept = store(tmp_path)
    assert not kept.present("person")
    found = kept.find("person", "person")
    assert found.path.parent == tmp_path / "built"
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o644
    assert models_in(tmp_path) == [found.path.name]
    session = onnxruntime.InferenceSession(str(found.path), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[1:]
    before = found.path.stat().st_mtime_ns
    assert kept.find("person", "person").path.stat().st_mtime_ns == before


def test_a_gpu_gets_a_form_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store(tmp_path, for_gpu=True).path("person") != store(tmp_path, for_gpu=False).path("person")
    monkeypatch.setenv("CANDOR_ONNX_PROVIDER", "cuda")
    assert store(tmp_path).path("person") == store(tmp_path, for_gpu=True).path("person")
    monkeypatch.setenv("CANDOR_ONNX_PROVIDER", "cpu")
    assert store(tmp_path).path("person") == store(tmp_path, for_gpu=False).path("person")


def test_several_at_once_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    real = convert.build

    def counted(name: str, folder: Path, *, for_gpu: bool) -> Path:
        built.append(name)
        return real(name, folder, for_gpu=for_gpu)

    monkeypatch.setattr(convert, "build", counted)
    with ThreadPoolExecutor(4) as pool:
        found = {
            one.result(60).path for one in [pool.submit(store(tmp_path).find, "person", "person") for _ in range(4)]
        }
    assert len(found) == 1
    assert built == ["person"]


def test_what_older_versions_made_goes_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "built"
    folder.mkdir()
    old = [f"person-mediapipe-0.10.{patch}-0123456789ab-{form}.onnx" for patch in (9, 21) for form in ("cpu", "gpu")]
    others = ["hands-palm-mediapipe-0.10.9-0123456789ab-cpu.onnx", "person.onnx", "person-mediapipe-ours-cpu.onnx"]
    for name in (*old, *others):
        (folder / name).write_bytes(b"weights")
    other_form = store(tmp_path, for_gpu=True).find("person", "person").path
    assert models_in(tmp_path) == sorted([*others, other_form.name])
    (folder / old[0]).write_bytes(b"weights")
    with (folder / old[0]).open("rb") as running:
        found = store(tmp_path, for_gpu=False).find("person", "person").path
        assert models_in(tmp_path) == sorted([*others, other_form.name, found.name])
        assert running.read() == b"weights"


def test_an_empty_file_and_what_a_dead_process_left_are_built_over(tmp_path: Path) -> None:
    kept = store(tmp_path)
    final = kept.path("person")
    final.parent.mkdir()
    final.touch()
    (final.parent / ".person.building").mkdir()
    (final.parent / ".person.building" / "half.onnx").write_bytes(b"half")
    assert not kept.present("person")
    assert kept.find("person", "person").path.stat().st_size > 100_000
    assert models_in(tmp_path) == [final.name]


def test_a_network_that_the_converter_does_not_know_is_a_missing_feature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_self: object) -> None:
        raise NotImplementedError("TFLite operator WHAT_IS_THIS")

    monkeypatch.setattr("inference.models.convert.operators.Translator.run", unknown)
    with pytest.raises(FeatureMissing, match=r"person cannot be built.*WHAT_IS_THIS"):
        store(tmp_path).find("person", "person")
    assert models_in(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_a_missing_feature(tmp_path: Path) -> None:
    (tmp_path / "built").write_text("in the way")
    with pytest.raises(FeatureMissing, match="cannot be built") as missing:
        store(tmp_path).find("person", "person")
    assert (missing.value.feature, missing.value.command) == ("person", "candor models build")


def test_without_the_package_it_is_a_missing_feature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> str:
        raise Unavailable("mediapipe is not installed")

    monkeypatch.setattr(convert, "file_name", absent)
    monkeypatch.setattr(convert, "build", absent)
    kept = store(tmp_path)
    assert not kept.present("face-mesh")
    with pytest.raises(FeatureMissing, match="mediapipe is not installed"):
        kept.find("face-mesh", "face")


def test_what_is_not_embedded_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="candor models pull sface"):
        store(tmp_path).build("sface")


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inference.models", *arguments],
        cwd=ROOT,
        env=os.environ
        | {"CANDOR_MODELS_DIR": str(folder / "pulled"), "CANDOR_MODELS_BUILT_DIR": str(folder / "built")}
        | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_builds_all_of_them(tmp_path: Path) -> None:
    built = command(tmp_path, "build")
    assert built.returncode == 0, built.stderr
    names = [line.split(":")[0] for line in built.stdout.splitlines() if line.strip()]
    assert names == list(convert.NAMES)
    assert len(models_in(tmp_path)) == len(convert.NAMES)
    listed = json.loads(command(tmp_path, "list", "--json").stdout)
    states = {row["name"]: (row["state"], row["size_bytes"] > 100_000) for row in listed if row["name"] in names}
    assert states == dict.fromkeys(convert.NAMES, ("present", True))


def test_engines_without_tensorrt_are_refused_in_plain_words(tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorrt"):
        pytest.skip("TensorRT is here")
    refused = command(tmp_path, "build", "person", "--tensorrt")
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("candor: ")
    assert "TensorRT" in last
    assert "uv sync" in last
    # What a GPU runs was made all the same.
    assert convert.file_name("person", for_gpu=True) in models_in(tmp_path)


def test_engines_are_built_of_what_is_here(tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Path]] = []
    monkeypatch.setattr(engines, "build", lambda models, *_: asked.extend((one.name, one.path) for one in models))
    monkeypatch.setattr(cli, "configure", lambda *_, **__: None)
    run = CliRunner()
    variables = environment(models_dir, tmp_path)
    done = run.invoke(cli.app, ["build", "person", "yolox-nano", "--tensorrt"], env=variables, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert asked == [
        ("person", tmp_path / convert.file_name("person", for_gpu=True)),
        ("yolox-nano", tmp_path / batching.file_name("yolox-nano", models_dir / "yolox_nano.onnx")),
    ]
    asked.clear()
    run.invoke(cli.app, ["build", "--tensorrt"], env=variables, catch_exceptions=False)
    assert {"yolox-nano", "mobilefacenet", *convert.NAMES} <= {name for name, _ in asked}
    assert "sface" not in {name for name, _ in asked}
    with pytest.raises(FeatureMissing, match="candor models pull sface"):
        run.invoke(cli.app, ["build", "sface", "--tensorrt"], env=variables, catch_exceptions=False)


@pytest.mark.parametrize(
    ("wheel", "device", "provider", "may", "does"),
    [
        (True, True, "auto", True, True),
        (True, False, "auto", True, False),
        (False, True, "auto", False, False),
        (True, True, "cpu", False, False),
        (False, False, "cuda", True, True),
    ],
)
def test_what_decides_the_form(
    monkeypatch: pytest.MonkeyPatch, *, wheel: bool, device: bool, provider: str, may: bool, does: bool
) -> None:
    def installed(name: str) -> str:
        if not wheel:
            raise building.metadata.PackageNotFoundError(name)
        return "1.31.1"

    monkeypatch.setattr(building.metadata, "version", installed)
    monkeypatch.setattr(building.gpu, "device_present", lambda: device)
    monkeypatch.setenv("CANDOR_ONNX_PROVIDER", provider)
    assert (building.may_use_gpu(), building.uses_gpu()) == (may, does)


def test_where_a_gpu_may_be_used_both_forms_are_built(tmp_path: Path) -> None:
    built = command(tmp_path, "build", "person", CANDOR_ONNX_PROVIDER="cuda")
    assert built.returncode == 0, built.stderr
    assert models_in(tmp_path) == sorted(convert.file_name("person", for_gpu=form) for form in (False, True))

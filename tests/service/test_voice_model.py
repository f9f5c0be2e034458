"""The voice encoder made of what a Resemblyzer wheel carries: weights as PyTorch wrote them, read without PyTorch."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from inference.models import voice
from inference.models.manifest import Card, File, MadeFrom, Manifest
from inference.models.settings import ModelsSettings
from inference.models.store import Store
from proto.errors import BadInput, Unavailable
from tests.support.web import serving

Floats = NDArray[np.float32]
WIDTH = 256


class FloatStorage:
    """Stands for PyTorch's class of that name in a pickle."""


def _rebuild_tensor_v2() -> None:
    """Stands for PyTorch's function of that name in a pickle."""


class _Stored:
    def __init__(self, key: str, numbers: Floats) -> None:
        self.key, self.numbers = key, numbers


class _Tensor:
    def __init__(self, storage: _Stored) -> None:
        self.storage = storage

    def __reduce__(self) -> tuple[object, ...]:
        shape = self.storage.numbers.shape
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
        return _rebuild_tensor_v2, (self.storage, 0, shape, strides, False, OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        if isinstance(obj, _Stored):
            return ("storage", FloatStorage, obj.key, "cpu", obj.numbers.size, None)
        return None


@pytest.fixture
def _torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names under which PyTorch's classes stand in a pickle."""
    for name, held in (("torch", FloatStorage), ("torch._utils", _rebuild_tensor_v2)):
        module = types.ModuleType(name)
        setattr(module, held.__name__, held)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(held, "__module__", name)


@pytest.fixture
def weights() -> dict[str, Floats]:
    random = np.random.default_rng(2)
    shapes = {"linear.weight": (WIDTH, WIDTH), "linear.bias": (WIDTH,)}
    for layer in range(3):
        shapes[f"lstm.weight_ih_l{layer}"] = (4 * WIDTH, WIDTH if layer else 40)
        shapes[f"lstm.weight_hh_l{layer}"] = (4 * WIDTH, WIDTH)
        shapes[f"lstm.bias_ih_l{layer}"] = shapes[f"lstm.bias_hh_l{layer}"] = (4 * WIDTH,)
    return {name: random.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


def written(weights: dict[str, Floats], *, magic: int = 0x1950A86A20F9469CFC6C) -> bytes:
    """A file as PyTorch wrote it before its version 1.6, with an optimiser's numbers among the weights."""
    stored = {name: _Stored(str(at), values) for at, (name, values) in enumerate(weights.items())}
    moment = _Stored("900", np.ones(7, np.float32))
    state = {
        "step": 3,
        "model_state": OrderedDict((name, _Tensor(one)) for name, one in stored.items()),
        "optimizer_state": {"state": [_Tensor(moment)]},
    }
    file = io.BytesIO()
    for header in (magic, 1001, {"little_endian": True}):
        pickle.dump(header, file, protocol=2)
    _Pickler(file, protocol=2).dump(state)
    kept = sorted((*stored.values(), moment), key=lambda one: one.key)
    pickle.dump([one.key for one in kept], file, protocol=2)
    for one in kept:
        file.write(struct.pack("<q", one.numbers.size) + one.numbers.tobytes())
    return file.getvalue()


def wheel(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(voice.WEIGHTS, content)
    return path


def embedded(weights: dict[str, Floats], mels: Floats) -> Floats:
    """What the network gives for one sound, computed step by step."""
    sound = [frame.astype(np.float64) for frame in mels]
    hidden = np.zeros(WIDTH)
    for layer in range(3):
        hidden, cell, out = np.zeros(WIDTH), np.zeros(WIDTH), []
        parts = [weights[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        for frame in sound:
            gates = parts[0] @ frame + parts[1] @ hidden + parts[2] + parts[3]
            into, forget, new, show = np.split(gates, 4)
            cell = _sigmoid(forget) * cell + _sigmoid(into) * np.tanh(new)
            hidden = _sigmoid(show) * np.tanh(cell)
            out.append(hidden)
        sound = out
    raw = np.maximum(0.0, weights["linear.weight"] @ hidden + weights["linear.bias"])
    return np.asarray(raw / np.linalg.norm(raw), np.float32)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-values)))


@pytest.mark.usefixtures("_torch")
def test_the_network_is_the_one_of_the_weights(weights: dict[str, Floats], tmp_path: Path) -> None:
    made = tmp_path / "made.onnx"
    voice.to_onnx(wheel(tmp_path / "r.whl", written(weights)), made)
    session = onnxruntime.InferenceSession(str(made), providers=["CPUExecutionProvider"])
    mels = np.random.default_rng(4).random((3, 160, 40)).astype(np.float32)
    (found,) = session.run(None, {"mels": mels})
    for row, one in zip(found, mels, strict=True):
        assert row == pytest.approx(embedded(weights, one), abs=1e-3)
    again = tmp_path / "again.onnx"
    voice.to_onnx(tmp_path / "r.whl", again)
    assert again.read_bytes() == made.read_bytes()


@pytest.mark.usefixtures("_torch")
def test_what_is_no_such_file_is_told(weights: dict[str, Floats], tmp_path: Path) -> None:
    whole = written(weights)
    with pytest.raises(BadInput, match=r"not a file of PyTorch before 1\.6"):
        voice.read(written(weights, magic=1))
    for broken in (b"", whole[:100], whole[:-5000], b"\x80\x02" + bytes(64)):
        with pytest.raises(BadInput):
            voice.read(broken)
    weights["linear.bias"] = weights["linear.bias"][:7]
    with pytest.raises(BadInput, match=r"linear\.bias is missing or of another shape"):
        voice.graph(voice.read(written(weights)))
    (tmp_path / "no.whl").write_bytes(b"no zip")
    with pytest.raises(BadInput, match="does not hold the voice encoder"):
        voice.to_onnx(tmp_path / "no.whl", tmp_path / "made.onnx")


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "made-by-the-pickle"),)

    with pytest.raises(BadInput, match="mkdir is not read"):
        voice.read(pickle.dumps(Evil(), protocol=2))
    assert not (tmp_path / "made-by-the-pickle").exists()


def store(folder: Path, url: str, source: bytes, made: bytes, *, mirror: str = "") -> Store:
    file = File(
        path="encoder.onnx",
        url=f"{url}/r.whl",
        sha256=hashlib.sha256(made).hexdigest(),
        size_bytes=len(made),
        made_from=MadeFrom(sha256=hashlib.sha256(source).hexdigest(), size_bytes=len(source), recipe="resemblyzer"),
    )
    card = Card(task="voices", feature="voices", licence="Apache-2.0", files=(file,))
    return Store(ModelsSettings(dir=folder, mirror=mirror), manifest=Manifest(models={"encoder": card}))


@pytest.mark.usefixtures("_torch")
def test_a_pull_makes_the_model_and_keeps_nothing_else(weights: dict[str, Floats], tmp_path: Path) -> None:
    source = wheel(tmp_path / "r.whl", written(weights)).read_bytes()
    made = voice.graph(weights)
    folder = tmp_path / "models"
    with serving({"/r.whl": source}) as web:
        kept = store(folder, web.url, source, made)
        assert kept.command("encoder") == "candor models pull encoder"
        path = kept.pull("encoder", progress=False)
        assert path.read_bytes() == made
        assert kept.present("encoder")
        assert [one.name for one in folder.rglob("*") if one.is_file() and not one.name.endswith(".lock")] == [
            "encoder.onnx"
        ]


@pytest.mark.usefixtures("_torch")
def test_what_was_made_must_be_what_is_pinned(weights: dict[str, Floats], tmp_path: Path) -> None:
    source = wheel(tmp_path / "r.whl", written(weights)).read_bytes()
    with serving({"/r.whl": source}) as web:
        kept = store(tmp_path / "models", web.url, source, b"another")
        with pytest.raises(Unavailable, match="is not the encoder that is pinned"):
            kept.pull("encoder", progress=False)
        assert not kept.present("encoder")


def test_a_mirror_has_the_model_itself(weights: dict[str, Floats], tmp_path: Path) -> None:
    made = voice.graph(weights)
    with serving({"/encoder.onnx": made}) as web:
        kept = store(tmp_path / "models", "https://nowhere.invalid", b"never asked for", made, mirror=web.url)
        assert kept.pull("encoder", progress=False).read_bytes() == made

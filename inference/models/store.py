"""The folder of models: a model is there whole, and the one that was meant, or it is not there."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import shutil
from pathlib import Path

import msgspec

from inference.models import labels
from inference.models.manifest import Card, Hub, Manifest, load
from inference.models.settings import ModelsSettings
from proto.errors import FeatureMissing, Full, NotFound, Unavailable

PARTIAL = ".partial"
_HASH_BLOCK = 1 << 20
_SPARE_BYTES = 64 << 20
OWN = "its owner's"


class LocalModel(msgspec.Struct, frozen=True):
    """A model that is here. `path` is its file, or its folder where it is made of several (Whisper)."""

    name: str
    card: Card
    path: Path

    @property
    def labels(self) -> tuple[str, ...]:
        """Its classes in the output's order; empty where it has none."""
        return labels.resolve(self.card.labels)


class Store:
    """Models of a manifest (by default the product's and the operator's) in the folders of `settings`; `endpoint` is a
    mirror of the hub.
    """

    def __init__(
        self, settings: ModelsSettings, *, manifest: Manifest | None = None, endpoint: str | None = None
    ) -> None:
        self._endpoint = endpoint
        self._built = settings.built_dir.expanduser()
        self.folder = settings.dir.expanduser()
        self.models = (manifest or load(settings.manifest)).models

    def card(self, name: str) -> Card:
        """The manifest's row of a name.

        Raises:
            NotFound: naming those that there are.
        """
        if name not in self.models:
            raise NotFound(f"no model {name!r}; there are {', '.join(sorted(self.models))}")
        return self.models[name]

    def path(self, name: str) -> Path:
        """Where a model is, or would be."""
        card = self.card(name)
        if card.hub:
            return self.folder / name
        if card.embedded:
            return self._built / _file_name(name)
        if card.package:
            return _package_folder(card.package) / card.files[0].path
        return self.folder / card.files[0].path

    def present(self, name: str) -> bool:
        """Whether the model is here, whole."""
        card = self.card(name)
        if card.hub:
            return all((self.path(name) / file).is_file() for file in card.hub.needed)
        if card.embedded:
            return self.path(name).is_file()
        root = _package_folder(card.package) if card.package else self.folder
        return all((root / file.path).is_file() for file in card.files)

    def find(self, wanted: str, feature: str) -> LocalModel:
        """A model by its name, or a Whisper folder by its path. An embedded one that is not built yet is built, which
        takes seconds.

        Raises:
            FeatureMissing: it is not here; says what to run.
        """
        if wanted in self.models:
            card = self.models[wanted]
            if card.embedded and not self.present(wanted):
                self._build(wanted, feature)
            if self.present(wanted):
                return LocalModel(wanted, card, self.path(wanted))
            raise FeatureMissing(feature, f"model {wanted} is not here", f"candor models pull {wanted}")
        own = Path(wanted).expanduser()
        if own.is_dir():
            return LocalModel(own.name, Card(task="speech to text", feature=feature, licence=OWN), own)
        raise FeatureMissing(feature, f"{wanted} is neither a folder nor one of {', '.join(sorted(self.models))}")

    def _build(self, name: str, feature: str) -> None:
        try:
            convert = importlib.import_module("inference.models.convert")
        except ImportError as error:
            raise FeatureMissing(feature, f"{name} cannot be built: {error}", "candor models build") from error
        self._built.mkdir(parents=True, exist_ok=True)
        convert.build(name, self._built)

    def pull(self, name: str, *, progress: bool = True) -> Path:
        """Fetch a model from the Hugging Face hub (or the mirror in HF_ENDPOINT) unless it is here; returns its path.

        What an interrupted pull had fetched is kept aside and not fetched again.

        Raises:
            NotFound: no such model, or the hub does not have that revision.
            Full: not enough room on the disk.
            Unavailable: the hub cannot be reached, broke off, or sent something else than the pinned weights.
        """
        card = self.card(name)
        if self.present(name):
            return self.path(name)
        if card.hub is None:
            raise NotFound(f"{name} cannot be pulled yet")
        partial = self.folder / PARTIAL / f"{name}-{card.hub.revision[:12]}"
        try:
            partial.mkdir(parents=True, exist_ok=True)
            _check_room(partial, name, card.size_bytes)
            from inference.models.hub import fetch  # noqa: PLC0415 - only a pull needs the hub client

            fetch(name, card.hub, card.size_bytes, partial, progress=progress, endpoint=self._endpoint)
            _verify(name, card.hub, partial)
            return self._put_in_place(name, partial)
        except OSError as error:
            raise Unavailable(f"cannot write models to {self.folder}: {error.strerror or error}") from error

    def _put_in_place(self, name: str, partial: Path) -> Path:
        """One rename, so that nobody ever sees half a model."""
        final = self.path(name)
        if final.exists() and not self.present(name):
            shutil.rmtree(final)
        try:
            partial.replace(final)
        except OSError:
            if not self.present(name):
                raise
            # Another pull of the same model was first.
            shutil.rmtree(partial, ignore_errors=True)
        return final


def _file_name(name: str) -> str:
    try:
        convert = importlib.import_module("inference.models.convert")
    except ImportError:
        return f"{name}.onnx"
    return str(convert.file_name(name))


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")


def _check_room(folder: Path, name: str, size_bytes: int) -> None:
    have = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    need = size_bytes - have + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < need:
        raise Full(f"{name} needs {need >> 20} MiB more in {folder}, {free >> 20} MiB are free")


def _verify(name: str, hub: Hub, folder: Path) -> None:
    lacking = [file for file in hub.needed if not (folder / file).is_file()]
    if lacking:
        raise NotFound(f"{hub.repository} at {hub.revision[:12]} has no {', '.join(lacking)}")
    for file, sha256 in hub.sha256.items():
        digest = hashlib.sha256()
        with (folder / file).open("rb") as stream:
            while block := stream.read(_HASH_BLOCK):
                digest.update(block)
        if digest.hexdigest() != sha256:
            shutil.rmtree(folder)
            raise Unavailable(f"{file} of {name} is not the pinned one: thrown away, pull again")

"""The folder of pulled models: a model is there whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from inference.models.manifest import MODELS, Model
from proto.errors import FeatureMissing, Full, NotFound, Unavailable

PARTIAL = ".partial"
_HASH_BLOCK = 1 << 20
_SPARE_BYTES = 64 << 20


class Store:
    """Models in `folder`, one subfolder each. `models` are those that can be pulled, `endpoint` is a mirror."""

    def __init__(self, folder: Path, models: Iterable[Model] = MODELS, endpoint: str | None = None) -> None:
        self._endpoint = endpoint
        self.folder = folder.expanduser()
        self.models = {model.name: model for model in models}

    def model(self, name: str) -> Model:
        """The manifest's row of a name.

        Raises:
            NotFound: naming those that there are.
        """
        if name not in self.models:
            raise NotFound(f"no model {name!r}; there are {', '.join(sorted(self.models))}")
        return self.models[name]

    def path(self, name: str) -> Path:
        """Where a model is, or would be."""
        return self.folder / self.model(name).name

    def present(self, name: str) -> bool:
        """Whether the model is here. Folders appear only when complete; a file that was deleted since counts."""
        return all((self.path(name) / file).is_file() for file in self.model(name).needed)

    def find(self, wanted: str, feature: str) -> Path:
        """Folder of a model by its name or by a path of its own.

        Raises:
            FeatureMissing: it is not here; says what to run.
        """
        if wanted in self.models:
            if self.present(wanted):
                return self.path(wanted)
            raise FeatureMissing(feature, f"model {wanted} is not here", f"candor models pull {wanted}")
        own = Path(wanted).expanduser()
        if own.is_dir():
            return own
        raise FeatureMissing(feature, f"{wanted} is neither a folder nor one of {', '.join(sorted(self.models))}")

    def pull(self, name: str, *, progress: bool = True) -> Path:
        """Fetch a model from the Hugging Face hub (or the mirror in HF_ENDPOINT) unless it is here; returns its folder.

        What an interrupted pull had fetched is kept aside and not fetched again.

        Raises:
            NotFound: no such model, or the hub does not have that revision.
            Full: not enough room on the disk.
            Unavailable: the hub cannot be reached, broke off, or sent something else than the pinned weights.
        """
        model = self.model(name)
        if self.present(name):
            return self.path(name)
        partial = self.folder / PARTIAL / f"{name}-{model.revision[:12]}"
        try:
            partial.mkdir(parents=True, exist_ok=True)
            _check_room(partial, model)
            from inference.models.hub import fetch  # noqa: PLC0415 - only a pull needs the hub client

            fetch(model, partial, progress=progress, endpoint=self._endpoint)
            _verify(model, partial)
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


def _check_room(folder: Path, model: Model) -> None:
    have = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    need = model.size_bytes - have + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < need:
        raise Full(f"{model.name} needs {need >> 20} MiB more in {folder}, {free >> 20} MiB are free")


def _verify(model: Model, folder: Path) -> None:
    lacking = [file for file in model.needed if not (folder / file).is_file()]
    if lacking:
        raise NotFound(f"{model.repository} at {model.revision[:12]} has no {', '.join(lacking)}")
    weights = folder / model.weights.file
    digest = hashlib.sha256()
    with weights.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    if digest.hexdigest() != model.weights.sha256:
        shutil.rmtree(folder)
        raise Unavailable(f"{model.weights.file} of {model.name} is not the pinned one: thrown away, pull again")

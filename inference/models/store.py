"""The folders of models: a model is there whole, and the one that was meant, or it is not there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import msgspec

from inference.models import batching, building, integrity, labels
from inference.models.manifest import Card, File, Hub, Manifest
from inference.models.reading import load
from inference.models.settings import ModelsSettings
from proto.errors import BadInput, FeatureMissing, NotFound

ABSENT = "is not here"


class LocalModel(msgspec.Struct, frozen=True):
    """A model that is here. `path` is the file to run (its first, or what was made of that to take any batch), or the
    folder of one that turns speech to text.
    """

    name: str
    card: Card
    path: Path

    @property
    def labels(self) -> tuple[str, ...]:
        """Its classes in the output's order; empty where it has none."""
        return labels.resolve(self.card.labels)


class Store:
    """The models of a manifest (by default the product's and the operator's) in the folders of `settings`; `endpoint`
    is a mirror of the hub. What is built here is built `for_gpu` or for the CPU (None: whichever is used here).
    Safe for several threads and processes at once.

    Raises:
        BadSettings: a manifest is wrong; names file, row and field.
    """

    def __init__(
        self,
        settings: ModelsSettings,
        *,
        manifest: Manifest | None = None,
        endpoint: str | None = None,
        for_gpu: bool | None = None,
    ) -> None:
        self._for_gpu = building.uses_gpu() if for_gpu is None else for_gpu
        self._endpoint = endpoint
        self._mirror = settings.mirror
        self.folder = settings.dir.expanduser()
        self.built_folder = settings.built_dir.expanduser()
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
        """Where a model is, or would be: its first file, or the folder of one that turns speech to text."""
        card, first = self.card(name), self.paths(name)[0]
        return first.parent if card.files and card.task == "speech to text" else first

    def paths(self, name: str) -> tuple[Path, ...]:
        """All files of a model; of one that comes from the hub, its folder."""
        card = self.card(name)
        if card.hub:
            return (self.folder / name,)
        if card.embedded:
            return (self.built_folder / building.file_name(name, for_gpu=self._for_gpu),)
        root = _package_folder(card.package) if card.package else self.folder
        return tuple(root / Path(file.path).expanduser() for file in card.files)

    def present(self, name: str) -> bool:
        """Whether the model is here, whole, and the one that the manifest names."""
        return not self.fault(name)

    def fault(self, name: str) -> str:
        """What keeps a model from being used, in words; empty where it is here."""
        card, paths = self.card(name), self.paths(name)
        try:
            if not any(path.exists() for path in paths):
                return ABSENT
        except OSError as error:
            return f"{paths[0]} cannot be read: {error.strerror}"
        if card.hub:
            return _folder_fault(card.hub, paths[0])
        files = card.files or (File(path=paths[0].name),)
        faults = (integrity.fault(path, file) for path, file in zip(paths, files, strict=True))
        return next(filter(None, faults), "")

    def size_bytes(self, name: str) -> int:
        """Bytes of a model on the disk, or to fetch; 0 for one that is not built yet."""
        card, paths = self.card(name), self.paths(name)
        try:
            here = [file for path in paths for file in ([path] if path.is_file() else path.glob("*")) if file.is_file()]
            if here:
                return sum(file.stat().st_size for file in here)
        except OSError:
            # What cannot be read is told by `fault`.
            return 0
        return card.size_bytes or sum(file.size_bytes for file in card.files)

    def find(self, wanted: str, feature: str) -> LocalModel:
        """A model by its name, or a Whisper folder by its path. What is made here and is not there yet is made, which
        takes seconds: an embedded model, and of one whose card says `open_batch` the file that takes any batch.

        Raises:
            FeatureMissing: it is not here; says what to run.
        """
        if wanted in self.models:
            card = self.models[wanted]
            if card.embedded:
                self._build(wanted, feature)
            if fault := self.fault(wanted):
                raise FeatureMissing(feature, f"model {wanted} {_of(fault)}", self.command(wanted))
            return LocalModel(wanted, card, self._runnable(wanted))
        own = Path(wanted).expanduser()
        if own.is_dir():
            return LocalModel(own.name, Card(task="speech to text", feature=feature, licence="its owner's"), own)
        raise FeatureMissing(feature, f"{wanted} is neither a folder nor one of {', '.join(sorted(self.models))}")

    def command(self, name: str) -> str:
        """What an operator runs to get a model; empty for a file that they must bring themselves."""
        card = self.card(name)
        if card.embedded:
            return building.COMMAND
        if card.package:
            return "uv sync"
        return f"candor models pull {name}" if card.hub or any(file.url for file in card.files) else ""

    def batched(self, name: str) -> Path | None:
        """What was made of a model's file to take any batch, and is run in its place; None where nothing was."""
        card = self.card(name)
        return batching.made_of(name, self.path(name), self.built_folder) if card.open_batch else None

    def build(self, name: str) -> Path:
        """Make what is made here of a model, unless it is there; returns the file to run.

        Raises:
            BadInput: nothing is.
            FeatureMissing: what it is made of, or room to write, is missing.
        """
        card = self.card(name)
        if not card.embedded and not card.open_batch:
            raise BadInput(f"nothing is built of {name}" + (f": {c}" if (c := self.command(name)) else ""))
        return self.find(name, card.feature).path

    def _runnable(self, name: str) -> Path:
        card, path = self.card(name), self.path(name)
        if not card.open_batch or card.layout is None:
            return path
        return batching.prepare(name, path, card.layout, self.built_folder)

    def _build(self, name: str, feature: str) -> None:
        final = self.path(name)
        if integrity.fault(final, File(path=final.name)):
            building.build(name, final, feature, for_gpu=self._for_gpu)

    def pull(self, name: str, *, progress: bool = True) -> Path:
        """Fetch a model unless it is here; returns its path. What an interrupted pull had fetched is kept aside and not
        fetched again; a second pull of the same model waits for the first.

        Raises:
            NotFound: no such model, or the source does not have it.
            BadInput: the model is not one to fetch.
            Full: not enough room on the disk.
            Unavailable: the source cannot be reached, broke off, or sent something else than the pinned files.
        """
        card = self.card(name)
        if card.embedded:
            raise BadInput(f"{name} is not fetched but built: {building.COMMAND} {name}")
        command = self.command(name)
        if not command:
            raise BadInput(f"{name} is not fetched: its row has no url. Its file belongs at {self.path(name)}")
        if not command.startswith("candor models pull"):
            raise BadInput(f"{name} is not fetched but installed: {command}")
        from inference.models.pulling import Pull  # noqa: PLC0415 - only a pull needs HTTP clients

        Pull(self, name, mirror=self._mirror, endpoint=self._endpoint, progress=progress).run()
        return self.path(name)


def _package_folder(package: str) -> Path:
    """Where a package is installed; a folder that is nowhere for one that is not."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else Path("/nowhere") / package


def _folder_fault(source: Hub, folder: Path) -> str:
    files = [File(path=name, sha256=source.sha256.get(name, "")) for name in source.needed]
    return next(filter(None, (integrity.fault(folder / file.path, file) for file in files)), "")


def _of(fault: str) -> str:
    return fault if fault == ABSENT else f"cannot be used: {fault}"

"""One pull: room, fetching aside, checksum, and into place in one step."""

from __future__ import annotations

import errno
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from inference.models import download, hub, integrity
from inference.models.locks import alone
from inference.models.manifest import File, Hub, MadeFrom
from proto.errors import BadInput, Full, NotFound, Unavailable

if TYPE_CHECKING:
    from inference.models.store import Store

ASIDE = ".partial"
WAIT_S = 3600.0
PART = ".part"
_SPARE_BYTES = 64 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Pull:
    """Fetches one model of a store. `mirror` is a web folder that has the plain files, `endpoint` the hub's mirror."""

    def __init__(self, store: Store, name: str, *, mirror: str, endpoint: str | None, progress: bool) -> None:
        self._store = store
        self._name = name
        self._card = store.card(name)
        self._mirror = mirror.rstrip("/")
        self._endpoint = endpoint
        self._progress = progress
        self._aside = store.folder / ASIDE / name

    def run(self) -> None:
        """Bring the model into place unless it is there. Raises as `Store.pull` does."""
        if self._store.present(self._name):
            return
        try:
            with alone(self._aside.with_name(f"{self._name}.lock"), WAIT_S, self._tell_waiting):
                if self._store.present(self._name):
                    return
                if self._card.hub:
                    self._from_hub(self._card.hub)
                else:
                    self._files()
                shutil.rmtree(self._aside, ignore_errors=True)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise Full(f"no room for {self._name} in {self._store.folder}: {error.strerror}") from error
            raise Unavailable(f"cannot write models to {self._store.folder}: {error.strerror or error}") from error

    def _tell_waiting(self) -> None:
        if self._progress:
            sys.stderr.write(f"{self._name}: waiting for another pull of it\n")

    def _files(self) -> None:
        with ExitStack() as stack:
            bars = stack.enter_context(_bars()) if self._progress else None
            for file, final in zip(self._card.files, self._store.paths(self._name), strict=True):
                if integrity.fault(final, file):
                    self._file(file, final, bars)

    def _file(self, file: File, final: Path, bars: Progress | None) -> None:
        if not file.url:
            raise NotFound(f"{final} of {self._name} is not here, and its row in the manifest has no url")
        # A mirror has the file itself, made already.
        source = None if self._mirror else file.made_from
        sha256, size_bytes = (source.sha256, source.size_bytes) if source else (file.sha256, file.size_bytes)
        folder = self._folder_for(sha256)
        part = folder / (final.name + PART)
        _check_room(folder, self._name, size_bytes + (file.size_bytes if source else 0))
        url = f"{self._mirror}/{file.path}" if self._mirror else file.url
        row = bars.add_task(f"{self._name}/{final.name}", total=size_bytes) if bars else None

        def told(have: int) -> None:
            if bars and row is not None:
                bars.update(row, completed=have)

        download.fetch(url, part, size_bytes, told)
        if integrity.checksum(part) != sha256:
            part.unlink()
            raise Unavailable(f"{final.name} of {self._name} is not the pinned one: thrown away, pull again")
        integrity.put_in_place(_made(self._name, source, part, file) if source else part, final)

    def _from_hub(self, source: Hub) -> None:
        folder = self._folder_for(source.revision)
        _check_room(folder, self._name, self._card.size_bytes)
        hub.fetch(self._name, source, self._card.size_bytes, folder, progress=self._progress, endpoint=self._endpoint)
        _verify(self._name, source, folder)
        # One rename, so that nobody ever sees half a model; what is in the way is another revision, or broken.
        final = self._store.path(self._name)
        if final.exists():
            replaced = self._aside / "replaced"
            shutil.rmtree(replaced, ignore_errors=True)
            final.rename(replaced)
        folder.replace(final)

    def _folder_for(self, pin: str) -> Path:
        """Where what was begun is kept: by what it is to become, so that another version never goes on with it."""
        folder = self._aside / pin[:12]
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _made(name: str, source: MadeFrom, part: Path, file: File) -> Path:
    # The onnx package and the recipe: for a pull of such a model alone.
    from inference.models.voice import to_onnx  # noqa: PLC0415

    recipes = {"resemblyzer": to_onnx}
    made = part.with_suffix(".made")
    try:
        recipes[source.recipe](part, made)
    except BadInput as error:
        raise Unavailable(f"{name} cannot be made of {file.url}: {error}") from error
    if integrity.checksum(made) != file.sha256:
        made.unlink()
        raise Unavailable(f"what was made of {file.url} is not the {name} that is pinned")
    return made


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _check_room(folder: Path, name: str, size_bytes: int) -> None:
    have = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    need = size_bytes - have + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < need:
        raise Full(f"{name} needs {need >> 20} MiB more in {folder}, {free >> 20} MiB are free")


def _verify(name: str, source: Hub, folder: Path) -> None:
    lacking = [file for file in source.needed if not (folder / file).is_file()]
    if lacking:
        raise NotFound(f"{source.repository} at {source.revision[:12]} has no {', '.join(lacking)}")
    for file, sha256 in source.sha256.items():
        if integrity.checksum(folder / file) != sha256:
            shutil.rmtree(folder)
            raise Unavailable(f"{file} of {name} is not the pinned one: thrown away, pull again")

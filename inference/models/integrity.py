"""Whether a file is the one that was meant."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from inference.models.manifest import File

_BLOCK = 1 << 20


def checksum(path: Path) -> str:
    """SHA-256 of a file in hexadecimal. Read once (about half a second a GiB) as long as the file stays untouched.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    return _checksum(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _checksum(path: Path, _inode: int, _size: int, _mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fault(path: Path, file: File) -> str:
    """What keeps `path` from being the manifest's `file`, in words; empty where nothing does."""
    try:
        if not path.is_file():
            return f"{path.name} is not here"
        if not file.sha256:
            return "" if path.stat().st_size else f"{path.name} is empty"
        if checksum(path) in (file.sha256, *file.also_sha256):
            return ""
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    return f"{path.name} is not the one that the manifest names (another checksum)"


def put_in_place(made: Path, final: Path) -> None:
    """Move a finished file to where it is looked for: on the disk first, then seen by others in one step."""
    with made.open("rb") as file:
        os.fsync(file.fileno())
    final.parent.mkdir(parents=True, exist_ok=True)
    made.replace(final)

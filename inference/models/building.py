"""Models that are made of what the mediapipe package carries."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

from inference.backends import gpu
from inference.backends.settings import OnnxSettings
from inference.models import convert
from inference.models.integrity import put_in_place
from inference.models.locks import alone
from proto.errors import FeatureMissing, Unavailable

WAIT_S = 120.0
COMMAND = "candor models build"


def may_use_gpu() -> bool:
    """Whether this installation runs models on a GPU where there is one, as far as settings and packages say."""
    provider = OnnxSettings.load().provider
    if provider != "auto":
        return provider != "cpu"
    try:
        metadata.version("onnxruntime-gpu")
    except metadata.PackageNotFoundError:
        return False
    return True


def uses_gpu() -> bool:
    """The same, here: an image is made where no GPU is, and may be run so."""
    return may_use_gpu() and (OnnxSettings.load().provider != "auto" or gpu.device_present())


def file_name(name: str, *, for_gpu: bool) -> str:
    """Name of the built file. It changes with whatever the result depends on, so that an old one is never taken."""
    try:
        return convert.file_name(name, for_gpu=for_gpu)
    except Unavailable:
        # Without the package there is nothing to build, and no file of that name.
        return f"{name}-without-mediapipe.onnx"


def build(name: str, final: Path, feature: str, *, for_gpu: bool) -> None:
    """Make `final`, unless another process was first. Takes seconds; nobody sees half a file.

    Raises:
        FeatureMissing: the package, or room to write, is missing, or the package carries something unknown.
    """

    def write(made: Path) -> None:
        convert.build(name, made.parent, for_gpu=for_gpu).replace(made)

    try:
        make(name, final, write, old=_old(name), keep=[file_name(name, for_gpu=form) for form in (False, True)])
    except (OSError, Unavailable, NotImplementedError) as error:
        # The last: another release of the package carries a network that the converter does not know.
        raise FeatureMissing(feature, f"{name} cannot be built in {final.parent}: {error}", COMMAND) from error


def is_made(final: Path) -> bool:
    """Whether a file is there, and not empty.

    Raises:
        OSError: the folder cannot be read.
    """
    return final.is_file() and final.stat().st_size > 0


def make(
    name: str, final: Path, write: Callable[[Path], None], *, old: re.Pattern[str], keep: Iterable[str] = ()
) -> None:
    """Have `final` written, by one process at a time, unless another was first. Nobody sees half a file. Then files of
    the folder that `old` matches go, but for `keep`: who has one open goes on with it.

    Raises:
        OSError: the folder cannot be written.
        Unavailable: another process is at it for too long.
    """
    folder = final.parent
    workshop = folder / f".{name}.building"
    with alone(folder / f".{name}.lock", WAIT_S):
        if is_made(final):
            return
        # Left behind by a process that died.
        shutil.rmtree(workshop, ignore_errors=True)
        workshop.mkdir()
        try:
            made = workshop / "made.onnx"
            write(made)
            # Built by root while an image is made, read by a worker that is not.
            made.chmod(0o644)
            put_in_place(made, final)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
        for path in folder.iterdir():
            if old.fullmatch(path.name) and path.name not in (final.name, *keep):
                # What stays is only room on the disk: no reason to do without the new one.
                with contextlib.suppress(OSError):
                    path.unlink()


def _old(name: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(name)}-mediapipe-.+-[0-9a-f]{{12}}-(cpu|gpu)\.onnx")

"""Reading manifests strictly: what is wrong is told with file, row and field."""

from __future__ import annotations

import ipaddress
import math
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec

from inference.models.labels import LISTS
from inference.models.manifest import Card, Colours, Decode, File, Fit, Manifest, Task
from proto.errors import BadSettings

OURS = Path(__file__).with_name("manifest.toml")
MAX_BYTES = 1 << 20
MAX_MODELS = 200
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_AT = re.compile(r"^(?P<what>.*?) - at `(?:key in )?\$(?P<where>.*)`$", re.DOTALL)
_CHOICES = {"task": get_args(Task), "colours": get_args(Colours), "fit": get_args(Fit), "decode": get_args(Decode)}
_LABELLED = ("objects", "expression")
_LAID_OUT = ("objects", "identity", "expression")


def load(own: Path | None = None) -> Manifest:
    """The product's manifest, and with `own` an operator's, whose rows are added or take the place of ours.

    Raises:
        BadSettings: naming file, row and field.
    """
    models = read(OURS)
    if own is not None:
        embedded = {name for name, card in models.items() if card.embedded}
        for name, card in read(own.expanduser()).items():
            if card.embedded and name not in embedded:
                raise BadSettings("is only for the models that come along", field=f"{own}: models.{name}.embedded")
            models[name] = card
    return Manifest(models=models)


def read(path: Path) -> dict[str, Card]:
    """The rows of one file.

    Raises:
        BadSettings: naming file, row and field.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadSettings(f"is larger than {MAX_BYTES} bytes", field=str(path))
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadSettings(f"cannot be read: {error.strerror}", field=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSettings(f"is not TOML: {error}", field=str(path)) from error
    rows = content.pop("models", {})
    if content:
        raise BadSettings("is not known; a row is a table [models.NAME]", field=f"{path}: {min(content)}")
    if not isinstance(rows, dict):
        raise BadSettings("must be a table", field=f"{path}: models")
    if len(rows) > MAX_MODELS:
        raise BadSettings(f"has {len(rows)} rows, more than {MAX_MODELS}", field=f"{path}: models")
    return {name: _card(name, row, f"{path}: models.{name}") for name, row in rows.items()}


def _card(name: str, row: Any, where: str) -> Card:
    if not _NAME.fullmatch(name):
        raise BadSettings("a name is 1 to 64 small letters, digits, dots, dashes or underscores", field=where)
    try:
        card = msgspec.convert(row, Card)
    except msgspec.ValidationError as error:
        found = _AT.match(str(error))
        what, part = (found["what"], found["where"]) if found else (str(error), "")
        if choices := _CHOICES.get(part.rpartition(".")[2]) if what.startswith("Invalid enum") else None:
            what += f"; it is one of {', '.join(filter(None, choices))}"
        raise BadSettings(what, field=f"{where}{part}") from error
    for field, fault in _faults(card):
        raise BadSettings(fault, field=f"{where}.{field}")
    return card


def _faults(card: Card) -> Iterator[tuple[str, str]]:
    """What the types cannot say: pairs of field and fault."""
    sources = [bool(card.files) and not card.package, card.hub is not None, card.embedded, bool(card.package)]
    if sum(sources) != 1:
        yield "files", "a model comes from exactly one of files, hub, embedded = true, or package with files"
    if card.package and not card.files:
        yield "files", "what is used of the package"
    if card.open_batch and (not card.files or card.package or card.layout is None):
        yield "open_batch", "is only for a model with a file of its own and a layout"
    for place, file in enumerate(card.files):
        for field, fault in _file_faults(file, fetched=not card.package):
            yield f"files[{place}].{field}", fault
    yield from _hub_faults(card)
    yield from _layout_faults(card)
    yield from _label_faults(card)
    yield from _similarity_faults(card)


def _file_faults(file: File, *, fetched: bool) -> Iterator[tuple[str, str]]:
    path = PurePosixPath(file.path)
    if ".." in path.parts or "\\" in file.path or not file.path.isprintable() or path.name.startswith("."):
        yield "path", "must be a plain path without .. in it"
    if file.also_sha256 and not file.sha256:
        yield "also_sha256", "needs sha256"
    if file.made_from and not file.url:
        yield "made_from", "needs the url that it is fetched from"
    if not file.url:
        return
    if not fetched:
        yield "url", "a package carries its files"
    if path.is_absolute() or file.path.startswith("~"):
        yield "path", "of a file that is fetched must be relative to the models folder"
    if not _is_good_address(file.url):
        yield "url", "must be an https address (http only on this machine)"
    if not file.sha256:
        yield "sha256", "a file that is fetched needs its checksum"
    if not file.size_bytes:
        yield "size_bytes", "a file that is fetched needs its size"


def _is_good_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hub_faults(card: Card) -> Iterator[tuple[str, str]]:
    if card.hub is None:
        return
    if not card.size_bytes:
        yield "size_bytes", "a model of the hub needs the size of all its files"
    for field, names in (("needed", card.hub.needed), ("sha256", tuple(card.hub.sha256))):
        if strange := [name for name in names if name not in card.hub.files]:
            yield f"hub.{field}", f"{strange[0]} is not one of files"


def _layout_faults(card: Card) -> Iterator[tuple[str, str]]:
    layout = card.layout
    if layout is None:
        if card.task in _LAID_OUT and not card.embedded:
            yield "layout", f"a model for {card.task} needs one"
        return
    for field, numbers in (("scale", (layout.scale,)), ("mean", layout.mean), ("std", layout.std)):
        if not all(map(math.isfinite, numbers)):
            yield f"layout.{field}", "must be finite"
    if layout.scale == 0.0:
        yield "layout.scale", "must not be 0"
    if 0.0 in layout.std:
        yield "layout.std", "must not hold a 0"
    if card.task == "objects" and not layout.decode:
        yield "layout.decode", "says how a detector's output is read; it must be given"


def _label_faults(card: Card) -> Iterator[tuple[str, str]]:
    if isinstance(card.labels, str):
        if card.labels not in LISTS:
            yield "labels", f"no list is called {card.labels!r}; there are {', '.join(sorted(LISTS))}"
    elif not card.labels and card.task in _LABELLED and not card.embedded:
        yield "labels", "the classes in the output's order must be given"


def _similarity_faults(card: Card) -> Iterator[tuple[str, str]]:
    points = card.similarity
    if not points:
        if card.task == "identity" and not card.embedded:
            yield (
                "similarity",
                "must be given: begin with [[-1, 0], [1, 100]], then run `candor models calibrate`",
            )
        return
    if len(points) < 2:
        yield "similarity", "needs two points (cosine, percent) or more"
    if not all(-1.0 <= cosine <= 1.0 and 0.0 <= percent <= 100.0 for cosine, percent in points):
        yield "similarity", "cosines are from -1 to 1 and percents from 0 to 100"
    for (cosine, percent), (next_cosine, next_percent) in pairwise(points):
        if next_cosine <= cosine or next_percent < percent:
            yield "similarity", f"does not rise at ({next_cosine:g}, {next_percent:g})"

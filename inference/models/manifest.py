"""What the manifest of models says: one TOML file, read strictly.

The product's own is `manifest.toml` beside this file; an operator adds models of their own in a second file of the same
form, named by `CANDOR_MODELS_MANIFEST`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from inference.models.labels import LISTS
from proto.errors import BadSettings

OURS = Path(__file__).with_name("manifest.toml")
MAX_BYTES = 1 << 20

Task = Literal[
    "speech to text", "face detection", "face mesh", "person", "hands", "objects", "identity", "expression", "text"
]
Colours = Literal["rgb", "bgr"]
Fit = Literal["stretch", "letterbox", "letterbox_top_left", "align_5_points", "square_crop"]
"""How a picture is brought to the input's size: scaled as it is; scaled whole with a border around or on the right and
below; a face moved by its eyes, nose and mouth to the ArcFace template; a face's box made square with black."""

Decode = Literal["", "yolox", "yolo_v5", "yolo_v8", "yolo_end_to_end"]
"""Layouts of a detector's output: YOLOX's raw grid; rows of (cx, cy, w, h, objectness, classes); the same without
objectness, transposed; rows of (x0, y0, x1, y1, score, class) after suppression inside the model."""


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. `path` is relative to the models folder (or absolute: an operator's own, then without `url`).
    `also_sha256` are checksums of further exports that are as good: taken when found, never fetched.
    """

    path: str
    url: str = ""
    sha256: str = ""
    also_sha256: tuple[str, ...] = ()
    size_bytes: int = 0


class Hub(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A repository of the Hugging Face hub at an exact revision; `files` are patterns, `needed` must be there after."""

    repository: str
    revision: str
    files: tuple[str, ...]
    needed: tuple[str, ...]
    sha256: dict[str, str] = {}


class Layout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes into an ONNX model and how it comes out. Pixel x becomes (x * scale - mean) / std, by channel."""

    input: str = ""
    width_px: Annotated[int, msgspec.Meta(ge=16, le=4096)]
    height_px: Annotated[int, msgspec.Meta(ge=16, le=4096)]
    colours: Colours = "rgb"
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: Fit = "stretch"
    pad: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    decode: Decode = ""
    strides: tuple[int, ...] = (8, 16, 32)
    softmax: bool = False


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model. `feature` is what a session lacks without it; `embedded` means that `candor models build` makes it of
    what an installed package carries, `package` that the package of that name carries `files`, used as they are.
    `labels` are the classes in the output's order, or the name of a known list ("coco"). `similarity` maps cosine to
    percent: rising points (cosine, percent), joined by straight lines.
    """

    task: Task
    feature: str
    licence: str
    note: str = ""
    files: tuple[File, ...] = ()
    hub: Hub | None = None
    size_bytes: int = 0
    embedded: bool = False
    package: str = ""
    layout: Layout | None = None
    labels: tuple[str, ...] | str = ()
    similarity: tuple[tuple[float, float], ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`models` by name: the name is what settings and `candor models pull` use."""

    models: dict[str, Card]


def load(own: Path | None = None) -> Manifest:
    """The product's manifest, and with `own` an operator's, whose rows are added or take the place of ours.

    Raises:
        BadSettings: naming file, row and field.
    """
    models = _read(OURS)
    if own is not None:
        models |= _read(own.expanduser())
    return Manifest(models=models)


def _read(path: Path) -> dict[str, Card]:
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
        raise BadSettings("is not known; rows are [models.NAME]", field=f"{path}: {min(content)}")
    if not isinstance(rows, dict):
        raise BadSettings("must be a table", field=f"{path}: models")
    return {name: _card(row, f"{path}: models.{name}") for name, row in rows.items()}


def _card(row: Any, where: str) -> Card:
    try:
        card = msgspec.convert(row, Card)
    except msgspec.ValidationError as error:
        raise BadSettings(str(error), field=where) from error
    if isinstance(card.labels, str) and card.labels not in LISTS:
        raise BadSettings(f"no list of labels {card.labels!r}; there are {', '.join(sorted(LISTS))}", field=where)
    return card

"""What the manifest of models says: one TOML file, read strictly.

The product's own is `manifest.toml` beside this file; an operator adds models of their own in a second file of the same
form, named by `CANDOR_MODELS_MANIFEST`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Task = Literal["speech to text", "face detection", "face mesh", "person", "hands", "objects", "identity", "expression"]
Colours = Literal["rgb", "bgr"]
Fit = Literal["stretch", "letterbox", "letterbox_top_left", "align_5_points", "square_crop"]
"""How a picture is brought to the input's size: scaled as it is; scaled whole with a border around or on the right and
below; a face moved by its eyes, nose and mouth to the ArcFace template; a face's box made square with black."""

Decode = Literal["", "yolox", "yolo_v5", "yolo_v8", "yolo_end_to_end"]
"""Layouts of a detector's output: YOLOX's raw grid; rows of (cx, cy, w, h, objectness, classes); the same without
objectness, transposed; rows of (x0, y0, x1, y1, score, class) after suppression inside the model."""


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. `path` is relative to the models folder (or absolute: an operator's own, then without `url`)."""

    path: str
    url: str = ""
    sha256: str = ""
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
    what an installed package carries. `labels` are the classes in the output's order, or the name of a known list
    ("coco"). `similarity` maps cosine to percent: rising points (cosine, percent), joined by straight lines.
    """

    task: Task
    feature: str
    licence: str
    note: str = ""
    files: tuple[File, ...] = ()
    hub: Hub | None = None
    size_bytes: int = 0
    embedded: bool = False
    layout: Layout | None = None
    labels: tuple[str, ...] | str = ()
    similarity: tuple[tuple[float, float], ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`models` by name: the name is what settings and `candor models pull` use."""

    models: dict[str, Card]

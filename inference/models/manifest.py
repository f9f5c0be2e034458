"""What the manifest of models says; `reading.py` reads it.

`manifest.toml` beside this file is the product's own. An operator adds models in a second file of the same form, named
by `CANDOR_MODELS_MANIFEST`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Task = Literal[
    "speech to text",
    "voices",
    "face detection",
    "face mesh",
    "person",
    "hands",
    "objects",
    "identity",
    "expression",
    "text",
]
Colours = Literal["rgb", "bgr"]
Fit = Literal["stretch", "letterbox", "letterbox_top_left", "align_5_points", "square_crop"]
"""How a picture is brought to the input's size: scaled as it is; scaled whole with a border around or on the right and
below; a face moved by its eyes, nose and mouth to the ArcFace template; a face's box made square with black."""

Decode = Literal["", "yolox", "yolo_v5", "yolo_v8", "yolo_end_to_end"]
"""Layouts of a detector's output: YOLOX's raw grid; rows of (cx, cy, w, h, objectness, classes); the same without
objectness, transposed; rows of (x0, y0, x1, y1, score, class) after suppression inside the model."""

Recipe = Literal["resemblyzer"]
"""The voice encoder of a Resemblyzer wheel as ONNX."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Side = Annotated[int, msgspec.Meta(ge=16, le=4096)]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=1 << 36)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Stride = Annotated[int, msgspec.Meta(ge=1, le=256)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class MadeFrom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file's `url` gives instead of the file: something of this checksum and size that `recipe` makes it of."""

    sha256: Sha256
    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 36)]
    recipe: Recipe


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. `path` is relative to the models folder (or absolute: an operator's own, then without `url`). With
    `url` there are `sha256` and `size_bytes`, too. `also_sha256` are checksums of further exports that are as good:
    taken when found, never fetched. With `made_from` the file is made of what is fetched, which is then thrown away.
    """

    path: Text
    url: str = ""
    sha256: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""
    also_sha256: tuple[Sha256, ...] = ()
    size_bytes: Bytes = 0
    made_from: MadeFrom | None = None


class Hub(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A repository of the Hugging Face hub at an exact revision; `files` are patterns, `needed` must be there after.
    `sha256` are checksums by file.
    """

    repository: Annotated[str, msgspec.Meta(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{40}$")]
    files: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=32)]
    needed: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=32)]
    sha256: dict[str, Sha256] = {}


class Layout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes into an ONNX model and how it comes out. Pixel x (0-255) becomes (x * scale - mean) / std, by channel.
    `input` is the input's name, empty for the first. `softmax` says that the output is logits and wants one.
    """

    input: str = ""
    width_px: Side
    height_px: Side
    colours: Colours = "rgb"
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: Fit = "stretch"
    pad: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    decode: Decode = ""
    strides: Annotated[tuple[Stride, ...], msgspec.Meta(min_length=1, max_length=8)] = (8, 16, 32)
    softmax: bool = False


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model. `feature` is what a session lacks without it. It comes from exactly one of: `files`; `hub`;
    `embedded`, which `candor models build` makes of what an installed package carries; `package`, which carries `files`
    used as they are. `default` rows are what `candor models pull` fetches without names.

    `labels` are the classes in the output's order, or the name of a known list ("coco"). `similarity` maps cosine to
    percent: rising points (cosine, percent), joined by straight lines. `size_bytes` is that of a whole `hub` model.
    `half_precision` says that float16 was seen to give the same results: a GPU then uses it. `open_batch` says that the
    file takes one picture at a time though the network could take many: one that does is made of it, if it gives the
    same.
    """

    task: Task
    feature: Text
    licence: Text
    note: str = ""
    default: bool = False
    files: Annotated[tuple[File, ...], msgspec.Meta(max_length=16)] = ()
    hub: Hub | None = None
    size_bytes: Bytes = 0
    embedded: bool = False
    package: Annotated[str, msgspec.Meta(pattern=r"^\w*$")] = ""
    layout: Layout | None = None
    half_precision: bool = False
    open_batch: bool = False
    labels: Annotated[tuple[Label, ...], msgspec.Meta(max_length=2000)] | str = ()
    similarity: Annotated[tuple[tuple[float, float], ...], msgspec.Meta(max_length=100)] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`models` by name: the name is what settings and `candor models pull` use."""

    models: dict[str, Card]

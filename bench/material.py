"""Labelled recordings and pictures: what is known of them, and as the frames that ingest would make of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import av
import cv2
import msgspec
import numpy as np
import simplejpeg

from inference.signals.expressions import NAMES
from ingest.picture import to_jpeg
from ingest.sampling import Looks, Sampler
from proto.errors import BadInput
from proto.media import Frame, Look
from proto.policy import RULE_NAMES, Analysis

PACKAGED = Path(__file__).with_name("truth.toml")
MAX_TRUTH_BYTES = 1024 * 1024

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Degrees = Annotated[float, msgspec.Meta(ge=-180, le=180)]
Side = Literal["centre", "left", "right", "up", "down"]


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that one of `rules` should report, and that lasts from `from_s` to `to_s`."""

    what: str
    rules: tuple[str, ...]
    from_s: Seconds
    to_s: Seconds


class Clip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recording. Stretches are (from_s, to_s, how many faces) and (from_s, to_s, where the eyes are)."""

    file: str
    clean: bool = False
    faces: tuple[tuple[Seconds, Seconds, Annotated[int, msgspec.Meta(ge=0, le=16)]], ...] = ()
    gaze: tuple[tuple[Seconds, Seconds, Side], ...] = ()
    expect: tuple[Expected, ...] = ()
    may: tuple[str, ...] = ()


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture with one head, and how it is turned: angles as in `proto.observations`."""

    file: str
    yaw_deg: Degrees
    pitch_deg: Degrees
    roll_deg: Degrees


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    files: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Expression(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    file: str
    shows: str


class Shown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture in which an object with one of `labels` is to be found."""

    file: str
    labels: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Truth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is known of a folder of material. The form is described at the top of truth.toml."""

    clips: tuple[Clip, ...] = ()
    heads: tuple[Head, ...] = ()
    people: tuple[Person, ...] = ()
    expressions: tuple[Expression, ...] = ()
    objects: tuple[Shown, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is named, in order."""
        alone: tuple[Clip | Head | Expression | Shown, ...]
        alone = (*self.clips, *self.heads, *self.expressions, *self.objects)
        return (*(one.file for one in alone), *(file for person in self.people for file in person.files))


def read(path: Path = PACKAGED) -> Truth:
    """What a file says of its material.

    Raises:
        BadInput: it cannot be read; names the field and what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TRUTH_BYTES + 1)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field=str(path)) from error
    if len(text) > MAX_TRUTH_BYTES:
        raise BadInput(f"is larger than {MAX_TRUTH_BYTES} bytes", field=str(path))
    try:
        truth = msgspec.toml.decode(text, type=Truth)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(str(error), field=str(path)) from error
    _check(truth, path)
    return truth


def _check(truth: Truth, path: Path) -> None:
    for clip in truth.clips:
        named = {*clip.may, *(rule for expected in clip.expect for rule in expected.rules)}
        if unknown := sorted(named - RULE_NAMES):
            raise BadInput(f"{clip.file} names {unknown[0]}, which is no rule", field=str(path))
        spans = [(e.from_s, e.to_s) for e in clip.expect] + [s[:2] for s in (*clip.faces, *clip.gaze)]
        if any(to_s <= from_s for from_s, to_s in spans):
            raise BadInput(f"{clip.file} has a stretch that ends before it begins", field=str(path))
    for expression in truth.expressions:
        if expression.shows not in NAMES:
            raise BadInput(f"{expression.file} shows {expression.shows}; there are {', '.join(NAMES)}", field=str(path))


def frames(path: Path, analysis: Analysis) -> Iterator[Frame]:
    """A recording as ingest would send it: sampled, upright, scaled, each frame with its looks.

    Raises:
        BadInput: it is no recording that can be decoded.
    """
    sampler, looks = Sampler(analysis.fps), Looks(analysis)
    seq = 0
    try:
        with av.open(str(path)) as container:
            for decoded in container.decode(video=0):
                t_s = float(decoded.time or 0.0)
                if not sampler.takes(t_s):
                    continue
                picture = to_jpeg(decoded, analysis.width_px, analysis.jpeg_quality)
                yield Frame(
                    session=path.stem, source="bench", seq=seq, t_s=t_s, width_px=picture.width_px,
                    height_px=picture.height_px, jpeg=picture.jpeg, looks=looks.due(t_s), keep_text=analysis.keep_text,
                )  # fmt: skip
                seq += 1
    except (av.FFmpegError, IndexError) as error:
        raise BadInput(f"cannot be decoded: {error}", field=str(path)) from error


def still(path: Path, analysis: Analysis, looks: tuple[Look, ...] = ()) -> Frame:
    """A picture as a single frame, scaled like those of a recording.

    Raises:
        BadInput: it is no picture.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise BadInput("is no picture", field=str(path))
    height_px, width_px = bgr.shape[:2]
    scale = min(1.0, analysis.width_px / width_px)
    if scale < 1.0:
        size = (round(width_px * scale), max(1, round(height_px * scale)))
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    jpeg = simplejpeg.encode_jpeg(
        np.ascontiguousarray(bgr, dtype=np.uint8), quality=analysis.jpeg_quality, colorspace="BGR"
    )
    return Frame(
        session=path.stem, source="bench", seq=0, t_s=0.0, width_px=bgr.shape[1], height_px=bgr.shape[0],
        jpeg=jpeg, looks=looks,
    )  # fmt: skip

"""A face as a direction: the embedding of any recognition model whose card says how its input is laid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from inference.backends.base import Image
from inference.backends.onnx import Array, OnnxModel
from inference.backends.settings import OnnxSettings
from inference.models.manifest import Layout
from proto.errors import BadInput, BadSettings, FeatureMissing

if TYPE_CHECKING:
    from inference.models.store import LocalModel

FEATURE = "identity"
CPU = "CPUExecutionProvider"

Embedding = npt.NDArray[np.float32]
"""(d,), of length 1."""


class FaceEmbeddingBackend:
    """Runs on faces already aligned to the ArcFace template (`signals/alignment.py`), RGB, of the card's size."""

    def __init__(self, model: LocalModel, onnx: OnnxSettings) -> None:
        self.name = model.name
        self.layout = _layout(model)
        self._max_batch = onnx.max_batch
        self._model = OnnxModel(model.path, onnx, name=model.name, feature=FEATURE, fp16=model.card.half_precision)

    def load(self) -> None:
        """Open the file and run it on an empty face.

        Raises:
            FeatureMissing: it, or ONNX Runtime, is absent or broken, or is no model of this layout.
            BadSettings: its card names an input that the file does not have.
        """
        self._model.load()
        if self.layout.input and self.layout.input not in self._model.inputs:
            known = ", ".join(self._model.inputs)
            raise BadSettings(f"is {self.layout.input!r}, the file has {known}", field=f"layout.input of {self.name}")
        width_px, height_px = self.layout.width_px, self.layout.height_px
        try:
            self.run([np.zeros((height_px, width_px, 3), dtype=np.uint8)])
        except Exception as error:  # ONNX Runtime has errors of its own for a feed that a graph does not take
            raise FeatureMissing(FEATURE, f"{self.name} does not take faces of {width_px}x{height_px}") from error

    @property
    def provider(self) -> str:
        """ONNX Runtime provider that runs it."""
        return self._model.provider

    def run(self, batch: Sequence[Image]) -> list[Embedding]:
        """Embedding of each aligned face, in order.

        Raises:
            BadInput: a face is not of the layout's size.
        """
        name = self.layout.input or self._model.inputs[0]
        found: list[Embedding] = []
        for part in self._parts(batch):
            (out, *_) = self._model.run({name: prepared(part, self.layout)})
            found += [_of_length_one(row) for row in np.asarray(out, dtype=np.float32).reshape(len(part), -1)]
        return found

    def _parts(self, batch: Sequence[Image]) -> Iterator[Sequence[Image]]:
        # On a CPU a batch saves nothing, and where weights are quantised at run time the range is that of the whole
        # batch: a face would look a little different beside another session's.
        step = 1 if self._model.provider == CPU or self._model.fixed_batch == 1 else self._max_batch
        for start in range(0, len(batch), step):
            yield batch[start : start + step]

    def close(self) -> None:
        self._model.close()


def prepared(batch: Sequence[Image], layout: Layout) -> Array:
    """(n, 3, height, width) float32 as the layout wants it, of RGB pictures of its size.

    Raises:
        BadInput: a picture is of another size.
    """
    wanted = (layout.height_px, layout.width_px, 3)
    for image in batch:
        if image.shape != wanted:
            raise BadInput(f"is {image.shape}, the model takes {wanted}", field="face")
    pixels = np.stack(batch).astype(np.float32)
    if layout.colours == "bgr":
        pixels = pixels[..., ::-1]
    mean, std = (np.array(values, dtype=np.float32) for values in (layout.mean, layout.std))
    pixels = (pixels * np.float32(layout.scale) - mean) / std
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)


def _of_length_one(row: npt.NDArray[np.float32]) -> Embedding:
    length = float(np.linalg.norm(row))
    # A picture without contrast can give nothing at all: alike to nobody, rather than a division by zero.
    return np.asarray(row / length if length > 0.0 else row, dtype=np.float32)


def _layout(model: LocalModel) -> Layout:
    layout = model.card.layout
    if layout is None or layout.fit != "align_5_points" or layout.width_px != layout.height_px:
        raise BadSettings('must be square and have fit = "align_5_points"', field=f"layout of {model.name}")
    return layout

"""Outputs of detectors in the usual YOLO layouts, decoded: one picture's raw numbers into boxes, scores and classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from inference.models.manifest import Layout

Floats = npt.NDArray[np.float32]

MAX_CANDIDATES = 300
"""Most boxes that are compared with each other: a picture made to hurt has thousands."""

_EXP_LIMIT = 10.0


class Candidates(NamedTuple):
    """Boxes (n, 4) as left, top, right, bottom in pixels of the model's input, scores (n,), class indices (n,)."""

    boxes: Floats
    scores: Floats
    classes: npt.NDArray[np.intp]


class Cells(NamedTuple):
    """YOLOX's cells in the order of its rows: column and row of each (n, 2), and its side in pixels (n, 1)."""

    at: Floats
    side_px: Floats


def cells_of(layout: Layout) -> Cells:
    """Cells of every stride of the layout, row by row; none where the strides are not named."""
    at, side_px = [np.empty((0, 2))], [np.empty((0, 1))]
    for stride in layout.strides:
        columns, rows = np.meshgrid(np.arange(layout.width_px // stride), np.arange(layout.height_px // stride))
        at.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        side_px.append(np.full((columns.size, 1), stride))
    return Cells(np.concatenate(at).astype(np.float32), np.concatenate(side_px).astype(np.float32))


def expected_shape(decode: str, labels: int, cells: int) -> tuple[int | None, ...]:
    """Shape of one picture's output; None stands for any number."""
    shapes: dict[str, tuple[int | None, ...]] = {
        "yolox": (cells, 5 + labels),
        "yolo_v5": (None, 5 + labels),
        "yolo_v8": (4 + labels, None),
        "yolo_end_to_end": (None, 6),
    }
    return shapes[decode]


def decoded(raw: Floats, layout: Layout, cells: Cells, labels: int, min_score: float, max_overlap: float) -> Candidates:
    """What one picture's output says is there, from `min_score` on. What is no number, no box or no class is left out;
    of boxes of one class that overlap by more than `max_overlap` (intersection over union) the best is kept.
    """
    found = _sound(DECODERS[layout.decode](raw, cells, min_score), labels)
    return found if layout.decode == "yolo_end_to_end" else _suppressed(found, min_score, max_overlap)


def _yolox(raw: Floats, cells: Cells, min_score: float) -> Candidates:
    """Rows (x, y, w, h, objectness, classes): centre from the cell's corner, logarithm of the size, in cells."""
    kept = raw[:, 4] >= min_score
    rows, side_px = raw[kept], cells.side_px[kept]
    centres = (rows[:, :2] + cells.at[kept]) * side_px
    sizes = np.exp(np.minimum(rows[:, 2:4], _EXP_LIMIT)) * side_px
    return _best_class(_corners(centres, sizes), rows[:, 5:] * rows[:, 4:5], min_score)


def _yolo_v5(raw: Floats, _cells: Cells, min_score: float) -> Candidates:
    rows = raw[raw[:, 4] >= min_score]
    return _best_class(_corners(rows[:, :2], rows[:, 2:4]), rows[:, 5:] * rows[:, 4:5], min_score)


def _yolo_v8(raw: Floats, _cells: Cells, min_score: float) -> Candidates:
    rows = raw[:, raw[4:].max(axis=0, initial=0.0) >= min_score].T
    return _best_class(_corners(rows[:, :2], rows[:, 2:4]), rows[:, 4:], min_score)


def _yolo_end_to_end(raw: Floats, _cells: Cells, min_score: float) -> Candidates:
    rows = raw[raw[:, 4] >= min_score]
    classes = np.where(np.isfinite(rows[:, 5]), rows[:, 5], -1.0)
    return Candidates(rows[:, :4], rows[:, 4], np.rint(np.clip(classes, -1.0, 1e6)).astype(np.intp))


Decoder = Callable[[Floats, Cells, float], Candidates]
DECODERS: dict[str, Decoder] = {
    "yolox": _yolox,
    "yolo_v5": _yolo_v5,
    "yolo_v8": _yolo_v8,
    "yolo_end_to_end": _yolo_end_to_end,
}


def _corners(centres: Floats, sizes: Floats) -> Floats:
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)


def _best_class(boxes: Floats, by_class: Floats, min_score: float) -> Candidates:
    classes = by_class.argmax(axis=1) if by_class.size else np.zeros(len(boxes), dtype=np.intp)
    scores = by_class[np.arange(len(boxes)), classes] if by_class.size else np.zeros(len(boxes), dtype=np.float32)
    kept = scores >= min_score
    return Candidates(boxes[kept], scores[kept], classes[kept])


def _sound(found: Candidates, labels: int) -> Candidates:
    """Without what is no number, no box or no class of the model's; of too many, the best."""
    kept = np.isfinite(found.boxes).all(axis=1) & (found.scores <= 1.0)
    kept &= (found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1) & (found.classes >= 0) & (found.classes < labels)
    (rows,) = np.nonzero(kept)
    if len(rows) > MAX_CANDIDATES:
        rows = rows[np.argsort(-found.scores[rows], kind="stable")[:MAX_CANDIDATES]]
    return Candidates(found.boxes[rows], found.scores[rows], found.classes[rows])


def _suppressed(found: Candidates, min_score: float, max_overlap: float) -> Candidates:
    """Of boxes of one class that overlap, the best (greedy non-maximum suppression)."""
    if not len(found.scores):
        return found
    sizes = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        sizes.tolist(), found.scores.tolist(), found.classes.tolist(), min_score, max_overlap
    )
    rows = np.asarray(kept, dtype=np.intp).reshape(-1)
    return Candidates(found.boxes[rows], found.scores[rows], found.classes[rows])

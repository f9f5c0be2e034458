"""Somebody who sits too far away for their face to be found in the whole picture."""

from __future__ import annotations

import numpy as np

from inference.backends.base import Image
from inference.vision.faces import FaceFinder
from inference.vision.identity.portraits import tiles

TILING = 2
"""Tiles of half the picture's sides that overlap by half: the detector shrinks what it is given to 128 pixels, so
that it finds faces of half the height in them."""


def is_anybody_far_away(finder: FaceFinder, image: Image) -> bool:
    """Whether a face is found in some part of a picture (RGB).

    That somebody may be there is all it says: what is so small may as well be a picture on the wall.
    """
    height_px, width_px = image.shape[:2]
    parts = [
        np.ascontiguousarray(image[top:bottom, left:right])
        for left, top, right, bottom in tiles(width_px, height_px, TILING)
    ]
    return any(len(found.rois) > 0 for found in finder.find(parts, [None] * len(parts)))

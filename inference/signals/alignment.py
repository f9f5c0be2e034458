"""A face brought to the place where recognition models were taught to expect it.

They are trained on faces moved, turned and scaled so that eyes, nose and mouth lie on five fixed points: the template
of ArcFace (Deng et al. 2019), which InsightFace and OpenCV's FaceRecognizerSF use with the same numbers.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from inference.signals.landmarks import LEFT_EYE, MOUTH_LEFT, MOUTH_RIGHT, RIGHT_EYE, EyePoints, Points

Image = npt.NDArray[np.uint8]
"""(height, width, 3) RGB."""

FivePoints = npt.NDArray[np.float64]
"""(5, 2) pixels: left eye, right eye, tip of the nose, left and right corner of the mouth, as the image shows them."""

TEMPLATE_SIDE_PX = 112
TEMPLATE_PX: FivePoints = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the five points lie in a picture of 112x112."""

NOSE_TIP = 1
SHRINK_FROM = 2.0
"""A face this many times larger than the template is shrunk by areas first: sampling it point by point gives noise."""


def five_points(points_px: Points) -> FivePoints:
    """The five points of a mesh (478, 3) in pixels. An eye is the middle of its corners, which, unlike the iris, stays
    where it is when the candidate looks aside.
    """
    eyes = [_middle(points_px, eye) for eye in (LEFT_EYE, RIGHT_EYE)]
    rest = [points_px[index, :2] for index in (NOSE_TIP, MOUTH_LEFT, MOUTH_RIGHT)]
    return np.asarray(np.stack(eyes + rest), dtype=np.float64)


def _middle(points_px: Points, eye: EyePoints) -> npt.NDArray[np.float64]:
    return np.asarray((points_px[eye.left, :2] + points_px[eye.right, :2]) / 2.0, dtype=np.float64)


def similarity_transform(source: FivePoints, target: FivePoints) -> npt.NDArray[np.float64]:
    """The rotation, scale and shift (2, 3) that lays `source` on `target` with the least squared error, never a mirror
    image (Umeyama 1991, eq. 40-42).

    Raises:
        ValueError: the source points fall together, or are not finite.
    """
    source_centre, target_centre = source.mean(axis=0), target.mean(axis=0)
    centred = source - source_centre
    spread = float((centred**2).sum())
    if not np.isfinite(spread) or spread < 1e-9:
        raise ValueError("the points of the face fall together")
    left, singular, right = np.linalg.svd((target - target_centre).T @ centred)
    handed = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right)) or 1.0])
    turn = (left * handed) @ right
    scale = float((singular * handed).sum()) / spread
    linear = scale * turn
    return np.column_stack([linear, target_centre - linear @ source_centre])


def aligned(image: Image, points_px: Points, side_px: int = TEMPLATE_SIDE_PX) -> Image:
    """The face of a mesh (478, 3) in pixels as a picture of `side_px` squared; what lies outside `image` is black.

    Raises:
        ValueError: the mesh is no face: its points fall together.
    """
    return aligned_by(image, five_points(points_px), side_px)


def aligned_by(image: Image, points: FivePoints, side_px: int = TEMPLATE_SIDE_PX) -> Image:
    """The same from the five points themselves.

    Raises:
        ValueError: the points fall together.
    """
    target = TEMPLATE_PX * (side_px / TEMPLATE_SIDE_PX)
    transform = similarity_transform(points, target)
    shrink = 1.0 / float(np.hypot(transform[0, 0], transform[1, 0]))
    if shrink >= SHRINK_FROM:
        image, points = _shrunk(*_cut_out(image, points, transform, side_px), int(shrink))
        transform = similarity_transform(points, target)
    # Zero outside, and linear in between, as the models' own training pictures were made.
    warped = cv2.warpAffine(image, transform, (side_px, side_px), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, dtype=np.uint8)


def _cut_out(
    image: Image, points: FivePoints, transform: npt.NDArray[np.float64], side_px: int
) -> tuple[Image, FivePoints]:
    """The part of the picture that the aligned one shows, with a margin; the points in it."""
    corners = np.array([[0, 0], [side_px, 0], [0, side_px], [side_px, side_px]]) - transform[:, 2]
    shown = corners @ np.linalg.inv(transform[:, :2]).T
    margin = 0.1 * float(np.ptp(shown, axis=0).max())
    size = np.array([image.shape[1], image.shape[0]])
    left, top = np.clip(np.floor(shown.min(axis=0) - margin), 0, size - 1).astype(int)
    right, bottom = np.clip(np.ceil(shown.max(axis=0) + margin), (left + 1, top + 1), size).astype(int)
    return image[top:bottom, left:right], points - (left, top)


def _shrunk(image: Image, points: FivePoints, times: int) -> tuple[Image, FivePoints]:
    """Picture and points at one part in `times` of their size."""
    rows, columns = image.shape[:2]
    size = (max(1, round(columns / times)), max(1, round(rows / times)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    # A pixel's place is its middle: the first of a shrunk picture lies where the middle of several was.
    factor = np.array([size[0] / columns, size[1] / rows])
    return small, (points + 0.5) * factor - 0.5

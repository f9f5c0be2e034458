"""Lists of class names that many models share, by name."""

from __future__ import annotations

from proto.errors import NotFound

COCO = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
"""The 80 classes of COCO 2017 in the order in which detectors are trained."""

LISTS = {"coco": COCO}


def resolve(named: tuple[str, ...] | str) -> tuple[str, ...]:
    """Class names as they are, or those of a list by its name.

    Raises:
        NotFound: no such list.
    """
    if not isinstance(named, str):
        return named
    if named not in LISTS:
        raise NotFound(f"no list of labels {named!r}; there are {', '.join(sorted(LISTS))}")
    return LISTS[named]

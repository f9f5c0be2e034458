"""Which models are converted, from which file, and what comes out of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from inference.models.convert.attention import Attention
from inference.models.convert.graph import Graph
from inference.models.convert.operators import NHWC, Translator
from inference.models.convert.tflite import TfliteModel


class Recipe(NamedTuple):
    """`source`: the TFLite file inside mediapipe's package; `write` translates it and names the outputs."""

    source: str
    write: Callable[[TfliteModel], Graph]


def _boxes(model: TfliteModel) -> Graph:
    """Detectors: `boxes` (N, anchors, numbers) and `scores` (N, anchors), as logits."""
    translator = Translator(model, {})
    graph = translator.run()
    boxes, scores = model.outputs
    anchors, numbers = model.shapes[boxes][1:]
    graph.output("boxes", translator.tensor(boxes), (anchors, numbers))
    graph.output("scores", graph.op("Reshape", translator.tensor(scores), graph.ints(0, anchors)), (anchors,))
    return graph


def _mesh(model: TfliteModel) -> Graph:
    """`landmarks` (N, 478, 3) in pixels of the crop, `presence` (N, 1) as a logit."""
    attention = Attention()
    translator = Translator(model, attention.handlers())
    graph = translator.run()
    graph.output("landmarks", attention.landmarks(translator), (478, 3))
    presence = translator.tensor(model.output("conv_faceflag"))
    graph.output("presence", graph.op("Reshape", presence, graph.ints(0, 1)), (1,))
    return graph


def _mask(model: TfliteModel) -> Graph:
    """`mask` (N, height, width): probability of a person."""
    translator = Translator(model, {})
    graph = translator.run()
    (number,) = model.outputs
    _, height, width, _ = model.shapes[number]
    mask = graph.op("Transpose", translator.tensor(number), perm=list(NHWC))
    graph.output("mask", graph.op("Reshape", mask, graph.ints(0, height, width)), (height, width))
    return graph


def _hand(model: TfliteModel) -> Graph:
    """`landmarks` (N, 21, 3) in pixels of the crop, `presence` (N, 1) as a probability."""
    translator = Translator(model, {})
    graph = translator.run()
    points = translator.tensor(model.output("Identity"))
    graph.output("landmarks", graph.op("Reshape", points, graph.ints(0, 21, 3)), (21, 3))
    graph.output("presence", translator.tensor(model.output("Identity_1")), (1,))
    return graph


RECIPES: dict[str, Recipe] = {
    "face-detector": Recipe("mediapipe/modules/face_detection/face_detection_short_range.tflite", _boxes),
    "face-mesh": Recipe("mediapipe/modules/face_landmark/face_landmark_with_attention.tflite", _mesh),
    "person": Recipe("mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite", _mask),
    "hands-palm": Recipe("mediapipe/modules/palm_detection/palm_detection_lite.tflite", _boxes),
    "hands-landmarks": Recipe("mediapipe/modules/hand_landmark/hand_landmark_lite.tflite", _hand),
}

"""What each stage of vision costs, by batch size, and what the whole face path costs: no bus, one process, one thread.

On a CPU it is the process's CPU time that counts, so that others on the machine disturb little; on a GPU the wall
clock. Batch sizes take turns within a round, and the median of the rounds is told.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from mediapipe.python.solutions.face_mesh import FaceMesh

from bench.figures import Report
from deploy.demo.scene import Scene
from deploy.demo.script import Act, Script
from inference.backends import running
from inference.backends.base import Image
from inference.signals import quality
from inference.signals.landmarks import to_pixels
from inference.vision import interpret
from inference.vision.analysis import Analyst, Ask, Seen
from inference.vision.decode import picture_of
from inference.vision.equipment import EXPRESSION, HANDS, IDENTITY, OBJECTS, PERSON
from inference.vision.hand_watch import HandWatch
from inference.vision.publishing import observation_of
from inference.vision.settings import VisionSettings
from inference.vision.tracks import Tracks
from ingest.picture import to_jpeg
from proto import codec
from proto.media import Frame

WIDTH_PX, HEIGHT_PX, FPS, QUALITY = 640, 480, 5.0, 80
FRAMES = 40
ROUNDS = 15
BATCHES = (1, 2, 4, 8, 16)
WHOLE = (PERSON, HANDS, OBJECTS)
TARGET_MS = 3.5
TARGET_MESHES = 2.3
"""The same in what MediaPipe's own tracking mesh costs: it needed 1.5 ms of decoded picture on the machine that the
target was set for. What a machine makes of both, it makes of both alike."""
MAX_JPEG_BYTES, MAX_PIXELS = 1_000_000, 4_000_000
RECORDINGS = (".mp4", ".mov", ".webm", ".mkv")
CPU = "CPUExecutionProvider"
PREFERRED = "talking_head_8s.mp4"
"""One person, in every picture: of a folder with several recordings, this one if it is there."""


class Material(NamedTuple):
    """`jpegs` of 640x480 at 5 fps, and where they are from."""

    name: str
    jpegs: tuple[bytes, ...]


class Timed(NamedTuple):
    """One stage: what is run with the pictures of a batch."""

    name: str
    run: Callable[[Sequence[int]], object]


def material_of(folder: Path | None) -> Material:
    """Pictures of a recording in `folder`, or else of the demo's generated candidate."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in RECORDINGS) if folder else []
    if found:
        path = next((path for path in found if path.name == PREFERRED), found[0])
        return Material(path.name, tuple(_encoded(one) for one in _pictures(path)))
    scene = Scene(Script(acts=(Act(0.0, FRAMES / FPS, "faces_camera", ""),), lines=()))
    pictures = (scene.picture(number / FPS) for number in range(FRAMES))
    rgb = (cv2.cvtColor(np.asarray(one, dtype=np.uint8), cv2.COLOR_BGR2RGB) for one in pictures)
    return Material("the demo's candidate", tuple(_encoded(np.asarray(one, dtype=np.uint8)) for one in rgb))


def _pictures(path: Path) -> list[Image]:
    found: list[Image] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if float(frame.time or 0.0) + 1e-6 >= len(found) / FPS:
                found.append(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8))
            if len(found) == FRAMES:
                break
    return found


def _encoded(rgb: Image) -> bytes:
    """640x480, the middle of the picture, as an ingest node encodes what it decoded (4:2:0)."""
    height_px, width_px = rgb.shape[:2]
    wide, high = min(width_px, height_px * 4 // 3), min(height_px, width_px * 3 // 4)
    left, top = (width_px - wide) // 2, (height_px - high) // 2
    cut = cv2.resize(rgb[top : top + high, left : left + wide], (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(cut, np.uint8), format="rgb24")
    return to_jpeg(frame.reformat(format="yuv420p"), WIDTH_PX, QUALITY).jpeg


def run(report: Report, folder: Path | None) -> None:
    """Measure with the models that the settings name and that are here."""
    material = material_of(folder)
    analyst = Analyst(VisionSettings.load())
    missing = {feature: error for feature, error in analyst.load().items() if error is not None}
    try:
        providers = {model.model: model.provider for model in running.models()}
        on_gpu = any(provider != CPU for provider in providers.values())
        clock = time.perf_counter if on_gpu else time.process_time
        report.say(f"vision by stage: {len(material.jpegs)} pictures of {material.name}, {WIDTH_PX}x{HEIGHT_PX}")
        report.say("runs on " + ", ".join(f"{model}: {provider}" for model, provider in sorted(providers.items())))
        for feature, error in missing.items():
            report.say(f"{feature} is not measured: {error.reason}" + (f" ({error.command})" if error.command else ""))
        _face_path(report, analyst, material, clock)
        _by_stage(report, analyst, material, clock)
        report.say("" if on_gpu else "not measured on a GPU: no GPU provider runs here")
    finally:
        analyst.close()


def _face_path(report: Report, analyst: Analyst, material: Material, clock: Callable[[], float]) -> None:
    """JPEG in, bytes of the observation out, of sessions that show the material one after the other's picture."""
    spent: dict[int, list[float]] = {sessions: [] for sessions in BATCHES}
    yardstick: list[float] = []
    images = [picture_of(jpeg, MAX_JPEG_BYTES, MAX_PIXELS) for jpeg in material.jpegs]
    mesh = FaceMesh(refine_landmarks=True)
    for number in range(ROUNDS // 3 + 1):
        begin = clock()
        for image in images:
            mesh.process(image)
        if number:
            yardstick.append((clock() - begin) * 1e3 / len(images))
        for sessions in BATCHES:
            begin = clock()
            frames = _sessions(analyst, material, sessions)
            if number:
                spent[sessions].append((clock() - begin) * 1e3 / frames)
    for sessions, spent_ms in spent.items():
        target = TARGET_MS if sessions == 1 else None
        name = f"face path, JPEG to observation, {sessions} session{'s' * (sessions > 1)} at once"
        report.add(name, statistics.median(spent_ms), "ms/frame", len(material.jpegs) * len(spent_ms), target)
    report.say(f"    the least of {len(spent[1])} rounds of one session: {min(spent[1]):.2f} ms/frame")
    mesh.close()
    mesh_ms, frames = statistics.median(yardstick), len(images) * len(yardstick)
    report.add("MediaPipe's own mesh, tracking, of decoded pictures, in the same rounds", mesh_ms, "ms/frame", frames)
    whole_ms = statistics.median(spent[1])
    report.add("face path, 1 session, in MediaPipe's meshes", whole_ms / mesh_ms, "meshes", frames, TARGET_MESHES)


def _sessions(analyst: Analyst, material: Material, sessions: int) -> int:
    """As a worker does it, with its memory of each session; returns how many frames that were."""
    tracks, hands = Tracks(), HandWatch(VisionSettings.model_fields["hands_rest_s"].default)
    count = len(material.jpegs)
    for seq in range(count):
        t_s, names = seq / FPS, [f"s{number}" for number in range(sessions)]
        jpegs = [material.jpegs[(seq + number) % count] for number in range(sessions)]
        asks = [Ask(hint=tracks.hint(name, t_s), hands=hands.is_due(name, t_s)) for name in names]
        for name, jpeg, seen in zip(names, jpegs, analyst.read(jpegs, asks), strict=True):
            codec.encode(observation_of(Frame(name, "bench", seq, t_s, WIDTH_PX, HEIGHT_PX, jpeg), 0.0, seen))
            if isinstance(seen, Seen) and seen.found is not None:
                hands.note(name, t_s, seen)
                tracks.note(name, t_s, seen.found)
    return count * sessions


def _by_stage(report: Report, analyst: Analyst, material: Material, clock: Callable[[], float]) -> None:
    stages = _stages(analyst, material)
    spent: dict[tuple[str, int], list[float]] = {}
    for number in range(ROUNDS + 1):
        for stage in stages:
            for batch in BATCHES:
                indices = [(number * batch + index) % len(material.jpegs) for index in range(batch)]
                begin = clock()
                stage.run(indices)
                if number:
                    spent.setdefault((stage.name, batch), []).append((clock() - begin) * 1e3 / batch)
    for stage in stages:
        alone_ms = statistics.median(spent[stage.name, 1])
        ratios = []
        for batch in BATCHES:
            spent_ms = statistics.median(spent[stage.name, batch])
            report.add(f"{stage.name}, batch of {batch}", 1e3 / spent_ms, "frames/s", ROUNDS * batch)
            ratios.append(f"{alone_ms / spent_ms:.2f}")
        report.say(f"    {alone_ms:.2f} ms a frame alone; batches are {', '.join(ratios)} times as fast")


def _stages(analyst: Analyst, material: Material) -> list[Timed]:
    """Every stage whose model is here, on pictures that are decoded and whose faces are known beforehand."""
    images = [picture_of(jpeg, MAX_JPEG_BYTES, MAX_PIXELS) for jpeg in material.jpegs]
    finder = analyst.finder
    found = finder.find(images, [None] * len(images))
    points = [to_pixels(one.meshes[0], WIDTH_PX, HEIGHT_PX) if len(one.meshes) else None for one in found]

    def faces(indices: Sequence[int], *, follow: bool) -> None:
        hints = [found[index].rois if follow else None for index in indices]
        finder.find([images[index] for index in indices], hints)

    def signals(indices: Sequence[int]) -> None:
        for index in indices:
            luma = quality.luma_of(images[index])
            readings = interpret.readings(found[index].meshes, WIDTH_PX, HEIGHT_PX)
            if readings:
                interpret.is_suspect(luma, readings[0])
            shown = interpret.conditions(luma, readings, 0.0)
            interpret.quality_of(luma, shown, None)
            interpret.with_abstentions(readings, shown)

    stages = [
        Timed("decode JPEG", lambda some: [picture_of(material.jpegs[i], MAX_JPEG_BYTES, MAX_PIXELS) for i in some]),
        Timed("faces, followed", lambda some: faces(some, follow=True)),
        Timed("faces, searched", lambda some: faces(some, follow=False)),
        Timed("signals, quality, abstentions", signals),
    ]
    whole = [_of_pictures(name, model, images) for name in WHOLE if (model := analyst.equipment.get(name))]
    return stages + whole + _of_faces(analyst, images, points)


def _of_pictures(name: str, model: Any, images: Sequence[Image]) -> Timed:
    """A model that looks at the whole picture."""
    return Timed(name, lambda some: model.run([images[i] for i in some]))


def _of_faces(analyst: Analyst, images: Sequence[Image], points: Sequence[Any]) -> list[Timed]:
    """Stages that look at one face that is found."""
    known = [(image, one) for image, one in zip(images, points, strict=True) if one is not None]
    if not known:
        return []
    stages = []
    if (expression := analyst.equipment.get(EXPRESSION)) is not None:

        def express(indices: Sequence[int]) -> None:
            expression.run([expression.crop(*known[index % len(known)]) for index in indices])

        stages.append(Timed(EXPRESSION, express))
    if (comparer := analyst.equipment.comparer) is not None:
        stages.append(Timed(IDENTITY, lambda some: comparer.embed([known[i % len(known)] for i in some])))
    return stages

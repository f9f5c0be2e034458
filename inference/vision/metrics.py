"""What a vision worker counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

FRAMES = Counter("candor_vision_frames", "Frames taken, by what became of them", ["outcome"])
RETURNED = Counter("candor_vision_frames_returned", "Frames given back because others were done first")
SHED = Counter("candor_vision_looks_shed", "Looks left out because the worker is overloaded", ["look"])
SHED_LEVEL = Gauge("candor_vision_shed_level", "How many kinds of looks are left out now")
STALE = Counter("candor_vision_stale_frames", "Frames that were stale when they were taken")
LOST = Counter("candor_vision_observations_lost", "Observations given up because the log did not acknowledge them")
FACES = Counter("candor_vision_faces", "Faces found")
BATCH_FRAMES = Histogram("candor_vision_batch_frames", "Frames in a batch", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
STAGE_S = Histogram(
    "candor_vision_stage_seconds",
    "Time of one frame in one stage",
    ["stage"],
    buckets=(0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
MODEL_FAILURES = Counter("candor_vision_model_failures", "Batches over which a stage failed", ["stage"])
TEXT_LOOKS = Counter(
    "candor_vision_text_looks",
    "Pictures to be searched for text, by what became of them: seen; superseded by a newer one of the session; dropped "
    "because too many sessions waited; unreadable; failed; lost on the way to the log; left when the worker stopped",
    ["outcome"],
)
TEXT_WAITING = Gauge("candor_vision_text_waiting", "Sessions whose picture waits to be searched for text")

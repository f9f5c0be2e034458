"""What the aggregator counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

OBSERVATIONS = Counter("candor_aggregator_observations", "Observations folded", ["kind"])
REDELIVERED = Counter("candor_aggregator_redelivered", "Observations skipped because the snapshot already held them")
REFOLDED = Counter("candor_aggregator_refolded", "Observations read back from the log because no snapshot held them")
UNFOLDABLE = Counter("candor_aggregator_unfoldable", "Observations put aside because folding them failed")
ORPHANS = Counter("candor_aggregator_orphans", "Log messages of erased sessions that were deleted")
CONFLICTS = Counter("candor_aggregator_conflicts", "Snapshots that somebody else had changed first")
INTERRUPTIONS = Counter("candor_aggregator_interruptions", "Batches given up because NATS did not answer")
ALERTS = Counter("candor_aggregator_alerts", "Alerts appended", ["rule"])
SWEPT = Counter("candor_aggregator_swept", "Sessions found silent", ["how"])
NOT_WATCHED = Counter("candor_aggregator_not_watched", "Sessions not looked after because too many are open")
PARTITIONS = Gauge("candor_aggregator_partitions", "Partitions this replica folds")
CACHED = Gauge("candor_aggregator_cached_sessions", "Sessions whose state is in memory")
WATCHED = Gauge("candor_aggregator_watched_sessions", "Open sessions looked after for silence")
BATCH = Histogram(
    "candor_aggregator_batch_observations",
    "Observations in a batch",
    buckets=(1, 2, 5, 10, 20, 50, 100, 250, 500, 1000),
)
_FAST = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
FOLD_S = Histogram(
    "candor_aggregator_session_fold_seconds", "Load, fold and store one session's part of a batch", buckets=_FAST
)
LAG_S = Histogram(
    "candor_aggregator_lag_seconds", "From an observation's arrival in the log to its stored state", buckets=_FAST
)
GLASS_S = Histogram(
    "candor_aggregator_glass_to_risk_seconds", "From a frame's arrival to its stored state", buckets=_FAST
)

"""What is kept of a session goes when the retention time is over, wherever it lies."""

from __future__ import annotations

import pytest

from runtime.bus.topology import buckets, streams
from runtime.settings import RuntimeSettings


@pytest.mark.parametrize("days", [1.0, 30.0])
def test_nothing_outlives_the_retention_time(days: float) -> None:
    settings = RuntimeSettings(log_retention_days=days)
    limit_s = days * 86_400
    for stream in streams(settings):
        age_s = stream.config.max_age
        # A stream of work in hand is emptied as it is done, and has no age.
        assert age_s is None or 0 < age_s <= limit_s, stream.config.name
    for bucket in buckets(settings):
        assert bucket.ttl is not None
        assert 0 < bucket.ttl <= limit_s, bucket.bucket

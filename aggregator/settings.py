"""Settings of the aggregator."""

from __future__ import annotations

from pydantic import Field

from runtime.settings import ServiceSettings


class AggregatorSettings(ServiceSettings, section="aggregator"):
    """One aggregator replica."""

    node: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_-]{0,64}$",
        description="Name of this replica among the lease owners; empty: host name, process id and a random part.",
    )
    batch: int = Field(256, ge=1, le=1000, description="Observations of one partition folded before a snapshot is put.")
    session_concurrency: int = Field(16, ge=1, le=256, description="Sessions of one partition folded at the same time.")
    cache_sessions: int = Field(2000, ge=1, description="Sessions whose state is kept in memory; others are re-read.")
    watched_sessions: int = Field(
        100_000, ge=1, description="Open sessions looked after for silence; above it, none is added."
    )
    stall_s: float = Field(5.0, gt=0, description="A live source silent for this long is reported as stalled.")
    sweep_s: float = Field(1.0, gt=0, description="Pause between two looks for stalled and idle sessions.")
    balance_s: float = Field(2.0, gt=0, description="Pause between two looks at how partitions are shared.")

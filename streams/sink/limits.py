"""The sizes of the sink's batches and the times it waits."""

from __future__ import annotations

from dataclasses import dataclass

from streams.telemetry.lag import STATISTICS_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkLimits:
    """Batch sizes, and times in seconds."""

    batch_rows: int = 10_000
    batch_bytes: int = 32 << 20
    batch_seconds: float = 3.0
    """The age at which a batch is written although it is not full. An insert costs ClickHouse the same few
    milliseconds for one row as for hundreds."""
    poll_seconds: float = 0.2
    patience_seconds: float = 2.0
    """The time of an insert after which the partitions are paused."""
    handover_seconds: float = 5.0
    """The wait for an insert while its partitions are taken away."""
    stop_seconds: float = 10.0
    """The wait for an insert while the process stops."""
    statistics_ms: int = STATISTICS_MS
    first_retry: float = 0.5
    longest_retry: float = 30.0

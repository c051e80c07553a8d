"""The growth of the Prometheus metrics during a test."""

from __future__ import annotations

from streams.telemetry.metrics import REGISTRY


def samples() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in REGISTRY.collect()
        for one in family.samples
        if one.name.startswith("escalon_")
    }


class MetricsChange:
    """The change of all metrics since this object was made."""

    def __init__(self) -> None:
        self._before = samples()

    def of(self, name: str, **labels: str) -> float:
        """The growth of one series."""
        key = f"escalon_{name}", frozenset(labels.items())
        return samples().get(key, 0.0) - self._before.get(key, 0.0)

    def grown(self) -> set[str]:
        """The names of all series that changed, without those of histograms' buckets."""
        changed = {key[0] for key, value in samples().items() if value != self._before.get(key, 0.0)}
        return {name.removeprefix("escalon_") for name in changed if not name.endswith("_bucket")}

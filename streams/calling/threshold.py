"""The threshold that a worker's confidence must reach, while its scores look like those it was calibrated on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from streams.calibration.artifact import CalibrationArtifact
from streams.calibration.drift import Watch, observe, watch
from streams.calibration.martingale import expired
from streams.core.escalation import Threshold
from streams.core.fingerprint import draw
from streams.core.messages import Attempt
from streams.pipeline.confidence import ConfidenceConfig

FALSE_ALARMS = 0.05
"""The chance that a calibration which still holds is ever flagged, over all partitions together."""
NO_LONGER = "; the calibration no longer holds"


class Watches(Protocol):
    """The state of the drift test of each calibration, in the partition whose message is being handled."""

    def get(self, calibration: str) -> Watch | None:
        """Return the state; None before the first score."""
        ...

    def put(self, calibration: str, state: Watch) -> None:
        """Store the state."""
        ...


@dataclass(frozen=True, kw_only=True)
class ThresholdPolicy:
    """The thresholds of workers. Each partition tests for drift on its own, so each may raise a share of the alarms."""

    configs: Mapping[str, ConfidenceConfig]
    """By worker."""
    watches: Watches
    partitions: int
    report: Callable[[str, str, bool], None]
    """Called at each decision with the worker, its calibration, and True if that still holds."""

    def observe(self, worker: str, attempt: Attempt) -> None:
        """Compare an answer's score with the calibration's; an unknown one too."""
        artifact = self.configs[worker].artifact
        if artifact is None or attempt.status != "answered":
            return
        score = math.nan if attempt.raw_confidence is None else attempt.raw_confidence
        state = observe(artifact.reference, self._state(artifact), score, draw("watch", attempt.call_id))
        self.watches.put(artifact.id, state)

    def threshold(self, worker: str) -> Threshold:
        """Return the calibration's threshold; once it has expired the fallback, where the pipeline has one."""
        config = self.configs[worker]
        if config.artifact is None:
            return config.current_threshold
        holds = not expired(self._state(config.artifact).capital, FALSE_ALARMS / self.partitions)
        self.report(worker, config.artifact.id, holds)
        if holds or config.fallback is None:
            return replace(config.current_threshold, note="" if holds else NO_LONGER)
        return config.expired_threshold(NO_LONGER)

    def _state(self, artifact: CalibrationArtifact) -> Watch:
        return self.watches.get(artifact.id) or watch(artifact.reference)

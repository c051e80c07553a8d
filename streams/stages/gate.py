"""The bar a worker's confidence must reach, for as long as its scores look like those it was calibrated on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from streams.calibration.artifact import CalibrationArtifact
from streams.calibration.drift import Watch, observe, watch
from streams.calibration.martingale import expired
from streams.core.escalation import Bar
from streams.core.fingerprint import draw
from streams.core.messages import Attempt
from streams.pipeline.trust import Trust

FALSE_ALARMS = 0.05
"""The chance that a calibration which still holds is ever flagged, over all partitions together."""
NO_LONGER = "; the calibration no longer holds"


class Watches(Protocol):
    """The watch of each calibration, in the partition whose message is being handled."""

    def get(self, calibration: str) -> Watch | None:
        """How far it has come; None before the first score."""
        ...

    def put(self, calibration: str, state: Watch) -> None:
        """Remember it."""
        ...


@dataclass(frozen=True, kw_only=True)
class WatchedGate:
    """Implements stages.ports.Gate. Each partition watches on its own, so each may raise a share of the alarms."""

    trusts: Mapping[str, Trust]
    watches: Watches
    partitions: int
    tell: Callable[[str, str, bool], None]
    """Told at each decision: the worker, its calibration, and whether that still holds."""

    def observe(self, worker: str, attempt: Attempt) -> None:
        """Hold an answer's score against the calibration's; an unknown one too."""
        artifact = self.trusts[worker].artifact
        if artifact is None or attempt.status != "answered":
            return
        score = math.nan if attempt.raw_confidence is None else attempt.raw_confidence
        state = observe(artifact.reference, self._state(artifact), score, draw("watch", attempt.call_id))
        self.watches.put(artifact.id, state)

    def bar(self, worker: str) -> Bar:
        """The calibration's threshold; once it has expired the fallback, where the pipeline has one."""
        trust = self.trusts[worker]
        if trust.artifact is None:
            return trust.bar
        holds = not expired(self._state(trust.artifact).capital, FALSE_ALARMS / self.partitions)
        self.tell(worker, trust.artifact.id, holds)
        if holds or trust.fallback is None:
            return replace(trust.bar, note="" if holds else NO_LONGER)
        return trust.fallback_bar(NO_LONGER)

    def _state(self, artifact: CalibrationArtifact) -> Watch:
        return self.watches.get(artifact.id) or watch(artifact.reference)

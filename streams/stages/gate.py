"""The bar a worker's confidence must reach, for as long as its scores look like those it was calibrated on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from streams.core.betting import expired
from streams.core.escalation import Bar
from streams.core.exchangeability import Watch, observe, watch
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
    """Told of each score: the worker, its calibration, and whether that still holds."""

    def bar(self, worker: str, attempt: Attempt) -> Bar:
        """The calibration's threshold; once it has expired the fallback, where the pipeline has one."""
        trust = self.trusts[worker]
        if trust.artifact is None:
            return Bar(trust.threshold)
        holds = self._holds(trust, attempt)
        self.tell(worker, trust.artifact.id, holds)
        if holds:
            return Bar(trust.artifact.threshold, trust.artifact.id)
        if trust.fallback is None:
            return Bar(trust.artifact.threshold, trust.artifact.id, NO_LONGER)
        return Bar(trust.fallback, None, f"{NO_LONGER}, so its fallback is asked for")

    def _holds(self, trust: Trust, attempt: Attempt) -> bool:
        artifact = trust.artifact
        assert artifact is not None  # noqa: S101 - the caller has looked
        state = self.watches.get(artifact.id) or watch(artifact.reference)
        if attempt.status == "answered":
            score = math.nan if attempt.raw_confidence is None else attempt.raw_confidence
            state = observe(artifact.reference, state, score, draw("watch", attempt.call_id))
            self.watches.put(artifact.id, state)
        return not expired(state.capital, FALSE_ALARMS / self.partitions)

"""What is said of two runs: each by itself, slices of their events, and the whole comparison."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from streams.core.grading import USUAL_MARKERS, Markers
from streams.evaluation.compare.audit_reader import Calls, Overlap
from streams.evaluation.compare.conclusion import Conclusion
from streams.evaluation.compare.diff import Judged, Rules
from streams.evaluation.compare.paired_statistics import DifferenceEstimate
from streams.evaluation.compare.preference import Accuracy, CostComparison

ENOUGH = 20
"""Different tasks under which nothing is said of a slice's share."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One run, over the events that are in both. Money is what it would cost live."""

    run: str
    state: str | None
    """A replay's: running, done or stopped. None of live traffic."""
    endings: dict[str, int]
    escalations: dict[str, int]
    refusals: dict[str, int]
    paid: int
    cached: int
    reused: int
    usd: Decimal | None
    """Of all calls whose cost is known."""
    unpriced_calls: int
    events_of_unknown_cost: int
    usd_mean: float | None
    """Of the events whose cost is known, in both runs or not."""
    seconds_mean: float | None
    seconds: dict[float, float]
    """Quantiles of the seconds of models on the way to an outcome."""
    events_of_unknown_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """How far the runs agree on a part of the events. The intervals of all slices hold together; under ENOUGH different
    tasks there is none.
    """

    name: str
    events: int
    agreeing: int
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """All there is to say."""

    verdict: Conclusion
    cautions: tuple[str, ...]
    margin: float
    rules: str | None
    """The pipeline whose rules compared the answers; None where they were compared as JSON."""
    overlap: Overlap
    a: Side
    b: Side
    flipped: int
    changes: dict[str, int]
    agreement: Slice
    by_intent: tuple[Slice, ...]
    by_handler: tuple[Slice, ...]
    answers: Accuracy
    intents: Accuracy
    spending: CostComparison
    timed: int
    seconds: DifferenceEstimate
    """The mean difference of the seconds, over the events timed in both."""
    times: tuple[Floats, Floats]
    """Those seconds, for a plot."""
    calls: tuple[Calls, ...]
    flips: tuple[Judged, ...]
    to_label: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How to compare: by which rules, within which margin (a share), and how many flips to keep."""

    rules: Rules
    rules_of: str | None = None
    """The name of the pipeline the rules are from."""
    margin: float = 0.02
    examples: int = 200
    markers: Markers = USUAL_MARKERS
    """What the pipeline's redaction leaves in texts."""

"""The result of a comparison: each run by itself, slices of their events, and the whole."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from streams.core.grading import USUAL_MARKERS, Markers
from streams.evaluation.compare.audit_reader import HandlerCalls, Overlap
from streams.evaluation.compare.conclusion import Conclusion
from streams.evaluation.compare.diff import ComparedEvent, Rules
from streams.evaluation.compare.paired_statistics import DifferenceEstimate
from streams.evaluation.compare.preference import Accuracy, CostComparison
from streams.evaluation.panel_labels import PanelLabels

ENOUGH = 20
"""Different tasks that a slice needs for an interval."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run, over the events in both. Costs are as if live.

    `state` of a replay is running, done or stopped; None for live traffic. `usd` is the cost of all calls with a known
    price, `usd_mean` that of the events with a known cost. `seconds` are quantiles of the model time until an outcome.
    """

    run: str
    state: str | None
    endings: dict[str, int]
    escalations: dict[str, int]
    refusals: dict[str, int]
    paid: int
    cached: int
    reused: int
    usd: Decimal | None
    unpriced_calls: int
    events_of_unknown_cost: int
    usd_mean: float | None
    seconds_mean: float | None
    seconds: dict[float, float]
    events_of_unknown_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The agreement of the runs on a part of the events. The intervals of all slices hold simultaneously.

    With fewer than ENOUGH different tasks, `low` and `high` are None.
    """

    name: str
    events: int
    agreeing: int
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """The comparison of run B with run A.

    `rules` names the pipeline whose rules compared the answers; None if they were compared as JSON. `seconds` is the
    mean difference over the `timed` events that have a time in both runs, `times` their seconds in each.
    """

    conclusion: Conclusion
    cautions: tuple[str, ...]
    margin: float
    rules: str | None
    overlap: Overlap
    a: RunSummary
    b: RunSummary
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
    times: tuple[Floats, Floats]
    calls: tuple[HandlerCalls, ...]
    flips: tuple[ComparedEvent, ...]
    to_label: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings:
    """The settings of a comparison: rules for answers, margin (a share), and the number of flips to keep.

    `rules_of` names the pipeline of the rules; `markers` are what its redaction leaves in texts. `verdicts` are the
    truth in place of labels.
    """

    rules: Rules
    rules_of: str | None = None
    margin: float = 0.02
    examples: int = 200
    markers: Markers = USUAL_MARKERS
    verdicts: PanelLabels | None = None

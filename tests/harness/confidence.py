"""Workers' confidence, calibrations and money, made to measure."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from streams.calibration.artifact import CalibrationArtifact
from streams.calibration.calibrators import Calibrator, Temperature
from streams.calibration.drift import Watch, reference_of
from streams.core.budget import day_of
from streams.core.messages import Attempt, Score
from streams.pipeline.confidence import ConfidenceConfig
from streams.pipeline.load import Pipeline
from tests.harness.stages import PIPELINE, Office, office

PRICE = Decimal("0.0015")
"""Of one call in the office: 1,000 tokens in and 100 out."""
PRICED = PIPELINE.replace('cassette = "none.jsonl"', 'cassette = "none.jsonl"\npriced_as = "claude-haiku-4-5"')


@dataclass
class FakeBudget:
    """A budget of so many dollars a day, shared by all partitions."""

    usd_per_day: Decimal
    spent: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def may_spend(self, now: datetime) -> bool:
        """True until the day's limit is reached."""
        return self.spent[day_of(now)] < self.usd_per_day

    def spend(self, usd: Decimal, now: datetime) -> None:
        """Count it."""
        self.spent[day_of(now)] += usd


def with_money(here: Office, usd: Decimal) -> FakeBudget:
    """Give an office's calls a budget."""
    budget = FakeBudget(usd)
    here.services = dataclasses.replace(here.services, budget=budget)
    return budget


def broke(directory: Path, tier: str, at_limit: str | None = None, text: str = PRICED) -> Office:
    """An office whose tier has a budget, and no money left."""
    budget = f"\n[budgets.{tier}]\nusd_per_day = 1\n" + (f'at_limit = "{at_limit}"\n' if at_limit else "")
    here = office(directory, text + budget)
    with_money(here, Decimal(0))
    return here


def calibration(calibrator: Calibrator = Temperature(2.0), **more: Any) -> CalibrationArtifact:  # noqa: B008 - immutable
    """A calibration on 400 raw scores spread evenly from 0.5 to 1."""
    scores = np.random.default_rng(1).uniform(0.5, 1.0, 400).tolist()
    usual: dict[str, Any] = {
        "handler": "extract",
        "handler_version": "v",
        "scoring": "s",
        "created": "2026-11-01",
        "calibration_set": "0" * 64,
        "n": 400,
        "log_loss": 0.5,
        "brier": 0.2,
        "ece": 0.05,
        "method": "clopper-pearson",
        "max_error": 0.1,
        "certainty": 0.95,
        "threshold": 0.75,
        "raw_threshold": 0.9,
        "bound": 0.09,
        "coverage": 0.3,
        "accepted": 120,
        "errors": 5,
        "reference": reference_of(scores),
        "labels_source": "people",
    }
    return CalibrationArtifact(calibrator=calibrator, **usual | more)


def config(*sources: str, **more: Any) -> ConfidenceConfig:
    """A worker's confidence of some sources."""
    usual: dict[str, Any] = {
        "combine": "mean",
        "samples": 1,
        "verifier": None,
        "verifier_score": "correctness",
        "scoring": "s",
        "artifact": None,
        "threshold": None,
        "fallback": None,
        "explore": 0.0,
    }
    return ConfidenceConfig(sources=sources, **usual | more)


def attempt(call_id: str = "c", answer: str = '"yes"', raw: float | None = None, **sources: float) -> Attempt:
    """A worker's answer with what its reply says of its confidence."""
    scores = tuple(Score(label=name, probability=value) for name, value in sources.items())
    return Attempt(
        tier="worker",
        handler="extract",
        status="answered",
        answer=answer,
        sources=scores,
        raw_confidence=raw,
        confidence=raw,
        call_id=call_id,
    )


@dataclass
class FakeWatches:
    """Watches in memory."""

    kept: dict[str, Watch] = field(default_factory=dict)

    def get(self, calibration: str) -> Watch | None:
        """Return the state of a calibration's watch."""
        return self.kept.get(calibration)

    def put(self, calibration: str, state: Watch) -> None:
        """Remember it."""
        self.kept[calibration] = state


def with_artifact(pipeline: Pipeline, artifact: CalibrationArtifact | None, *, stale: bool = False) -> Pipeline:
    """The shop's pipeline with a calibration of its worker."""
    worker = pipeline.workers["answer"]
    assert worker.confidence is not None
    changed = replace(worker, confidence=replace(worker.confidence, artifact=artifact, stale=stale))
    return replace(pipeline, workers={**pipeline.workers, "answer": changed})

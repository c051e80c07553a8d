"""The report on a run: its events, times and money."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from streams.audit.advice import Advice, advise, on_batches
from streams.audit.query import Audit
from streams.pipeline.load import Pipeline

PARTS = (
    "outcomes",
    "tiers",
    "latency",
    "escalations",
    "refusal_quality",
    "money",
    "spending",
    "economy",
    "batchable",
    "outages",
    "dead_letters",
    "unknown_labels",
)

Records = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StreamReport:
    """The rows of each part. Money is exact, and None where a price is unknown."""

    run: str
    parts: dict[str, Records]
    budgets: dict[str, Decimal]
    """US dollars a day, by tier."""

    @property
    def money(self) -> dict[str, Any]:
        return self.parts["money"][0]

    def advice(self, upkeep_usd: Decimal) -> Advice:
        """Return advice on whether tiering pays off at an upkeep in US dollars a day."""
        listeners = [row["would_be_usd"] for row in self.parts["tiers"] if row["tier"] == "listener"]
        known = [usd for usd in listeners if usd is not None]
        listened = sum(known, Decimal(0)) if len(known) == len(listeners) else None
        made = advise(self.parts["economy"], listened, upkeep_usd, self.money)
        return replace(made, lines=(*made.lines, *on_batches(self.parts.get("batchable", ()))))

    def over_budget(self) -> Records:
        return [
            row | {"budget_usd": self.budgets[row["tier"]]}
            for row in self.parts["spending"]
            if row["tier"] in self.budgets and (row["usd"] or 0) > self.budgets[row["tier"]]
        ]


def make_report(audit: Audit, run: str, pipeline: Pipeline | None = None) -> StreamReport:
    budgets = {str(tier): one.usd_per_day for tier, one in pipeline.spec.budgets.items()} if pipeline else {}
    return StreamReport(run, {part: audit.named(part, run).records() for part in PARTS}, budgets)

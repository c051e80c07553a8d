"""Measure how often a certificate is granted on streams with planted errors, and how often wrongly.

    python -m bench.certify [--errors 0.03] [--streams 200] [--tasks 2000] [--cases 700] [--json]

Each stream has its own seed: its tasks, of which exactly the share `errors` is wrong, those with a low confidence more
often; a panel of `cases` drawn with the default weights; one rater who is always right. A claim is granted if its bound
holds after any of the cases, as for someone who asks for a certificate after each. True claims should be granted, and
false ones in at most 5 % of the streams: the claim just below the true share is the hardest.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from streams.core.messages import Judgement, Panel, PanelAnswer, PanelCase, PanelStratum
from streams.panels.claims import ErrorClaim
from streams.panels.decision import decide
from streams.panels.estimation.draw import RANDOM_SHARE, draw_cases
from streams.panels.evidence import PanelEvidence, evidence_of
from streams.panels.selection import case_weights

CERTAINTY = 0.95
NOW = datetime(2026, 11, 30, tzinfo=UTC)
RUBRIC = """
title = "Planted errors"
instructions = "Say if the answer is right."

[[question]]
name = "right"
ask = "Is the answer right?"
type = "yes/no"
means_right = "yes"
"""


def stream(errors: float, tasks: int, cases: int, seed: int) -> PanelEvidence:
    """Return the evidence of a panel that judged the first `cases` of a draw from `tasks` tasks."""
    random = np.random.default_rng(seed)
    predicted = random.beta(0.5, 10, tasks)
    wrong = np.zeros(tasks, dtype=bool)
    wrong[random.choice(tasks, round(errors * tasks), replace=False, p=predicted / predicted.sum())] = True
    weights = case_weights({"uncertain": np.sqrt(predicted * (1 - predicted))}, RANDOM_SHARE, tasks)
    drawn = draw_cases(weights, cases, seed)
    sample = [_case(one.position, one.weight, float(predicted[one.index])) for one in drawn]
    said = [_judgement(one, not wrong[drawn[one.position - 1].index]) for one in sample]
    return evidence_of(_panel(tasks, cases, float(weights.sum()), float(predicted.sum()), seed), sample, said)


def _panel(tasks: int, cases: int, weight: float, predicted: float, seed: int) -> Panel:
    population = (PanelStratum(tier="worker", handler="answer", tasks=tasks, weight=weight, prediction=predicted),)
    return Panel(
        panel="bench", run="live", options=("outcome",), rubric=RUBRIC, rubric_id="", raters_per_case=1, cases=cases,
        seed=seed, until=NOW, population=population, pipeline="", created_at=NOW, updated_at=NOW,
    )  # fmt: skip


def _case(position: int, weight: float, prediction: float) -> PanelCase:
    answer = PanelAnswer(option="outcome", run="live", tier="worker", handler="answer", call_id="", delivered=True)
    return PanelCase(
        panel="bench", case_id=f"c{position}", event_id=f"e{position}", run="live", event_time=NOW,
        task=f"t{position}", answers=(answer,), left="", position=position, weight=weight, prediction=prediction,
        content_digest="", created_at=NOW,
    )  # fmt: skip


def _judgement(case: PanelCase, right: bool) -> Judgement:
    return Judgement(
        event_id=case.event_id, call_id="", judge="anna", question="right", verdict="yes" if right else "no",
        judged_at=NOW + timedelta(seconds=case.position), panel="bench", case_id=case.case_id, option="outcome",
    )  # fmt: skip


def evaluate(errors: float, limits: Sequence[float], streams: int, tasks: int, cases: int) -> list[dict[str, Any]]:
    """Return for each claim whether it is true, the share of streams where it was granted, and after how many cases.

    The cases are the median over the streams where it was granted; None if there are none. The bounds do not depend on
    the claim, so one set of them serves all.
    """
    granted: dict[float, list[int]] = {limit: [] for limit in limits}
    for seed in range(streams):
        moments = decide(ErrorClaim(max(limits)), stream(errors, tasks, cases, seed), CERTAINTY).moments
        for limit in limits:
            first = next((one.cases for one in moments if one.high <= limit), None)
            granted[limit] += [] if first is None else [first]
    true = round(errors * tasks) / tasks
    return [
        {"claim": str(ErrorClaim(limit)), "true": true <= limit, "granted": len(found) / streams,
         "cases": float(np.median(found)) if found else None}
        for limit, found in granted.items()
    ]  # fmt: skip


def main() -> None:
    """Print a line for each claim."""
    parser = argparse.ArgumentParser(prog="python -m bench.certify", description=__doc__.partition("\n")[0])
    parser.add_argument("--errors", type=float, default=0.03)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--cases", type=int, default=700)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    just_below = options.errors - 1 / options.tasks
    limits = sorted({0.05, 0.04, options.errors, just_below, 0.02})
    rows = evaluate(options.errors, limits, options.streams, options.tasks, options.cases)
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{options.streams} streams of {options.tasks} tasks, {options.errors:.1%} wrong; {options.cases} cases")
    for row in rows:
        after = "" if row["cases"] is None else f", after {row['cases']:.0f} cases (median)"
        print(f"{row['claim']:<18} {'true ' if row['true'] else 'false'} granted in {row['granted']:.1%}{after}")


if __name__ == "__main__":
    main()

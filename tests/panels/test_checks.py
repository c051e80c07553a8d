"""Known truths for gold cases, read from a real audit."""

from __future__ import annotations

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.panels.checks import KnownTruth, read_truths
from streams.panels.population import PopulationScope
from streams.pipeline.load import Pipeline
from tests.builders import event, label
from tests.harness.audit import write
from tests.harness.panel_stream import EIGHT, SEVEN, accepted

pytestmark = pytest.mark.embedded


def truths(config: ClickHouseConfig, pipeline: Pipeline, run: str, seed: int = 0) -> list[KnownTruth]:
    audit = Audit(config)
    try:
        return read_truths(audit, pipeline, PopulationScope(run=run), seed)
    finally:
        audit.close()


def test_the_latest_label_says_if_the_delivered_answer_is_right(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    right, wrong, corrected = (event(name, run="labels") for name in ("right", "wrong", "corrected"))
    for of in (right, wrong, corrected):
        write(config, *accepted(of))
    write(config, label(right, SEVEN), label(wrong, EIGHT), label(corrected, SEVEN), label(corrected, EIGHT, hours=2))
    found = {one.event_id: one.right for one in truths(config, pipeline, "labels")}
    assert found == {"right": True, "wrong": False, "corrected": False}


def test_labels_that_are_not_from_people_or_not_comparable_give_no_truth(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    sources = {"desk": SEVEN, "people:ann": SEVEN, "system:crm": SEVEN, "judge:m": SEVEN, "misfit": {"colour": "red"}}
    for name, truth in sources.items():
        of = event(name, run="sources")
        write(config, *accepted(of), label(of, truth, source=name))
    of = event("intent", run="sources")
    write(config, *accepted(of), label(of, "order", aspect="intent"))
    assert {one.event_id for one in truths(config, pipeline, "sources")} == {"desk", "people:ann"}


def test_another_seed_gives_another_order_of_the_same_truths(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    events = [event(f"e{number}", run="order") for number in range(20)]
    write(config, *(row for of in events for row in (*accepted(of), label(of, SEVEN))))
    one, again, other = (truths(config, pipeline, "order", seed) for seed in (1, 1, 2))
    assert one == again != other
    assert set(one) == set(other)

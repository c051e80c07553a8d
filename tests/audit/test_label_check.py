"""Labels, checked against the audit and the pipeline before they are published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.label_check import IDS_PER_QUERY, LabelShapes, known_events
from streams.audit.query import Audit
from tests.builders import event, label, outcome, verdict
from tests.harness.audit import write
from tests.harness.shop import ONLY_ORDERS, shop


@pytest.fixture(scope="module")
def audit(config: ClickHouseConfig) -> Iterator[Audit]:
    fill(config)
    audit = Audit(config)
    yield audit
    audit.close()


def fill(config: ClickHouseConfig) -> None:
    write(
        config,
        verdict(event("worked")),
        replace(outcome(event("worked")), tier="reasoner", handler="think"),
        verdict(event("thought"), "think", action="reason"),
        verdict(event("ignored"), "", action="ignore"),
        outcome(event("ended")),
        verdict(event("replayed", run="trial")),
    )


def test_a_known_event_names_the_handler_that_it_was_routed_to(audit: Audit) -> None:
    labels = [label(event(name), "7") for name in ("worked", "thought", "ignored", "ended", "replayed", "never")]
    assert known_events(audit, labels) == {
        ("live", "worked"): "workers.answer",
        ("live", "thought"): "reasoners.think",
        ("live", "ignored"): "",
        ("live", "ended"): "workers.answer",
    }
    assert known_events(audit, [label(event("replayed", run="trial"), "7")]) == {
        ("trial", "replayed"): "workers.answer"
    }


def test_more_labels_than_one_query_asks_for_are_all_looked_up(audit: Audit) -> None:
    labels = [label(event(f"never-{number}"), "7") for number in range(IDS_PER_QUERY)]
    assert known_events(audit, [*labels, label(event("worked"), "7")]) == {("live", "worked"): "workers.answer"}


@pytest.mark.parametrize(
    ("truth", "more", "fault"),
    [
        ({"number": "7"}, {}, ""),
        ({"nubmer": "7"}, {"aspect": "intent"}, ""),
        (
            {"nubmer": "7"}, {},
            "no handler can give such an answer; workers.answer: the label has no field 'number'; is 'nubmer' meant?",
        ),
    ],
)  # fmt: skip
def test_a_label_is_impossible_if_no_handler_could_give_such_an_answer(
    tmp_path: Path, truth: Any, more: dict[str, Any], fault: str
) -> None:
    assert LabelShapes.of(shop(tmp_path, ONLY_ORDERS)).fault(label(event(), truth, **more)) == fault


def test_a_shape_that_one_handler_has_is_possible(tmp_path: Path) -> None:
    assert LabelShapes.of(shop(tmp_path)).fault(label(event(), "Ann")) == ""


def test_labels_that_do_not_fit_the_handler_of_their_event_are_counted_by_handler_and_reason(tmp_path: Path) -> None:
    shapes = LabelShapes.of(shop(tmp_path))
    known = {("live", "a"): "workers.answer", ("live", "b"): "workers.answer", ("live", "c"): "workers.name"}
    truths: dict[str, Any] = {"a": {"nubmer": "7"}, "b": {"number": "7"}, "c": "Ann", "d": {"nubmer": "7"}}
    labels = [label(event(name), truth) for name, truth in truths.items()]
    assert shapes.unfit(labels, known) == {
        ("workers.answer", "the label has no field 'number'; is 'nubmer' meant?"): [labels[0]]
    }

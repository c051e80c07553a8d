"""The quality of workers, read from an audit: reliability by labels, and the state of a guarantee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.providers import comparison
from streams.audit.query import Audit
from streams.core.messages import Call, Label
from streams.evaluation.cases import Case
from streams.evaluation.worker_confidence import WorkerConfidence, read_confidence
from streams.pipeline.load import Pipeline
from tests.harness.audit import write
from tests.harness.confidence import calibration, with_artifact
from tests.harness.shop import honest_cases, messages_of, shop

ARTIFACT = calibration(handler="answer")
"""On 400 raw scores from 0.5 to 1; at most a tenth of what it accepts is wrong."""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("shop"))


def read(config: ClickHouseConfig, pipeline: Pipeline, run: str) -> WorkerConfidence:
    audit = Audit(config)
    try:
        agrees = {name: comparison(one.correct) for name, one in pipeline.workers.items()}
        (found,) = read_confidence(audit, pipeline, agrees, run)
        return found
    finally:
        audit.close()


def decided(pipeline: Pipeline, run: str, cases: Sequence[tuple[Case, bool]], *, labels: bool = True) -> list[Any]:
    """The rows of answers that the calibration accepted, with their labels or without."""
    rows = messages_of(cases, pipeline.workers["answer"].version, run)
    changed = [
        replace(row, calibration=ARTIFACT.id, confidence=row.raw_confidence, fingerprint=row.call_id)
        if isinstance(row, Call)
        else row
        for row in rows
    ]
    return [row for row in changed if labels or not isinstance(row, Label)]


def test_a_worker_without_labels_or_guarantee_has_neither_figure(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    found = read(config, pipeline, "empty")
    assert (found.worker, found.threshold.threshold, found.state) == ("answer", 0.8, "none")
    assert (found.labelled, found.reliability, found.accepted, found.status) == (0, None, None, None)


def test_labels_give_accuracy_by_confidence_and_refute_a_guarantee(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    cases = honest_cases(300, seed=3)  # three quarters are right, and the calibration promises nine tenths
    write(config, *decided(pipeline, "broken", cases))
    found = read(config, with_artifact(pipeline, ARTIFACT), "broken")
    assert found.labelled == found.tasks == 300
    assert found.reliability is not None
    assert [round(one.low, 1) for one in found.reliability.bins] == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert found.accepted is not None
    wrong = sum(not right for _, right in cases)
    assert (found.accepted.labelled, found.accepted.wrong) == (300, wrong)
    assert found.accepted.low < wrong / 300 < found.accepted.high
    assert found.status is not None
    assert (found.status.labels, found.status.scores, found.status.scores_hold) == (300, 300, True)
    assert found.state == "broken"


def test_scores_like_those_of_the_calibration_hold_without_a_label(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    write(config, *decided(pipeline, "holds", honest_cases(200, seed=5), labels=False))
    found = read(config, with_artifact(pipeline, ARTIFACT), "holds")
    assert (found.state, found.labelled, found.accepted) == ("holds", 0, None)


def test_scores_that_moved_are_drift(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    low = [one for one in honest_cases(600, seed=5) if (one[0].attempt.raw_confidence or 1.0) < 0.6]
    write(config, *decided(pipeline, "drifted", low, labels=False))
    assert read(config, with_artifact(pipeline, ARTIFACT), "drifted").state == "drifted"


def test_a_few_scores_are_not_enough_and_another_versions_calibration_has_expired(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    write(config, *decided(pipeline, "few", honest_cases(5)))
    assert read(config, with_artifact(pipeline, ARTIFACT), "few").state == "not enough evidence"
    assert read(config, with_artifact(pipeline, None, stale=True), "few").state == "expired"


def test_repeats_and_scores_from_before_the_calibration_do_not_count(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    first, *others = (row for row in decided(pipeline, "once", honest_cases(4), labels=False))
    earlier = [replace(row, calibration=None) if isinstance(row, Call) else row for row in (first, others[0])]
    again = [
        replace(row, fingerprint="same", cache_hit=place > 1) if isinstance(row, Call) else row
        for place, row in enumerate(others[1:])
    ]
    write(config, *earlier, *again)
    assert read(config, with_artifact(pipeline, ARTIFACT), "once").tasks == 1


def test_answers_that_an_earlier_threshold_accepted_are_not_counted_for_the_calibration(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    rows = decided(pipeline, "switched", honest_cases(40, seed=7))
    calls = [row for row in rows if isinstance(row, Call)]
    earlier = {row.call_id for row in calls[:30]}
    write(
        config,
        *(replace(row, calibration=None) if isinstance(row, Call) and row.call_id in earlier else row for row in rows),
    )
    since, before = (read(config, with_artifact(pipeline, one), "switched").accepted for one in (ARTIFACT, None))
    assert since is not None
    assert before is not None
    assert (since.labelled, before.labelled) == (10, 30)

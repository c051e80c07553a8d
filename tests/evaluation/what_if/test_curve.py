"""The estimates over a grid of thresholds, held against those of one change at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.what_if_stream import Logging, recorded, world
from streams.core.errors import ConfigError
from streams.evaluation.what_if.change import parse_change
from streams.evaluation.what_if.curve import GRID, threshold_curve
from streams.evaluation.what_if.history import History, PastEvent
from streams.evaluation.what_if.what_if import what_if
from streams.pipeline.load import Pipeline
from tests.builders import attempt
from tests.harness.confidence import calibration, with_artifact
from tests.harness.shop import PIPELINE, shop

WITH_REASONER = PIPELINE.replace("threshold = 0.8", 'threshold = 0.8\nreasoner = "think"')


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("shop"), WITH_REASONER)


def stream(explore: float, labelled: float) -> list[PastEvent]:
    rng = np.random.default_rng(1)
    how = Logging(explore=explore, labels="people", labelled=labelled)
    return recorded(world(5000, seed=3).drawn(300, rng), how, rng)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9, 1.0])
def test_a_point_of_the_curve_is_what_the_same_change_gives_alone(pipeline: Pipeline, threshold: float) -> None:
    history = History(events=stream(0.2, 0.5))
    point = threshold_curve(history, "answer", pipeline, "people", [threshold]).nearest(threshold)
    alone = what_if(history, parse_change([f"workers.answer.threshold={threshold}"], pipeline), pipeline, "people")
    assert alone.accuracy is not None
    assert alone.cost is not None
    assert point.escalated == alone.reasoner_share.then
    assert point.usd == alone.cost.then
    assert point.error is not None
    assert point.error.value == pytest.approx(1 - alone.accuracy.then.value)  # type: ignore[operator]
    assert (point.error.low, point.error.high) == pytest.approx(
        (1 - alone.accuracy.then.high, 1 - alone.accuracy.then.low)
    )


def test_the_share_that_is_escalated_rises_with_the_threshold_and_so_does_the_cost(pipeline: Pipeline) -> None:
    curve = threshold_curve(History(events=stream(0.2, 0.5), unfinished=3), "answer", pipeline, "people")
    shares = [point.escalated.value for point in curve.points]
    costs = [point.usd.value for point in curve.points if point.usd]
    assert [point.threshold for point in curve.points] == list(GRID)
    assert len(curve.points) == len(costs) == 41
    assert shares == sorted(shares, key=lambda share: -1.0 if share is None else share)
    assert costs[0] is not None
    assert costs[-1] is not None
    assert costs[-1] > costs[0]
    assert (curve.now.threshold, curve.events, curve.left_out) == (0.8, 300, 3)
    assert curve.nearest(0.91).threshold == 0.9


def test_after_a_calibration_now_is_its_raw_threshold_on_the_curve_and_not_what_was_decided(pipeline: Pipeline) -> None:
    events = stream(0.2, 0.5)
    calibrated = with_artifact(pipeline, calibration(handler="answer", threshold=0.994, raw_threshold=0.935))
    curve = threshold_curve(History(events=events), "answer", calibrated, "people")
    assert curve.now.threshold == 0.935
    place = curve.points.index(curve.now)
    below, now, above = (point.escalated.value for point in curve.points[place - 1 : place + 2])
    assert None not in (below, now, above)
    assert below < now < above  # type: ignore[operator]
    earlier = threshold_curve(History(events=events), "answer", pipeline, "people")
    assert now > earlier.now.escalated.value  # type: ignore[operator]


def test_without_labels_the_error_is_unknown_and_the_escalations_are_not(pipeline: Pipeline) -> None:
    events = [
        PastEvent(
            event_id=f"e{n}", intent="order", action="work", handler="answer", pipeline="p",
            attempt=attempt(raw_confidence=n / 10), decision="accepted", worker_usd=0.001,
        )
        for n in range(10)
    ]  # fmt: skip
    curve = threshold_curve(History(events=events), "answer", pipeline, "people")
    assert curve.now.error is None
    assert curve.nearest(0.5).escalated.value == pytest.approx(0.5)
    assert curve.nearest(0.0).usd is not None
    assert curve.nearest(0.5).usd is None  # what the reasoner costs was never seen


def test_too_few_events_are_an_error(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="0 finished events of answer"):
        threshold_curve(History(events=[]), "answer", pipeline, "people")


def test_a_refused_task_is_escalated_at_any_threshold(tmp_path: Path) -> None:
    pipeline = shop(tmp_path, WITH_REASONER)
    refused = [
        PastEvent(
            event_id=f"e{n}", intent="order", action="work", handler="answer", pipeline="p",
            attempt=attempt("refused", refusal_class="policy"), decision="escalated", reasoner="think",
        )
        for n in range(3)
    ]  # fmt: skip
    curve = threshold_curve(History(events=refused), "answer", pipeline, "people")
    assert {point.escalated.value for point in curve.points} == {1.0}

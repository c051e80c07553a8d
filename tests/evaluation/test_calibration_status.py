"""The status of calibrations, from the audited cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.calibration.artifact import CalibrationArtifact
from streams.calling.task import Task
from streams.evaluation.calibration_status import CalibrationStatus, standings
from streams.evaluation.cases import Case
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from tests.harness.confidence import calibration
from tests.harness.shop import case, shop

RUNS, EVENTS = 50, 300


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("shop"))


def with_calibration(pipeline: Pipeline, artifact: CalibrationArtifact) -> Pipeline:
    """The pipeline as if its worker referenced the artifact."""
    worker = pipeline.workers["answer"]
    assert worker.confidence is not None
    trusted: Handler = replace(worker, confidence=replace(worker.confidence, artifact=artifact))
    return replace(pipeline, workers={**pipeline.workers, "answer": trusted})


ARTIFACT = calibration(handler="answer")
"""On 400 raw scores from 0.5 to 1; at most a tenth of what it accepts is wrong."""


def standing(pipeline: Pipeline, cases: Sequence[Case], artifact: CalibrationArtifact = ARTIFACT) -> CalibrationStatus:
    (found,) = standings(with_calibration(pipeline, artifact), cases)
    return found


def live(run: int, scores: Sequence[float], **more: Any) -> list[Case]:
    """Cases of a run that the calibration decided, each with a call id of its own."""
    return [case(run * 100_000 + n, score, calibration=ARTIFACT.id, **more) for n, score in enumerate(scores)]


def drawn(seed: int, count: int, low: float = 0.5) -> list[float]:
    scores: list[float] = np.random.default_rng(1000 + seed).uniform(low, 1.0, count).tolist()
    return scores


def test_a_stream_like_the_calibrations_is_seldom_flagged(loaded: Pipeline) -> None:
    found = [standing(loaded, live(run, drawn(run, EVENTS))) for run in range(RUNS)]
    assert all(one.scores == EVENTS and one.labels_hold for one in found)
    assert sum(not one.holds for one in found) <= 5


def test_a_stream_whose_scores_moved_is_flagged(loaded: Pipeline) -> None:
    found = [standing(loaded, live(run, drawn(run, EVENTS, low=0.2))) for run in range(RUNS)]
    assert sum(not one.scores_hold for one in found) >= 45
    assert all(one.holds == one.scores_hold for one in found)


def test_more_wrong_answers_than_stated_are_flagged_and_fewer_are_not(loaded: Pipeline) -> None:
    flagged = {0.05: 0, 0.3: 0}
    for rate in flagged:
        for run in range(20):
            right = (np.random.default_rng(run).random(EVENTS) >= rate).tolist()
            cases = live(run, drawn(run, EVENTS))
            labelled = [replace(one, correct=was) for one, was in zip(cases, right, strict=True)]
            found = standing(loaded, labelled)
            assert (found.labels, found.wrong) == (EVENTS, right.count(False))
            flagged[rate] += not found.labels_hold
    assert flagged[0.05] <= 1
    assert flagged[0.3] >= 19


def test_only_labels_of_what_the_calibration_accepted_count(loaded: Pipeline) -> None:
    first, *others = live(0, drawn(0, 40), correct=False)
    cases = [
        first,
        *(replace(one, accepted=False) for one in others[:10]),
        *(replace(one, calibration="another") for one in others[10:20]),
        *(replace(one, correct=None) for one in others[20:]),
    ]
    found = standing(loaded, cases)
    assert (found.labels, found.wrong, found.scores) == (1, 1, 40)


def test_answers_from_the_cache_and_missing_answers_are_not_new_scores(loaded: Pipeline) -> None:
    cases = live(0, drawn(0, 30))
    refused = [replace(one, attempt=replace(one.attempt, status="refused")) for one in live(1, [0.9] * 5)]
    hits = [replace(one, repeated=True) for one in live(2, [0.99] * 200)]
    alone, among = standing(loaded, cases), standing(loaded, [*cases, *refused, *hits])
    assert alone.scores == 30
    assert among == alone


def test_an_unknown_score_is_a_score_too(loaded: Pipeline) -> None:
    found = standing(loaded, [*live(0, drawn(0, 10)), *(replace(one, attempt=replace(one.attempt, raw_confidence=None))
                                                       for one in live(1, drawn(1, 40)))])  # fmt: skip
    assert found.scores == 50
    assert not found.scores_hold


def test_counting_starts_at_the_first_call_that_the_calibration_decided(loaded: Pipeline) -> None:
    before = [
        replace(one, calibration=other) for one, other in zip(live(1, [0.01] * 60), [None, "old"] * 30, strict=True)
    ]
    cases = live(0, drawn(0, 30), correct=True)
    assert standing(loaded, [*before, *cases]) == standing(loaded, cases)
    assert standing(loaded, [*cases, *before]).scores == 90


def test_a_calibration_that_was_never_used_has_seen_nothing(loaded: Pipeline) -> None:
    cases = [replace(one, calibration=None) for one in live(0, [0.01] * 300, correct=False)]
    found = standing(loaded, cases)
    assert (found.scores, found.labels, found.holds) == (0, 0, True)
    assert (found.scores_evidence, found.labels_evidence) == (1.0, 1.0)


def test_another_workers_cases_do_not_count_and_a_worker_without_calibration_has_no_standing(
    loaded: Pipeline,
) -> None:
    assert standings(loaded, live(0, [0.9])) == []
    found = standing(loaded, live(0, [0.9] * 5, handler="name"))
    assert (found.worker, found.calibration, found.scores) == ("answer", ARTIFACT.id, 0)


def test_a_standing_is_of_the_audit_alone(loaded: Pipeline, tmp_path: Path) -> None:
    cases = live(0, drawn(0, 60), correct=True)
    assert standing(loaded, cases) == standing(shop(tmp_path), cases)


def test_a_task_bets_once_however_often_it_comes(loaded: Pipeline) -> None:
    """A burst of one wrong task is one wrong answer: a calibration that holds is seldom flagged by it."""
    flagged = 0
    for run in range(40):
        draw = np.random.default_rng(run)
        cases = [
            replace(one, task=Task(text=f"task {n // 20}"), repeated=n % 20 > 0)
            for n, one in enumerate(live(run, np.repeat(drawn(run, 40), 20).tolist()))
        ]
        right = (draw.random(40) >= 0.1).repeat(20).tolist()
        found = standing(loaded, [replace(one, correct=was) for one, was in zip(cases, right, strict=True)])
        assert (found.labels, found.scores) == (40, 40)
        flagged += not found.labels_hold
    assert flagged <= 2


def test_a_task_that_no_store_answers_again_counts_once(loaded: Pipeline) -> None:
    cases = [replace(one, task=Task(text="always the same")) for one in live(0, [0.55] * 300)]
    assert standing(loaded, cases).scores == 1


def test_labelled_answers_that_cannot_be_compared_are_counted(loaded: Pipeline) -> None:
    cases = [replace(one, not_graded="redaction hid a part of it") for one in live(0, drawn(0, 7))]
    assert (standing(loaded, cases).not_graded, standing(loaded, cases).labels) == (7, 0)

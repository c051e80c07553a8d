"""From labelled cases to an artifact that a pipeline decides by."""

from __future__ import annotations

import contextlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.app.providers import scorer
from streams.calibration.artifact import CalibrationArtifact
from streams.calibration.drift import reference_of
from streams.calibration.risk_control import Target, ThresholdSelection, select_threshold
from streams.calling.confidence import ConfidenceScorer
from streams.calling.task import Answer, Task
from streams.core.errors import ConfigError
from streams.core.escalation import Accept, decide
from streams.evaluation.calibrate import CalibrationResult, calibrate
from streams.evaluation.cases import Case
from streams.pipeline.handlers import Handler
from tests.builders import sources
from tests.harness.shop import PIPELINE, case, honest_cases, shop

TARGET = Target(0.15, 0.9)
Labelled = Sequence[tuple[Case, bool]]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Handler:
    return shop(tmp_path_factory.mktemp("shop")).workers["answer"]


@pytest.fixture(scope="module")
def made(worker: Handler) -> CalibrationResult:
    return calibrated(worker, honest_cases(600))


def calibrated(worker: Handler, cases: Labelled, target: Target = TARGET, **more: Any) -> CalibrationResult:
    usual: dict[str, Any] = {"labels": "people", "date": "2026-11-24"}
    return calibrate(worker, scorer(worker), cases, target, **usual | more)


def test_the_threshold_is_the_proven_one_on_the_raw_scores(made: CalibrationResult, worker: Handler) -> None:
    cases = honest_cases(600)
    raw = [one.attempt.raw_confidence or 0.0 for one, _ in cases]
    selected = select_threshold(raw, [right for _, right in cases], TARGET)
    assert isinstance(selected, ThresholdSelection)
    artifact = made.artifact
    assert (artifact.raw_threshold, artifact.accepted, artifact.errors) == (
        selected.threshold, selected.accepted, selected.errors,
    )  # fmt: skip
    assert artifact.threshold == artifact.calibrator(selected.threshold)
    assert (artifact.coverage, artifact.bound, artifact.n) == (selected.coverage, selected.bound, 600)
    assert (artifact.handler, artifact.handler_version) == ("answer", worker.version)
    assert (artifact.created, artifact.labels_source) == ("2026-11-24", "people")
    assert (artifact.max_error, artifact.certainty) == (0.15, 0.9)


def test_what_is_measured_is_measured_out_of_fold(made: CalibrationResult) -> None:
    artifact, held_out = made.artifact, made.choice.held_out
    assert artifact.brier == pytest.approx(float(np.mean((held_out - made.correct) ** 2)))
    assert artifact.log_loss == min(row.log_loss for row in made.choice.table) or artifact.log_loss == pytest.approx(
        min(row.log_loss for row in made.choice.table), abs=1e-4
    )


def test_where_every_answer_was_right_the_score_itself_is_the_confidence(worker: Handler) -> None:
    artifact = calibrated(worker, [(one, True) for one, _ in honest_cases(200)]).artifact
    assert artifact.calibrator.method == "identity"
    assert (artifact.errors, artifact.coverage, artifact.threshold) == (0, 1.0, artifact.raw_threshold)


def test_too_few_cases_are_reported_with_the_number_missing(worker: Handler) -> None:
    with pytest.raises(ConfigError, match=r"10 cases, even if all were right.* label about \d+ more cases") as caught:
        calibrated(worker, honest_cases(10))
    assert caught.value.key == ""


def test_a_target_out_of_reach_is_reported_with_a_remedy(worker: Handler) -> None:
    with pytest.raises(ConfigError, match="improve the scores"):
        calibrated(worker, [(one, False) for one, _ in honest_cases(300)])


def test_no_labelled_cases_are_reported(worker: Handler) -> None:
    with pytest.raises(ConfigError, match="the current version of answer has no labelled case"):
        calibrated(worker, [])


def test_without_any_confidence_there_is_nothing_to_calibrate(worker: Handler) -> None:
    silent = [(replace(one, attempt=replace(one.attempt, sources=())), right) for one, right in honest_cases(60)]
    with pytest.raises(ConfigError, match="none of the 60 labelled cases of answer has a confidence") as caught:
        calibrated(worker, silent)
    assert "source of confidence" in str(caught.value)


def test_cases_without_a_confidence_are_left_out(worker: Handler) -> None:
    cases = honest_cases(300)
    silent = [(replace(one, attempt=replace(one.attempt, sources=())), right) for one, right in honest_cases(60)]
    made, usual = calibrated(worker, [*silent, *cases]).artifact, calibrated(worker, cases).artifact
    assert (made.n, made.threshold, made.calibration_set) == (usual.n, usual.threshold, usual.calibration_set)
    unknown, known = made.reference.counts[0], sum(made.reference.counts)
    assert unknown == pytest.approx(known * 60 / 360, rel=0.4), "the watch expects as many unknown scores as there were"


def test_the_hash_of_the_cases_changes_with_any_case_and_not_with_their_order(worker: Handler) -> None:
    cases = honest_cases(300)
    usual = calibrated(worker, cases).artifact
    assert calibrated(worker, cases[::-1]).artifact.calibration_set == usual.calibration_set
    (one, right), *others = cases
    for changed in (
        cases[1:],
        [(one, not right), *others],
        [(replace(one, attempt=replace(one.attempt, sources=sources(verbalized=0.123))), right), *others],
        [(replace(one, attempt=replace(one.attempt, call_id="another")), right), *others],
    ):
        assert calibrated(worker, changed).artifact.calibration_set != usual.calibration_set


def test_live_scores_are_held_against_those_that_came_from_no_store(worker: Handler) -> None:
    cases = honest_cases(300)
    stored = [
        (replace(one, repeated=True, task=Task(text=f"another {n}")), right)
        for n, (one, right) in enumerate(honest_cases(300, seed=1))
    ]
    artifact = calibrated(worker, [*cases, *stored]).artifact
    assert artifact.reference == reference_of([one.attempt.raw_confidence or 0.0 for one, _ in cases])
    assert artifact.n == 600


def test_a_function_gets_the_confidence_that_the_reply_stated_as_in_the_stage(worker: Handler) -> None:
    heard: list[float | None] = []

    def doubts(_: Task, answer: Answer) -> float:
        heard.append(answer.confidence)
        return 0.9

    assert worker.confidence is not None
    config = replace(worker.confidence, sources=("verbalized", "shop:doubts"))
    made_by = ConfidenceScorer(config=config, functions={"shop:doubts": doubts}, timeout=5)
    one = case(0, 0.8)
    recorded = replace(one, attempt=replace(one.attempt, raw_confidence=0.123))  # combined with a judge's, at the time
    cases = [(replace(recorded, event_id=str(n), task=Task(text=str(n))), True) for n in range(60)]
    made = calibrate(worker, made_by, cases, TARGET, labels="people", date="2026-11-24")
    assert set(heard) == {0.8}
    assert made.raw == pytest.approx(np.full(60, 0.85))


# ---- A case is a task ----


def bursts(tasks: int, each: int, wrong: float, seed: int) -> list[tuple[Case, bool]]:
    """Tasks that come `each` times, the first time to the model and then to the store, with scores that say nothing."""
    draw = np.random.default_rng(seed)
    scores, rights = draw.uniform(0.5, 1.0, tasks).tolist(), (draw.random(tasks) >= wrong).tolist()
    return [
        (replace(case(n * each + k, scores[n]), task=Task(text=f"task {n}"), repeated=k > 0), rights[n])
        for n in range(tasks)
        for k in range(each)
    ]


@pytest.mark.parametrize("tasks", [20, 60])
def test_a_target_that_is_missed_is_not_proven_by_tasks_that_come_in_bursts(worker: Handler, tasks: int) -> None:
    """10 % are wrong at every threshold, so each proof of at most 5 % is a broken promise: of 500 draws 50 may be."""
    cases, draw, broken = [one for one, _ in bursts(tasks, 20, 0.1, 0)], np.random.default_rng(1), 0
    for _ in range(500):
        rights = (draw.random(tasks) >= 0.1).repeat(20).tolist()
        with contextlib.suppress(ConfigError):
            calibrated(worker, list(zip(cases, rights, strict=True)), Target(0.05, 0.9))
            broken += 1
    assert broken <= 50


def test_however_often_a_task_comes_it_is_one_case(worker: Handler) -> None:
    repeated, once = calibrated(worker, bursts(100, 20, 0.05, 1)), calibrated(worker, bursts(100, 1, 0.05, 1))
    assert (repeated.artifact.n, repeated.events) == (100, 2000)
    same = ("n", "accepted", "errors", "threshold", "bound", "ece", "reference")
    assert [getattr(repeated.artifact, name) for name in same] == [getattr(once.artifact, name) for name in same]


@pytest.mark.parametrize(
    ("texts", "tasks"),
    [
        (("Where?", " Where?\n", "Where?"), 1),
        (("Café", unicodedata.normalize("NFD", "Café")), 1),
        (("Where?", "where?"), 2),
    ],
    ids=["outer space", "Unicode form", "nearly alike is not alike"],
)
def test_tasks_are_alike_as_the_store_finds_them(worker: Handler, texts: tuple[str, ...], tasks: int) -> None:
    cases = [(replace(case(n, 0.9), task=Task(text=text)), True) for n, text in enumerate(texts)]
    others = honest_cases(200, seed=3)
    assert calibrated(worker, [*cases, *others]).artifact.n == tasks + 200


def test_a_task_whose_labels_contradict_each_other_counts_as_wrong(worker: Handler) -> None:
    cases = [(replace(one, task=Task(text="the same")), n != 7) for n, (one, _) in enumerate(honest_cases(20))]
    rest = [(one, True) for one, _ in honest_cases(300, seed=5)]
    made = calibrated(worker, [*cases, *((replace(one, event_id=f"r{n}"), True) for n, (one, _) in enumerate(rest))])
    assert made.artifact.n == 301
    assert int((~made.correct).sum()) == 1


def test_tasks_that_redaction_made_alike_differ_by_their_fingerprint(worker: Handler) -> None:
    hidden = [(replace(case(n, 0.9), task=Task(text="[phone]"), fingerprint=f"f{n // 2}"), True) for n in range(60)]
    assert calibrated(worker, hidden).artifact.n == 30


async def test_a_pipeline_that_references_the_artifact_decides_as_it_says(
    made: CalibrationResult, tmp_path: Path
) -> None:
    (tmp_path / "calibration.json").write_text(made.artifact.to_json(), "utf-8")
    text = PIPELINE.replace("threshold = 0.8", 'calibration = "calibration.json"')
    worker = shop(tmp_path, text).workers["answer"]
    config = worker.confidence
    assert config is not None
    assert config.artifact == made.artifact
    assert (config.current_threshold.threshold, config.scoring) == (made.artifact.threshold, made.artifact.scoring)
    accepted, wrong = 0, 0
    for one, right in honest_cases(600):
        attempt = await scorer(worker)(one.task, one.attempt)
        assert attempt.confidence == made.artifact.calibrator(one.attempt.raw_confidence or 0.0)
        if isinstance(
            decide(attempt, config.current_threshold.threshold, config.current_threshold.raw_threshold), Accept
        ):
            accepted, wrong = accepted + 1, wrong + (not right)
    assert (accepted, wrong) == (made.artifact.accepted, made.artifact.errors)


def test_the_artifact_comes_back_from_its_file_as_it_was(made: CalibrationResult) -> None:
    text = made.artifact.to_json()
    assert CalibrationArtifact.parse(text) == made.artifact
    assert json.loads(text)["id"] == made.artifact.id

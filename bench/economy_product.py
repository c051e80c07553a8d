"""The product's own way from a trained verifier to a decision, for rows whose answers are recorded.

GSM8K is assessed after the worker has answered (streams.calling.confidence, then streams.core.escalation.decide); MMLU,
whose answers are not recorded, is routed before it (streams.models.listeners.router).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.economy_curves import WANTED, Floats, Outcomes, figures
from bench.economy_data import Parts, Row, outcomes_of
from streams.app.providers import scorer
from streams.calibration.artifact import CalibrationArtifact
from streams.calibration.calibrators import Calibrator
from streams.calibration.risk_control import Target
from streams.calling.confidence import ConfidenceScorer, example_of
from streams.calling.task import Task
from streams.core.errors import ConfigError
from streams.core.escalation import Escalate, decide
from streams.core.fingerprint import draw
from streams.core.messages import Attempt
from streams.core.reply_contract import Contract, Reading
from streams.evaluation.calibrate import calibrate
from streams.evaluation.calibrator_choice import choose_calibrator
from streams.evaluation.cases import EVER, Case
from streams.models.listeners.router import Router
from streams.models.verifier.artifact import Verifier
from streams.models.verifier.example import Example
from streams.models.verifier.training import train_verifier
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline, load_pipeline, load_uncalibrated

WORKER, REASONER = "answer", "resolve"
TARGETS = tuple(Target(error, 0.9) for error in (0.2, 0.3, 0.4, 0.5))
"""The strictest that can be proven is taken."""
FOLDS = 5
UNKNOWN = -1.0
"""The value of an attempt without a confidence, which goes to the reasoner before all others."""
DATE = datetime.now(UTC).date().isoformat()
MODELS = """
name = "economy"

[models.recorded]
provider = "recorded"
model = "recorded"
cassette = "none.jsonl"

[reasoners.resolve]
model = "recorded"
prompt = "ask.j2"
refusal = "none"
cache = "off"

[workers.answer]
model = "recorded"
prompt = "ask.j2"
refusal = "none"
cache = "off"
"""
ASSESSED = """
inputs = ["text"]
confidence = ["verifier"]
verifier = "verifier.npz"
calibration = "calibration.json"

[listeners.all]
kind = "rules"
rules = {question = ["(?s)."]}

[routes]
question = "workers.answer"
unsure = "workers.answer"
"""
ROUTED = """
[listeners.router]
kind = "router"
artifact = "router.zip"

[routes]
none = "ignore"
unsure = "reasoners.resolve"
"""
PROMPT = "{% block system %}{% endblock %}{% block user %}{{ text }}{% endblock %}"


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """A verifier of all training rows, and their P(worker right) and Verifier.keeps by verifiers without the row."""

    verifier: Verifier
    scores: Floats
    keeps: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decided:
    """The product's view of the n test rows; arrays have shape (n,), those of `learnt` the training rows'.

    `decided_by` is "confidence" or "gain": what `value` is, by which the product decides. It is raw: a calibrator keeps
    the order of two scores, or makes them one. A row with a value under `threshold`, which was chosen for `aim`, goes
    to the reasoner; `escalated` says which rows another threshold would pass on. `scores` are the verifier's P(worker
    right), `probability` the same calibrated.
    """

    learnt: Learnt
    decided_by: str
    value: Floats
    threshold: float
    aim: str
    escalated: Callable[[float], NDArray[np.bool_]]
    scores: Floats
    gains: Floats
    calibrator: Calibrator
    pipeline: Pipeline
    scorer: ConfidenceScorer | None = None
    router: Router | None = None

    @property
    def probability(self) -> Floats:
        """P(worker right), calibrated."""
        return self.calibrator.many(self.scores)


def read_answer(text: str) -> Reading:
    """A recorded answer as a worker without a schema would have it."""
    return Contract().read(text, "end_turn", None)


def assessed(parts: Parts, directory: Path, seed: int) -> Decided:
    """Train, calibrate on out-of-fold scores, and assess every test row's answer."""
    learnt = learn([answered(row) for row in parts.train], parts.train, seed)
    learnt.verifier.save(directory / "verifier.npz")
    pipeline_file = _write_pipeline(directory, ASSESSED)
    artifact = _calibrated(load_uncalibrated(pipeline_file).workers[WORKER], parts.train, learnt)
    (directory / "calibration.json").write_text(artifact.to_json(), "utf-8")
    pipeline = load_pipeline(pipeline_file)
    assess = scorer(pipeline.workers[WORKER])
    attempts = asyncio.run(_attempts(assess, parts.test))
    examples = [answered(row) for row in parts.test]
    return Decided(
        learnt=learnt,
        decided_by=_decided_by(pipeline.workers[WORKER]),
        value=np.array([UNKNOWN if one.raw_confidence is None else one.raw_confidence for one in attempts]),
        threshold=artifact.raw_threshold,
        aim=f"at most {100 * artifact.max_error:.0f} % wrong with certainty {100 * artifact.certainty:.0f} %",
        escalated=lambda raw: _escalated(attempts, artifact.calibrator(raw), raw),
        scores=learnt.verifier.scores(examples),
        gains=learnt.verifier.gains(examples),
        calibrator=_calibrator(learnt, parts.train, seed),
        pipeline=pipeline,
        scorer=assess,
    )


def routed(parts: Parts, directory: Path, seed: int, folds: int = FOLDS) -> Decided:
    """Train a router on events alone, find its threshold on out-of-fold scores, and route every test row."""
    learnt = learn([unanswered(row) for row in parts.train], parts.train, seed, folds)
    handler, reasoner = f"workers.{WORKER}", f"reasoners.{REASONER}"
    threshold = least_threshold(learnt.keeps, outcomes_of(parts.train))
    made = Router({handler: learnt.verifier}, reasoner, threshold, admitted=True, comparison={}, date=DATE)
    made.save(directory / "router.zip")
    router = Router.load(directory / "router.zip")
    value = np.array([router.route(row.text, row.data).scores[handler] for row in parts.test])
    examples = [unanswered(row) for row in parts.test]
    return Decided(
        learnt=learnt,
        decided_by="gain",
        value=value,
        threshold=threshold,
        aim=f"{100 * WANTED:.0f} % of the reasoner's accuracy",
        escalated=lambda threshold: value < threshold,
        scores=learnt.verifier.scores(examples),
        gains=learnt.verifier.gains(examples),
        calibrator=_calibrator(learnt, parts.train, seed),
        pipeline=load_pipeline(_write_pipeline(directory, ROUTED)),
        router=router,
    )


def _escalated(attempts: Sequence[Attempt], threshold: float, raw_threshold: float) -> NDArray[np.bool_]:
    return np.array([isinstance(decide(one, threshold, raw_threshold), Escalate) for one in attempts])


def least_threshold(keeps: Floats, outcomes: Outcomes) -> float:
    """The least threshold under which the reasoner must take the rows for WANTED of its own accuracy."""
    share = figures(-keeps, outcomes).share_at_95 or 0.0
    return float(np.append(np.sort(keeps), 1.0)[round(share * len(keeps))])


def _decided_by(handler: Handler) -> str:
    assert handler.confidence is not None
    return "gain" if handler.confidence.verifier_score == "gain" else "confidence"


def _calibrator(learnt: Learnt, rows: Sequence[Row], seed: int) -> Calibrator:
    return choose_calibrator(learnt.scores, np.array([row.worker_correct for row in rows]), seed=seed).calibrator


def learn(examples: Sequence[Example], rows: Sequence[Row], seed: int, folds: int = FOLDS) -> Learnt:
    """A verifier of all rows, and what verifiers that have not seen a row's text say of it."""
    fold = np.array([int(folds * draw("fold", seed, row.text)) for row in rows])
    scores, keeps = np.empty(len(rows)), np.empty(len(rows))
    for number in range(folds):
        inside, outside = np.flatnonzero(fold != number).tolist(), np.flatnonzero(fold == number).tolist()
        if outside:
            verifier, asked = _fit(examples, rows, inside, seed), [examples[place] for place in outside]
            scores[outside], keeps[outside] = verifier.scores(asked), verifier.keeps(asked)
    return Learnt(_fit(examples, rows, list(range(len(rows))), seed), scores, keeps)


def _fit(examples: Sequence[Example], rows: Sequence[Row], places: Sequence[int], seed: int) -> Verifier:
    return train_verifier(
        [examples[place] for place in places],
        [rows[place].worker_correct for place in places],
        [rows[place].reasoner_correct for place in places],
        seed=seed,
        date=DATE,
    )


def unanswered(row: Row) -> Example:
    """The event alone, as a verifier reads it before the worker answers."""
    return Example(text=row.text, data=row.data, answer=None)


def answered(row: Row) -> Example:
    """The event with the worker's answer, as a verifier reads it afterwards."""
    return example_of(*_attempted(row, ""))


def _write_pipeline(directory: Path, rest: str) -> Path:
    (directory / "ask.j2").write_text(PROMPT, "utf-8")
    file = directory / "pipeline.toml"
    file.write_text(MODELS + rest, "utf-8")
    return file


async def _attempts(assess: ConfidenceScorer, rows: Sequence[Row]) -> list[Attempt]:
    return [await assess(*_attempted(row, str(place))) for place, row in enumerate(rows)]


def _attempted(row: Row, call_id: str) -> tuple[Task, Attempt]:
    reading = read_answer(row.worker_answer)
    attempt = Attempt(
        tier="worker",
        handler=WORKER,
        status=reading.status,
        answer=reading.answer,
        error_type=reading.error_type,
        error=reading.error,
        call_id=call_id,
    )
    return Task(text=row.text), attempt


def _calibrated(handler: Handler, rows: Sequence[Row], learnt: Learnt) -> CalibrationArtifact:
    """The product's calibration of the out-of-fold scores, for the strictest target that can be proven."""
    assert handler.confidence is not None
    said = learnt.keeps if _decided_by(handler) == "gain" else learnt.scores
    assess = ConfidenceScorer(
        config=handler.confidence,
        verify=lambda _, attempt: float(said[int(attempt.call_id)]),
        functions={},
        timeout=1.0,
    )
    cases = [(_case(handler, row, place), row.worker_correct) for place, row in enumerate(rows)]
    for target in TARGETS:
        try:
            return calibrate(handler, assess, cases, target, labels="people", date=DATE).artifact
        except ConfigError as error:
            reason = error
    raise reason


def _case(handler: Handler, row: Row, place: int) -> Case:
    task, attempt = _attempted(row, str(place))
    return Case(
        event_id=str(place),
        event_time=EVER,
        handler=handler.name,
        handler_version=handler.version,
        intent="question",
        task=task,
        whole=task,
        attempt=attempt,
        calibration=None,
        pipeline="",
        repeated=False,
        accepted=True,
        propensity=None,
        correct=row.worker_correct,
        agrees=None,
        reasoner_correct=row.reasoner_correct,
        cost_usd=None,
        reasoner_cost_usd=None,
    )

"""The product's own way from a trained verifier to a decision, for rows whose answers are recorded.

GSM8K is assessed after the worker has answered (streams.stages.assess, then streams.core.escalation.decide); MMLU,
whose answers are not recorded, is routed before it (streams.models.router).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from economy_curves import Floats
from economy_data import Parts, Row
from numpy.typing import NDArray

from streams.app.providers import assessor
from streams.core.artifact import CalibrationArtifact
from streams.core.calibration import Calibrator
from streams.core.contract import Contract, Reading
from streams.core.errors import ConfigError
from streams.core.escalation import Escalate, decide
from streams.core.fingerprint import draw
from streams.core.guarantee import Selection, Target, select_threshold
from streams.core.messages import Attempt
from streams.evaluation.calibrate import calibrate
from streams.evaluation.calibrators import choose_calibrator
from streams.evaluation.cases import EVER, Case
from streams.models.router import Router
from streams.models.verifier import Example, Verifier
from streams.models.verifier_training import train_verifier
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline, load_pipeline, load_uncalibrated
from streams.stages.assess import Assess
from streams.stages.task import Task

WORKER, REASONER = "answer", "resolve"
TARGETS = tuple(Target(error, 0.9) for error in (0.2, 0.3, 0.4, 0.5))
"""The strictest that can be proven is taken."""
FOLDS = 5
UNKNOWN = -1.0
"""The confidence of an attempt without one, which goes to the reasoner before all others."""
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decided:
    """How the product sees the n test rows. Arrays have shape (n,), those of `held_out` the training rows'.

    `confidence` is what it decides by: a row under `threshold` goes to the reasoner. `probability` is calibrated, and
    `raw` and `held_out` are the verifier's own scores, each of a model that has not seen the row. `escalated` says of a
    threshold which rows the product would pass on.
    """

    confidence: Floats
    probability: Floats
    raw: Floats
    gain: Floats
    held_out: Floats
    threshold: float
    target: Target
    calibrator: Calibrator
    escalated: Callable[[float], NDArray[np.bool_]]
    pipeline: Pipeline
    assessor: Assess | None = None
    router: Router | None = None


def read_answer(text: str) -> Reading:
    """A recorded answer as a worker without a schema would have it."""
    return Contract().read(text, "end_turn", None)


def assessed(parts: Parts, directory: Path, seed: int) -> Decided:
    """Train, calibrate on out-of-fold scores, and assess every test row's answer."""
    examples = [_answered(row) for row in parts.train]
    verifier, held_out = _trained(examples, parts.train, seed)
    verifier.save(directory / "verifier.npz")
    pipeline_file = _write_pipeline(directory, ASSESSED)
    artifact = _calibrated(load_uncalibrated(pipeline_file).workers[WORKER], parts.train, held_out)
    (directory / "calibration.json").write_text(artifact.to_json(), "utf-8")
    pipeline = load_pipeline(pipeline_file)
    assess = assessor(pipeline.workers[WORKER])
    attempts = asyncio.run(_attempts(assess, parts.test))
    raw = np.array([0.0 if one.raw_confidence is None else one.raw_confidence for one in attempts])
    return Decided(
        confidence=np.array([UNKNOWN if one.confidence is None else one.confidence for one in attempts]),
        probability=artifact.calibrator.many(raw),
        raw=raw,
        gain=verifier.gains([_answered(row) for row in parts.test]),
        held_out=held_out,
        threshold=artifact.threshold,
        target=Target(artifact.max_error, artifact.certainty),
        calibrator=artifact.calibrator,
        escalated=lambda threshold: np.array([isinstance(decide(one, threshold), Escalate) for one in attempts]),
        pipeline=pipeline,
        assessor=assess,
    )


def routed(parts: Parts, directory: Path, seed: int) -> Decided:
    """Train a router on events alone, find its threshold on out-of-fold scores, and route every test row."""
    verifier, held_out = _trained([_unanswered(row) for row in parts.train], parts.train, seed)
    correct = np.array([row.worker_correct for row in parts.train])
    target, threshold = _proven(held_out, correct)
    calibrator = choose_calibrator(held_out, correct, seed=seed).calibrator
    handler = f"workers.{WORKER}"
    router = Router({handler: verifier}, f"reasoners.{REASONER}", threshold, admitted=True, comparison={}, date=DATE)
    router.save(directory / "router.zip")
    raw = np.array([router.route(row.text, row.data).scores[handler] for row in parts.test])
    return Decided(
        confidence=raw,
        probability=calibrator.many(raw),
        raw=raw,
        gain=verifier.gains([_unanswered(row) for row in parts.test]),
        held_out=held_out,
        threshold=threshold,
        target=target,
        calibrator=calibrator,
        escalated=lambda threshold: raw < threshold,
        pipeline=load_pipeline(_write_pipeline(directory, ROUTED)),
        router=router,
    )


def _trained(examples: Sequence[Example], rows: Sequence[Row], seed: int) -> tuple[Verifier, Floats]:
    """A verifier of all rows, and each row's score by one that has not seen its text."""
    fold = np.array([int(FOLDS * draw("fold", seed, row.text)) for row in rows])
    held_out = np.empty(len(rows))
    for number in range(FOLDS):
        inside, outside = np.flatnonzero(fold != number).tolist(), np.flatnonzero(fold == number).tolist()
        if outside:
            held_out[outside] = _fit(examples, rows, inside, seed).scores([examples[place] for place in outside])
    return _fit(examples, rows, list(range(len(rows))), seed), held_out


def _fit(examples: Sequence[Example], rows: Sequence[Row], places: Sequence[int], seed: int) -> Verifier:
    return train_verifier(
        [examples[place] for place in places],
        [rows[place].worker_correct for place in places],
        [rows[place].reasoner_correct for place in places],
        seed=seed,
        date=DATE,
    )


def _unanswered(row: Row) -> Example:
    return Example(text=row.text, data=row.data, answer=None)


def _answered(row: Row) -> Example:
    return Example(text=row.text, data={}, answer=read_answer(row.worker_answer).answer)


def _write_pipeline(directory: Path, rest: str) -> Path:
    (directory / "ask.j2").write_text(PROMPT, "utf-8")
    file = directory / "pipeline.toml"
    file.write_text(MODELS + rest, "utf-8")
    return file


async def _attempts(assess: Assess, rows: Sequence[Row]) -> list[Attempt]:
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


def _calibrated(handler: Handler, rows: Sequence[Row], held_out: Floats) -> CalibrationArtifact:
    """The product's calibration of the out-of-fold scores, for the strictest target that can be proven."""
    assert handler.trust is not None
    trust = replace(handler.trust, artifact=None, threshold=None)
    assess = Assess(
        trust=trust, verify=lambda _, attempt: float(held_out[int(attempt.call_id)]), functions={}, timeout=1.0
    )
    cases = [(_case(handler, row, place), row.worker_correct) for place, row in enumerate(rows)]
    for target in TARGETS:
        try:
            return calibrate(handler, assess, cases, target, labels="people", date=DATE).artifact
        except ConfigError as error:
            reason = error
    raise reason


def _proven(scores: Floats, correct: NDArray[np.bool_]) -> tuple[Target, float]:
    """The strictest target that can be proven, and its threshold."""
    for target in TARGETS:
        found = select_threshold(scores, correct, target)
        if isinstance(found, Selection):
            return target, found.threshold
    raise ConfigError(f"No threshold can be proven on {len(scores)} rows.", "Give more rows.", "train")


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

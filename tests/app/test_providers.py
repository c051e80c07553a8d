"""Callers are built from the pipeline file; what cannot be built is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.app.providers import Providers, comparison, scorer
from streams.app.settings import read_settings
from streams.calling.classifiers import RouterBackend
from streams.calling.confidence import VERIFIER, example_of
from streams.calling.request import CallRequest
from streams.calling.task import Task
from streams.core.answer_comparison import Comparison
from streams.core.errors import ConfigError
from streams.models.listeners.router import Router
from streams.models.verifier.artifact import Verifier
from streams.models.verifier.training import train_verifier
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import CorrectSpec
from tests.builders import ORIGIN, START, event
from tests.harness.confidence import attempt
from tests.harness.fakes.messages_outcomes import Answer
from tests.harness.over_http import ALONE, house
from tests.harness.shop import FILES, PIPELINE, shop
from tests.harness.stages import Clock, FakeAnswers, call_services

train = partial(train_verifier, trees=8, date="2026-11-24")
VERIFIED = PIPELINE.replace(
    'confidence = "verbalized"', 'confidence = ["verbalized", "verifier"]\nverifier = "verifier.npz"'
)
GAIN = VERIFIED.replace('verifier = "verifier.npz"', 'verifier = "verifier.npz"\nverifier_score = "gain"')
ROUTED = PIPELINE.replace(
    "[routes]", '[listeners.route]\nkind = "router"\nartifact = "router.zip"\n\n[routes]\nnone = "ignore"'
)


def verifier(*, reasoner: bool) -> Verifier:
    """One that has seen that large numbers are wrong, and that the reasoner fails at riddles."""
    draw = np.random.default_rng(0)
    wrong, riddle = draw.random(120) < 0.5, draw.random(120) < 0.5
    examples = [
        example_of(Task(text=f"Which? {n}", data={"topic": "riddle" if riddle[n] else "plain"}), said(bool(wrong[n])))
        for n in range(120)
    ]
    return train(examples, (~wrong).tolist(), (~riddle).tolist() if reasoner else None)


def said(wrong: bool) -> Any:
    return attempt(answer='{"number": "123456789"}' if wrong else '{"number": "7"}', verbalized=0.4 if wrong else 0.9)


@pytest.fixture(scope="module")
def knowing() -> Verifier:
    return verifier(reasoner=True)


@pytest.fixture(scope="module")
def unknowing() -> Verifier:
    return verifier(reasoner=False)


def worker(directory: Path, text: str, trained: Verifier) -> Handler:
    trained.save(directory / "verifier.npz")
    return shop(directory, text).workers["answer"]


# ---- The verifier as a source ----


@pytest.mark.parametrize("wrong", [False, True])
async def test_the_verifiers_probability_is_the_confidence(tmp_path: Path, knowing: Verifier, wrong: bool) -> None:
    task = Task(text="Which? 5", data={"topic": "plain"})
    made = await scorer(worker(tmp_path, VERIFIED, knowing))(task, said(wrong))
    expected = float(knowing.scores([example_of(task, said(wrong))])[0])
    assert made.raw_confidence == made.confidence == expected
    assert (expected > 0.5) is not wrong
    assert made.sources[-1].label == VERIFIER
    assert [one.label for one in made.sources[:-1]] == ["verbalized"]


async def test_by_gain_an_answer_that_the_reasoner_gets_wrong_as_well_is_kept(
    tmp_path: Path, knowing: Verifier
) -> None:
    assess = scorer(worker(tmp_path, GAIN, knowing))
    plain, riddle = Task(text="Which? 5", data={"topic": "plain"}), Task(text="Which? 5", data={"topic": "riddle"})
    made = [await assess(task, said(True)) for task in (plain, riddle)]
    expected = [float(knowing.keeps([example_of(task, said(True))])[0]) for task in (plain, riddle)]
    assert [one.raw_confidence for one in made] == expected
    assert expected[0] < 0.25 < 0.4 < expected[1]


def test_a_gain_needs_a_verifier_that_knows_the_reasoner(tmp_path: Path, unknowing: Verifier) -> None:
    with pytest.raises(ConfigError, match="without knowing when the reasoner is right") as caught:
        scorer(worker(tmp_path, GAIN, unknowing))
    assert caught.value.key == "verifier_score"
    assert 'verifier_score = "correctness"' in caught.value.remedy
    assert scorer(worker(tmp_path, VERIFIED, unknowing)).verify is not None


def test_a_broken_verifier_is_reported(tmp_path: Path, knowing: Verifier) -> None:
    handler = worker(tmp_path, VERIFIED, knowing)
    (tmp_path / "verifier.npz").write_bytes(b"text")
    with pytest.raises(ConfigError, match="train verifier"):
        scorer(handler)


def test_a_score_and_a_scoring_belong_together(tmp_path: Path, knowing: Verifier) -> None:
    by_correctness, by_gain = (worker(tmp_path, text, knowing).confidence for text in (VERIFIED, GAIN))
    assert by_correctness is not None
    assert by_gain is not None
    assert by_correctness.scoring != by_gain.scoring


# ---- Comparing and assessing ----


def test_answers_are_compared_by_the_rule_of_the_file_or_by_a_function() -> None:
    spec = CorrectSpec(by="fields", fields=("number",), tolerance=0.1)
    assert comparison(spec) == Comparison("fields", ("number",), 0.1)
    agree = comparison(CorrectSpec(by="operator:eq"))
    assert (agree(1, 1), agree(1, 2)) == (True, False)


def test_values_a_comparing_function_cannot_handle_count_as_different(caplog: pytest.LogCaptureFixture) -> None:
    agree = comparison(CorrectSpec(by="operator:lt"))
    assert not agree(1, "a")
    assert "count as different" in caplog.text


def test_an_asynchronous_comparison_is_refused() -> None:
    with pytest.raises(ConfigError, match="asynchronous"):
        comparison(CorrectSpec(by="asyncio:open_connection"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: comparison(CorrectSpec(by="no_such_module:same")), "no_such_module:same cannot be imported"),
        (lambda: comparison(CorrectSpec(by="json:no_such")), "json:no_such cannot be imported"),
        (lambda: comparison(CorrectSpec(by="json:__name__")), "json:__name__ is not a function"),
    ],
)
def test_a_comparison_that_is_not_a_function_is_reported(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


def test_only_a_worker_has_a_confidence_to_make(tmp_path: Path) -> None:
    pipeline = shop(tmp_path)
    with pytest.raises(ConfigError, match="think is not a worker") as caught:
        scorer(pipeline.reasoners["think"])
    assert caught.value.key == "handler"


def test_a_source_that_is_not_a_function_is_reported(tmp_path: Path) -> None:
    handler = shop(tmp_path).workers["answer"]
    assert handler.confidence is not None
    with pytest.raises(ConfigError, match="json:no_such cannot be imported"):
        scorer(replace(handler, confidence=replace(handler.confidence, sources=("json:no_such",))))


# ---- All of a pipeline ----


def providers(pipeline: Pipeline) -> Providers:
    return Providers(pipeline, read_settings({}))


def test_every_worker_has_a_scorer(tmp_path: Path) -> None:
    pipeline = shop(tmp_path)
    everybody = {**pipeline.listeners, **pipeline.workers, **pipeline.reasoners}
    made = providers(pipeline)
    assert set(made.scorers(everybody)) == {"answer", "name", "add"}
    made.check(everybody.values())


async def test_a_worker_is_asked_for_the_samples_of_the_file_and_they_agree_by_its_rule(tmp_path: Path) -> None:
    (tmp_path / "plain.j2").write_text(FILES["prompt.j2"], "utf-8")
    asks = 'prompt = "plain.j2"\nrefusal = "none"\nconfidence = "self-consistency"\nsamples = 3\ncorrect = "numeric"'
    replies = iter(["it is 7", "7.0", "8"])
    async with house(tmp_path, lambda _: Answer(next(replies)), ALONE.replace('task = "answer"', asks)) as here:
        await here.take(event("e1", "how many?"))
        calls = [one for one in here.calls if one.tier == "worker"]
        assert calls[-1].confidence == 2 / 3
        assert {one.sample for one in calls} == {0, 1, 2}


def test_a_router_is_called_and_one_that_was_not_admitted_is_refused_before_it_runs(
    tmp_path: Path, unknowing: Verifier
) -> None:
    router = Router({"workers.answer": unknowing}, "reasoners.think", 0.3, admitted=True, comparison={}, date="d")
    router.save(tmp_path / "router.zip")
    pipeline = shop(tmp_path, ROUTED)
    made = providers(pipeline).backend(pipeline.listeners["route"]).backend
    assert isinstance(made, RouterBackend)
    assert made.router.digest() == router.digest()
    assert (made.callee.free, made.callee.model) == (True, "router")
    replace(router, admitted=False).save(tmp_path / "router.zip")
    with pytest.raises(ConfigError, match="--force"):
        providers(pipeline).check(pipeline.listeners.values())


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [
        ('provider = "claude"\nmodel = "claude-haiku-4-5"', "ANTHROPIC_API_KEY", "no key is set"),
        ('provider = "local"\nmodel = "none.gguf"', "models", "there is no file .*none.gguf"),
    ],
)
def test_an_unavailable_model_is_reported(tmp_path: Path, model: str, key: str, words: str) -> None:
    pipeline = shop(tmp_path, PIPELINE.replace('provider = "recorded"\nmodel = "m"\ncassette = "none.jsonl"', model))
    with pytest.raises(ConfigError, match=words) as caught:
        providers(pipeline).backend(pipeline.workers["answer"])
    assert caught.value.key == key


def test_a_request_that_a_model_would_refuse_is_reported_with_its_worker(tmp_path: Path) -> None:
    claude = 'provider = "claude"\nmodel = "claude-haiku-4-5"'
    text = PIPELINE.replace('provider = "recorded"\nmodel = "m"\ncassette = "none.jsonl"', claude)
    text = text.replace("threshold = 0.8", "threshold = 0.8\nparameters = { nonsense = 1 }")
    pipeline = shop(tmp_path, text)
    with pytest.raises(ConfigError, match="its model would not take the request") as caught:
        providers(pipeline).check(pipeline.workers.values())
    assert caught.value.key == "workers.answer"


@pytest.mark.parametrize(("name", "text"), [("rules", PIPELINE), ("route", ROUTED)])
def test_a_listener_that_is_called_instant_never_waits(
    name: str, text: str, tmp_path: Path, unknowing: Verifier
) -> None:
    router = Router({"workers.answer": unknowing}, "reasoners.think", 0.3, admitted=True, comparison={}, date="d")
    router.save(tmp_path / "router.zip")
    pipeline = shop(tmp_path, text)
    services = call_services(pipeline, Clock(), FakeAnswers())
    caller = providers(pipeline).callers({name: pipeline.listeners[name]}, services)[name]
    request = CallRequest(task=Task(text="my order"), origin=ORIGIN, task_fingerprint="f", received_at=START)
    assert caller.callee.instant
    with pytest.raises(StopIteration) as returned:
        caller.call(request).send(None)
    assert returned.value.value.attempt.status == "answered"

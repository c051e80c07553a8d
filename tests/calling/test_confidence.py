"""A worker's confidence, from all its sources."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import threading
from typing import Any

import pytest

from streams.calibration.calibrators import Temperature
from streams.calling.confidence import VERIFIER, ConfidenceScorer, Function, Verify
from streams.calling.python_function import OWN
from streams.calling.request import MAX_ERROR_TEXT
from streams.calling.self_consistent import SELF_CONSISTENCY
from streams.calling.task import Answer, Task
from streams.core.escalation import Escalate, decide
from streams.core.messages import Attempt, Score
from streams.pipeline.confidence import ConfidenceConfig
from streams.pipeline.spec import Combine
from tests.harness.confidence import attempt, calibration, config

TASK = Task(text="Where is my order?")


def scorer(
    believed: ConfidenceConfig, verify: Verify | None = None, timeout: float = 5.0, **functions: Function
) -> ConfidenceScorer:
    """Functions are given by the last part of their path, desk:NAME."""
    paths = {f"desk:{name}": function for name, function in functions.items()}
    return ConfidenceScorer(config=believed, verify=verify, functions=paths, timeout=timeout)


def by_source(made: Attempt) -> dict[str, float]:
    return {score.label: score.probability for score in made.sources}


async def test_what_the_reply_says_and_what_a_function_thinks_are_combined() -> None:
    believed = config("verbalized", "desk:long")
    made = await scorer(believed, long=lambda *_: 0.5)(TASK, attempt(raw=0.9, verbalized=0.9))
    assert by_source(made) == {"verbalized": 0.9, "desk:long": 0.5}
    assert (made.raw_confidence, made.confidence, made.error) == (0.7, 0.7, None)
    assert (made.answer, made.call_id) == ('"yes"', "c")


@pytest.mark.parametrize(("rule", "value"), [("mean", 0.5), ("min", 0.25), ("product", 0.1875)])
async def test_the_file_says_how_sources_are_combined(rule: Combine, value: float) -> None:
    believed = config("verbalized", "desk:long", combine=rule)
    made = await scorer(believed, long=lambda *_: 0.25)(TASK, attempt(verbalized=0.75))
    assert made.raw_confidence == value


async def test_the_share_of_samples_that_agree_is_a_source_like_the_others() -> None:
    of = attempt(raw=0.9, verbalized=0.9)
    of = dataclasses.replace(of, sources=(*of.sources, Score(label=SELF_CONSISTENCY, probability=0.5)))
    assert (await scorer(config("verbalized", SELF_CONSISTENCY))(TASK, of)).raw_confidence == pytest.approx(0.7)


async def test_a_source_the_file_does_not_ask_for_counts_for_nothing() -> None:
    made = await scorer(config("verbalized"))(TASK, attempt(verbalized=0.9, logprob=0.1))
    assert (made.raw_confidence, by_source(made)) == (0.9, {"verbalized": 0.9, "logprob": 0.1})


@pytest.mark.parametrize("own", [0.0, 0.4, 1.0])
async def test_what_plain_code_says_of_its_own_answer_is_its_confidence_as_before(own: float) -> None:
    made = await scorer(config())(TASK, attempt(raw=own, own=own))
    assert (made.raw_confidence, made.confidence) == (own, own)
    both = await scorer(config("desk:long"), long=lambda *_: 0.5)(TASK, attempt(raw=own, own=own))
    assert both.raw_confidence == (own + 0.5) / 2
    assert by_source(both)[OWN] == own


async def test_without_any_source_the_confidence_is_unknown() -> None:
    made = await scorer(config())(TASK, attempt())
    assert (made.raw_confidence, made.confidence, made.sources) == (None, None, ())


# ---- Functions ----


async def test_a_function_gets_the_task_and_the_answer_as_a_value() -> None:
    got: list[Any] = []

    def remember(task: Task, answer: Answer) -> float:
        got.append((task, answer))
        return 1.0

    await scorer(config("desk:f"), f=remember)(TASK, attempt(answer='{"number": 7}', raw=0.8))
    await scorer(config("desk:f"), f=remember)(TASK, attempt(answer="plain words"))
    assert got == [(TASK, Answer({"number": 7}, 0.8)), (TASK, Answer("plain words", None))]


async def test_a_plain_function_runs_beside_the_loop_and_an_asynchronous_one_in_it() -> None:
    threads: list[int] = []

    def plain(*_: Any) -> int:
        threads.append(threading.get_ident())
        return 1

    async def slowly(*_: Any) -> float:
        await asyncio.sleep(0)
        threads.append(threading.get_ident())
        return 0.5

    made = await scorer(config("desk:plain", "desk:slowly"), plain=plain, slowly=slowly)(TASK, attempt())
    assert by_source(made) == {"desk:plain": 1.0, "desk:slowly": 0.5}
    assert [thread == threading.get_ident() for thread in threads] == [False, True]


def raises(*_: Any) -> float:
    raise KeyError("number")


async def forever(*_: Any) -> float:
    await asyncio.Event().wait()
    return 1.0


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (raises, "desk:f raised KeyError: 'number'"),
        (lambda *_: 2, "it returned 2, which is not a number from 0 to 1"),
        (lambda *_: -0.1, "it returned -0.1"),
        (lambda *_: math.nan, "it returned nan"),
        (lambda *_: True, "it returned True"),
        (lambda *_: "0.5", "it returned '0.5'"),
        (forever, "desk:f raised TimeoutError"),
    ],
    ids=["raises", "above 1", "below 0", "not a number", "a boolean", "a text", "takes too long"],
)
async def test_a_function_that_breaks_makes_the_confidence_unknown_and_says_so(function: Function, said: str) -> None:
    believed = config("verbalized", "desk:f", artifact=calibration())
    made = await scorer(believed, timeout=0.01, f=function)(TASK, attempt(raw=0.9, verbalized=0.9))
    assert (made.raw_confidence, made.confidence) == (None, None)
    assert said in (made.error or "")
    assert by_source(made) == {"verbalized": 0.9}
    assert isinstance(decide(made, 0.0), Escalate)
    assert made.status == "answered"


async def test_a_function_may_say_that_it_does_not_know() -> None:
    made = await scorer(config("verbalized", "desk:f"), f=lambda *_: None)(TASK, attempt(verbalized=0.9))
    assert (made.raw_confidence, made.error) == (None, None)


async def test_a_function_that_breaks_does_not_keep_the_others_from_being_asked() -> None:
    made = await scorer(config("desk:f", "desk:g"), f=raises, g=lambda *_: 0.5)(TASK, attempt())
    assert by_source(made) == {"desk:g": 0.5}
    assert made.raw_confidence is None


async def test_the_words_of_an_error_can_be_written_down() -> None:
    def strange(*_: Any) -> float:
        raise ValueError("\ud83d" + "x" * 10_000)

    error = (await scorer(config("desk:f"), f=strange)(TASK, attempt())).error or ""
    assert "?xxx" in error
    assert len(error.encode()) <= MAX_ERROR_TEXT


@pytest.mark.parametrize("missing", ["verbalized", "logprob", SELF_CONSISTENCY])
async def test_a_source_that_said_nothing_makes_the_confidence_unknown(missing: str) -> None:
    made = await scorer(config("desk:f", missing), f=lambda *_: 0.5)(TASK, attempt(own=0.9))
    assert (made.raw_confidence, made.confidence) == (None, None)


# ---- The verifier ----


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.1, 1.5])
async def test_a_verifiers_score_that_no_probability_has_makes_the_confidence_unknown(score: float) -> None:
    made = await scorer(config(), verify=lambda *_: score)(TASK, attempt(raw=0.9, verbalized=0.9))
    assert (made.raw_confidence, made.confidence, by_source(made)) == (None, None, {"verbalized": 0.9})
    assert isinstance(decide(made, 0.5, None), Escalate)


async def test_the_verifiers_score_is_the_raw_confidence_and_it_sees_all_the_other_sources() -> None:
    seen: list[Any] = []

    def verify(task: Task, of: Attempt) -> float:
        seen.append((task, of.answer, by_source(of)))
        return 0.3

    believed = config("verbalized", "desk:f", VERIFIER)
    made = await scorer(believed, verify, f=lambda *_: 0.5)(TASK, attempt(raw=0.9, verbalized=0.9))
    assert seen == [(TASK, '"yes"', {"verbalized": 0.9, "desk:f": 0.5})]
    assert (made.raw_confidence, made.confidence) == (0.3, 0.3)
    assert by_source(made) == {"verbalized": 0.9, "desk:f": 0.5, VERIFIER: 0.3}


# ---- Calibration ----


@pytest.mark.parametrize("verify", [None, lambda *_: 0.9], ids=["sources", "verifier"])
async def test_the_calibration_reads_the_raw_confidence(verify: Verify | None) -> None:
    believed = config("verbalized", artifact=calibration(Temperature(2.0)))
    made = await scorer(believed, verify)(TASK, attempt(raw=0.9, verbalized=0.9))
    assert made.raw_confidence == 0.9
    assert made.confidence == pytest.approx(0.75)


# ---- Attempts without an answer ----


@pytest.mark.parametrize("status", ["refused", "invalid", "failed"])
async def test_an_attempt_without_an_answer_is_left_alone(status: Any) -> None:
    def never(*_: Any) -> float:
        raise AssertionError

    of = dataclasses.replace(attempt(verbalized=0.9), status=status, answer=None)
    assert await scorer(config("verbalized", "desk:f"), never, f=never)(TASK, of) is of

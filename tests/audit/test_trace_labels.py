"""The labels of one event beside its answers and its deciding intent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest

from streams.audit.trace_labels import NO_ANSWER, NO_PIPELINE, OTHER_PIPELINE, TraceLabel, compare_labels
from streams.core.messages import Call
from streams.pipeline.load import Pipeline
from tests.builders import call, event, label, reply, thought
from tests.harness.shop import shop

OF = event()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("shop"))


def compared(
    truth: Any, calls: Sequence[Call], pipeline: Pipeline | None, intents: Sequence[str] = ("order",), **more: Any
) -> TraceLabel:
    (found,) = compare_labels(
        [asdict(label(OF, truth, **more))], [asdict(one) for one in calls], {"intents": intents}, pipeline
    )
    return found


def worked(number: str, **more: Any) -> Call:
    return call(OF, response=reply({"number": number}), **more)


@pytest.mark.parametrize(("said", "agrees"), [("7", True), ("8", False)])
def test_a_label_agrees_with_the_answer_that_was_delivered_or_does_not(
    pipeline: Pipeline, said: str, agrees: bool
) -> None:
    found = compared({"number": "7"}, [worked(said)], pipeline)
    (answer,) = found.answers
    assert (found.agrees, found.why) == (answer.agrees, answer.why) == (agrees, "")
    assert (answer.tier, answer.handler, answer.delivered) == ("worker", "answer", True)


def test_after_an_escalation_both_answers_are_compared_and_the_delivered_one_counts(pipeline: Pipeline) -> None:
    calls = [worked("8", decision="escalated"), thought(OF, {"number": "7"})]
    found = compared({"number": "7"}, calls, pipeline)
    assert [(one.tier, one.delivered, one.agrees) for one in found.answers] == [
        ("worker", False, False),
        ("reasoner", True, True),
    ]
    assert found.agrees is True


def test_a_label_of_another_shape_is_not_compared_and_the_reason_names_the_field(pipeline: Pipeline) -> None:
    found = compared({"nubmer": "7"}, [worked("7")], pipeline)
    assert found.agrees is None
    assert found.why == "the label has no field 'number'; is 'nubmer' meant?"


def test_samples_and_repeated_attempts_are_not_compared(pipeline: Pipeline) -> None:
    calls = [worked("7", decision="sampled", sample=1), worked("7", decision="retried")]
    found = compared({"number": "7"}, calls, pipeline)
    assert (found.answers, found.agrees, found.why) == ([], None, NO_ANSWER)


def test_without_a_pipeline_file_nothing_says_how_to_compare() -> None:
    found = compared({"number": "7"}, [worked("7")], None)
    assert (found.agrees, found.why) == (None, NO_PIPELINE)


def test_an_answer_of_a_handler_that_the_file_does_not_name_is_not_compared(pipeline: Pipeline) -> None:
    found = compared({"number": "7"}, [call(OF, "gone", response="7")], pipeline)
    assert (found.agrees, found.why) == (None, OTHER_PIPELINE)


@pytest.mark.parametrize(
    ("intents", "agrees", "why"),
    [
        (["order", "refund"], True, ""),
        (["refund", "order"], False, "the deciding intent was refund"),
        ([], False, "the deciding intent was unsure"),
    ],
)
def test_a_label_of_the_intent_is_compared_with_the_deciding_one(
    pipeline: Pipeline, intents: list[str], agrees: bool, why: str
) -> None:
    found = compared("order", [worked("7")], pipeline, intents, aspect="intent")
    assert (found.agrees, found.why, found.answers) == (agrees, why, ())

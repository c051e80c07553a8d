"""The decision to escalate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.escalation import COMBINE, ESCALATES, Accept, Escalate, combined, decide, explain
from streams.core.messages import Attempt, AttemptStatus, Score
from streams.pipeline.spec import Combine
from tests.builders import attempt

probabilities = st.floats(0, 1)


def test_the_table_knows_every_way_an_attempt_can_end() -> None:
    assert set(ESCALATES) == set(get_args(AttemptStatus))


@pytest.mark.parametrize(
    ("ended", "reason", "detail"),
    [
        (attempt("refused", refusal_class="policy", refusal_reason="no refunds"), "refused", "policy: no refunds"),
        (attempt("refused", refusal_class="other"), "refused", "other: no reason given"),
        (attempt("invalid", error_type="schema", error="$: 7"), "invalid", "schema: $: 7"),
        (attempt("failed", error_type="timeout", error="60 s"), "failed", "timeout: 60 s"),
    ],
)
@pytest.mark.parametrize("threshold", [None, 0.0, 1.0])
def test_an_attempt_without_an_answer_is_escalated_however_confident(
    ended: Attempt, reason: str, detail: str, threshold: float | None
) -> None:
    assert decide(ended, threshold) == Escalate(reason, detail)  # type: ignore[arg-type]


@given(st.none() | probabilities)
def test_without_a_threshold_every_answer_is_accepted(confidence: float | None) -> None:
    assert decide(attempt(confidence=confidence), None) == Accept("no threshold")


@given(probabilities, probabilities)
def test_an_answer_is_accepted_from_the_threshold_on(confidence: float, threshold: float) -> None:
    accepted = isinstance(decide(attempt(confidence=confidence), threshold), Accept)
    assert accepted == (confidence >= threshold)


@pytest.mark.parametrize("unknown", [None, math.nan])
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_an_unknown_confidence_is_never_enough(unknown: float | None, threshold: float) -> None:
    decision = decide(attempt(confidence=unknown), threshold)
    assert isinstance(decision, Escalate)
    assert decision.reason == "unsure"


def test_the_decision_says_both_figures() -> None:
    assert decide(attempt(confidence=0.25), 0.75) == Escalate("unsure", "confidence 0.250 under 0.750")
    assert decide(attempt(confidence=0.75), 0.75) == Accept("confidence 0.750 reaches 0.750")


def test_an_answer_needs_no_explanation() -> None:
    assert explain(attempt()) == ""


# ---- Several sources of confidence ----


def scores(*values: float) -> list[Score]:
    return [Score(label=f"source {place}", probability=value) for place, value in enumerate(values)]


@pytest.mark.parametrize(("rule", "value"), [("mean", 0.5), ("min", 0.2), ("product", 0.08)])
def test_sources_are_combined_by_the_rule(rule: Combine, value: float) -> None:
    assert combined(scores(0.5, 0.8, 0.2), rule) == pytest.approx(value, abs=1e-12)


def test_there_is_a_rule_for_each_that_a_file_may_name() -> None:
    assert set(COMBINE) == set(get_args(Combine))


@pytest.mark.parametrize("rule", get_args(Combine))
def test_without_a_source_the_confidence_is_unknown(rule: Combine) -> None:
    assert combined([], rule) is None


@given(st.lists(probabilities, min_size=1, max_size=6), st.sampled_from(get_args(Combine)))
def test_the_combined_confidence_is_a_probability_and_one_source_is_itself(values: list[float], rule: Combine) -> None:
    made = combined(scores(*values), rule)
    assert made is not None
    assert 0 <= made <= max(values) + 1e-12
    assert combined(scores(values[0]), rule) == values[0]


@pytest.mark.parametrize(
    ("raw", "accepted"), [(0.9, True), (0.95, True), (0.89, False), (None, False), (math.nan, False)]
)
def test_a_raw_threshold_decides_among_answers_of_one_calibrated_confidence(raw: float | None, accepted: bool) -> None:
    answered = replace(attempt(confidence=0.8), raw_confidence=raw)
    assert isinstance(decide(answered, 0.8, raw_threshold=0.9), Accept) == accepted

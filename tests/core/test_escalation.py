"""When a reasoner is asked."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.escalation import ESCALATES, Accept, Escalate, decide, explain
from streams.core.messages import Attempt, AttemptStatus

probabilities = st.floats(0, 1)


def attempt(status: AttemptStatus = "answered", **more: Any) -> Attempt:
    return Attempt(tier="worker", handler="answer", status=status, call_id="c", **more)


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
def test_what_is_no_answer_is_escalated_however_sure(
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

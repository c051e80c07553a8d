"""The sentences about an event: the numbers that decided, costs that are unknown, and ends of every kind."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from streams.adapters.clickhouse import row_of
from streams.ui.operator.event_words import duration_of, escalation_of, exploration_of, story_of
from tests.builders import START, call, sources, verdict
from tests.harness.traces import EVENT, row, trace


def escalated(**more: Any) -> dict[str, Any]:
    return row(call(EVENT, decision="escalated", threshold=0.75, **more))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"confidence": 0.724}, "its confidence 0.724 is under the threshold 0.750"),
        ({"confidence": 0.74996}, "its confidence 0.74996 is under the threshold 0.75000"),
        (
            {"confidence": 0.0, "sources": sources(logprob=0.96, check=0.0)},
            "under the threshold 0.750 (logprob gave 0.960, check gave 0.000)",
        ),
        ({"confidence": None}, "its confidence is unknown, and the threshold is 0.750"),
        ({"confidence": 0.8, "decision_reason": "raw 0.3 under 0.4"}, "answered, but raw 0.3 under 0.4"),
        ({"status": "refused", "refusal_class": "policy", "refusal_reason": "a neighbour."}, "(policy: a neighbour)"),
        ({"status": "invalid", "error": "no number"}, "does not fit its schema (no number)"),
        ({"status": "failed", "error_type": "timeout", "error": "60 s"}, "failed (timeout: 60 s)"),
    ],
)
def test_an_escalation_names_what_decided(more: dict[str, Any], said: str) -> None:
    assert said in escalation_of(escalated(**more))


def test_an_exploration_names_its_share() -> None:
    assert "as 2.0 % of such answers are" in exploration_of(row(call(EVENT, explored=True, propensity=0.02)))


def test_a_story_begins_with_the_event_and_ends_with_its_cost() -> None:
    first = call(EVENT, decision="escalated", confidence=0.7, threshold=0.8)
    story = story_of(trace(first, call(EVENT, "think", "reasoner", cost_usd=None)))
    assert story[0] == "A text of 2026-11-01 12:00:00 UTC, on the topic events, partition 0, offset 7."
    assert story[1] == "The listeners found order, so it went to the worker answer."
    assert "0.700" in story[2]
    assert "$0.0010 and the unknown price of 1 call in 2 calls" in story[-1]


def test_the_time_to_the_outcome_begins_with_the_publication_and_not_with_the_events_own_time() -> None:
    settled = START + timedelta(minutes=61)
    told = trace(
        call(EVENT, started_at=START + timedelta(hours=1), queue_seconds=30.0), outcome={"settled_at": settled}
    )
    assert duration_of(told) == 90.0


def test_without_any_price_the_cost_is_unknown_and_not_nothing() -> None:
    assert "It cost an unknown amount" in story_of(trace(call(EVENT, cost_usd=None)))[-1]
    assert "It cost $0.00 in 1 call" in story_of(trace(call(EVENT, cost_usd=Decimal(0))))[-1]


def test_an_event_without_an_end_says_what_it_waits_for() -> None:
    assert "It is still open: routed to answer, and waits for it, its budget or a batch." in story_of(
        trace(outcome=None)
    )


def test_an_event_of_dead_letters_alone_says_so() -> None:
    story = story_of(trace(verdict=None, outcome=None, dead_letters=[{}]))
    assert "dead letters only" in story[0]
    assert story[1] == "It ended as a dead letter."


@pytest.mark.parametrize(
    ("action", "said"),
    [("ignore", "it was ignored"), ("reason", "leads to the reasoner answer"), ("duplicate", "repeats the event e0")],
)
def test_every_route_has_its_sentence(action: str, said: str) -> None:
    assert said in story_of(trace(verdict=row_of(verdict(EVENT, action=action, duplicate_of="e0"))))[1]

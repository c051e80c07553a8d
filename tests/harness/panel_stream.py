"""Events of the shop as the stages would have recorded them, and their tasks, for panels to draw from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from streams.core.messages import Event, PanelAnswer
from streams.panels.population import IntentHistory, Population, PopulationScope, PopulationTask
from tests.builders import START, call, event, label, outcome, reply, thought, verdict

SEVEN, EIGHT = {"number": "7"}, {"number": "8"}
SEVEN_TEXT, EIGHT_TEXT = '{"number": "7"}', '{"number": "8"}'


def accepted(of: Event, confidence: float | None = 0.9, threshold: float | None = 0.8, **more: Any) -> tuple[Any, ...]:
    """The rows of an event whose worker's answer, 7, was accepted. `more` changes the outcome."""
    made = call(of, response=reply(SEVEN), confidence=confidence, threshold=threshold)
    left = replace(outcome(of), **{"answer": SEVEN_TEXT, "call_id": made.call_id} | more)
    return verdict(of), made, left


def explored(of: Event, answer: Any, confidence: float = 0.9) -> tuple[Any, ...]:
    """An accepted answer of the worker, about which the reasoner was asked as well."""
    seen, made, left = accepted(of, confidence)
    return seen, replace(made, propensity=0.1, explored=True), thought(of, answer, decision="explored"), left


def escalated(of: Event, *, refused: bool = False, confidence: float = 0.5) -> tuple[Any, ...]:
    """An event whose worker refused, or answered 7 and was not sure, and that the reasoner answered with 8."""
    said: dict[str, Any] = {"status": "refused", "refusal_class": "other", "response": '{"refusal": "other"}'}
    unsure: dict[str, Any] = {"response": reply(SEVEN), "confidence": confidence, "threshold": 0.8}
    tried = call(of, decision="escalated", **(said if refused else unsure))
    made = thought(of, EIGHT)
    left = replace(outcome(of), tier="reasoner", handler="think", answer=EIGHT_TEXT, call_id=made.call_id)
    return verdict(of), tried, made, left


def stream(run: str = "live", events: int = 40) -> Iterator[Any]:
    """The rows of a stream: a quarter of the events escalated, half of those refused; an eighth explored, with
    another answer; an eighth labelled, the first two of them as wrong."""
    for number in range(events):
        of = event(f"e{number}", f"order {number}", run=run, hour=number / 10)
        if number % 4 == 0:
            yield from escalated(of, refused=number % 8 == 0)
        elif number % 8 == 1:
            yield from explored(of, EIGHT)
        else:
            yield from accepted(of, 0.8 + number / 10 / events)
        if number % 8 == 2:
            yield label(of, SEVEN if number > 10 else EIGHT, source="desk")


def task(number: int, **more: Any) -> PopulationTask:
    """A worker's delivered answer, so many hours after START."""
    answer = PanelAnswer(
        option="outcome", run="live", tier="worker", handler="answer", call_id=f"c{number}", delivered=True
    )
    usual: dict[str, Any] = {"intent": "order", "tier": "worker", "handler": "answer", "answers": (answer,)}
    return PopulationTask(
        event_id=f"e{number}", event_time=START + timedelta(hours=number), task=f"t{number}", **usual | more
    )


def population(tasks: list[PopulationTask], **intents: IntentHistory) -> Population:
    """The tasks of a long known intent `order`, and of `intents`."""
    known = {"order": IntentHistory(first=START - timedelta(days=9), events=100)} | intents
    return Population(scope=PopulationScope(run="live"), tasks=tasks, intents=known)


def pair(number: int, **more: Any) -> PopulationTask:
    """A task with the answers of worker and reasoner."""
    own = task(number, **more)
    other = PanelAnswer(option="reasoner", run="live", tier="reasoner", handler="think", call_id="r", delivered=False)
    return replace(own, answers=(replace(own.answers[0], option="worker"), other))

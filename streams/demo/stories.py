"""The events of a run that are worth opening, found by how they ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from streams.demo.results import DemoResult

PEOPLE: Final = "people"
"""The reasoner to which tier 1 sends what no model may answer."""


@dataclass(frozen=True, slots=True)
class Story:
    """One line about an event of this run."""

    line: str
    event_id: str


def stories(results: Sequence[DemoResult]) -> list[Story]:
    """Return the first event of each kind of story. A kind of which the run has no event is left out."""
    found = [(line, next(filter(fits, results), None)) for line, fits in _STORIES]
    return [Story(line, one.event_id) for line, one in found if one is not None]


def _checked(result: DemoResult) -> bool:
    """True if the check of orders gave the worker's answer 0."""
    worker = result.call("worker")
    return worker is not None and worker["sources"].get("desk:copied_from_message") == 0


def _caught(result: DemoResult) -> bool:
    return _checked(result) and result.attempt_right is False and result.judgement == "right"


def _invented(result: DemoResult) -> bool:
    return _checked(result) and result.judgement == "refused rightly"


def _improved(result: DemoResult) -> bool:
    return result.attempt_right is False and result.judgement == "right" and not _checked(result)


def _refused_by_model(result: DemoResult) -> bool:
    rightly = result.judgement == "refused rightly" and result.outcome["handler"] != PEOPLE
    return rightly and not _checked(result)


def _left_to_people(result: DemoResult) -> bool:
    return result.judgement == "refused rightly" and result.outcome["handler"] == PEOPLE


def _put_aside(result: DemoResult) -> bool:
    return str(result.outcome["intent"]) == "injection"


def _from_the_store(result: DemoResult) -> bool:
    worker = result.call("worker")
    return result.judgement == "right" and worker is not None and bool(worker["cache_hit"])


_STORIES: Final[Sequence[tuple[str, Callable[[DemoResult], bool]]]] = (
    ("An address out of thin air: a check caught it, and no parcel goes there.", _invented),
    ("A misread order: a check caught it, and the larger model read it right.", _caught),
    ("A wrong answer to a question: a check caught it, the larger model was right.", _improved),
    ("A question that no tier can answer: refused, and left to people.", _refused_by_model),
    ("A delicate message, which no model may answer: a rule left it to people.", _left_to_people),
    ("Text that gives the model orders: a rule put it aside, and no model read it.", _put_aside),
    ("A photo seen before, in another size: recognised, and not filed twice.", lambda one: one.state == "duplicate"),
    ("A question asked before: answered from the store, without a model.", _from_the_store),
)
"""Each line with the events that it is about, the most surprising first."""

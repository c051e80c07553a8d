"""Read recorded answers and grade them by labels, each as its handler in the pipeline file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.core.answer_comparison import Agree, value_of
from streams.core.grading import Grade, Grader, Markers
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline

HIDDEN: Final = "redaction hid a part of it"
_RIGHT: Final[Mapping[Grade, bool]] = {"right": True, "wrong": False}


def markers_of(pipeline: Pipeline) -> Markers:
    if pipeline.redaction is None:
        return Markers.of()
    names = [one.name for one in pipeline.redaction.policy.detectors]
    return Markers.of(names, any_name=pipeline.redaction.function is not None)


def grader(handler: Handler, agree: Agree, markers: Markers) -> Grader:
    contract = handler.prompting.contract if handler.prompting else None
    schema = contract.validator if contract and contract.schema is not None else None
    return Grader(agree=agree, schema=schema, plain=contract is not None and schema is None, markers=markers)


def right(grade: Grader, answer: str | None, truth: str | None) -> tuple[bool | None, str]:
    """Return whether an answer is right (None if unknown), and the reason if a comparison was impossible."""
    if answer is None or truth is None:
        return None, ""
    found = grade(answer, truth)
    if found == "misfit":
        return None, grade.fault(answer, truth)
    return _RIGHT.get(found), HIDDEN if found == "hidden" else ""


def recorded_answer(handler: Handler | None, response: str | None, finish_reason: str | None) -> str | None:
    """Read the answer in a recorded response by the handler's contract; None without a handler or a response."""
    if handler is None or response is None:
        return None
    if handler.prompting is None:
        return response
    return handler.prompting.contract.read(response, finish_reason or "", None).answer


def intent_of(label: str) -> str:
    """Return the intent that a label names, as plain text or as a JSON string."""
    value = value_of(label)
    return value if isinstance(value, str) else label.strip()

"""The labels of one event, each compared with the event's answers or with its deciding intent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from streams.app.providers import comparison
from streams.audit.grading import grader, intent_of, markers_of, recorded_answer, right
from streams.core.grading import Grader
from streams.core.routing import UNSURE
from streams.pipeline.load import Pipeline

Row = Mapping[str, Any]
ENDED: Final = frozenset({"accepted", "explored", "escalated"})
"""The decisions about an answer that is compared. A sample, or an attempt that was repeated, is not."""
NO_PIPELINE: Final = "no pipeline file says how answers are compared"
NO_ANSWER: Final = "no answer of the event was delivered"
OTHER_PIPELINE: Final = "the pipeline file does not name this handler"
NOT_RECORDED: Final = "the audit does not hold the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAnswer:
    """An answer of the event beside a label. `agrees` is None if they cannot be compared; `why` says the reason."""

    tier: str
    handler: str
    call_id: str
    delivered: bool
    """True if this answer was accepted, and so left the stream."""
    agrees: bool | None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLabel:
    """A label of the event. `answers` has each answer that it is about; `agrees` is about the delivered one.

    A label of the intent has no answers: it is compared with the deciding intent. `agrees` is None if nothing can be
    compared, and `why` says the reason.
    """

    run: str
    aspect: str
    label: str
    source: str
    labelled_at: datetime
    answers: Sequence[LabelledAnswer] = ()
    agrees: bool | None
    why: str = ""


def compare_labels(
    labels: Iterable[Row], calls: Sequence[Row], verdict: Row | None, pipeline: Pipeline | None
) -> list[TraceLabel]:
    """Compare the labels of an event with what the tiers found, as the pipeline file says."""
    answers = _answers(calls, pipeline) if pipeline else []
    none = NO_ANSWER if pipeline else NO_PIPELINE
    return [_of_intent(row, verdict) if row["aspect"] == "intent" else _of_answer(row, answers, none) for row in labels]


@dataclass(frozen=True, slots=True)
class _RecordedAnswer:
    """An answer, and what grades it; both None if the pipeline file does not name its handler."""

    call: Row
    text: str | None
    grade: Grader | None


def _answers(calls: Sequence[Row], pipeline: Pipeline) -> list[_RecordedAnswer]:
    """Return the answers of workers and reasoners. The rule of the event's worker compares the reasoner's as well."""
    handlers = {"worker": pipeline.workers, "reasoner": pipeline.reasoners}
    asked = [handlers[call["tier"]].get(call["handler"]) for call in calls if call["tier"] in handlers]
    worker = next((one for one in asked if one and one.tier == "worker"), None)
    markers = markers_of(pipeline)

    def recorded(call: Row) -> _RecordedAnswer:
        handler = handlers[call["tier"]].get(call["handler"])
        if handler is None:
            return _RecordedAnswer(call, None, None)
        answer = recorded_answer(handler, call["response"], call["finish_reason"])
        return _RecordedAnswer(call, answer, grader(handler, comparison((worker or handler).correct), markers))

    answered = [one for one in calls if one["status"] == "answered" and one["decision"] in ENDED]
    return [recorded(one) for one in answered if one["tier"] in handlers]


def _of_answer(row: Row, answers: Sequence[_RecordedAnswer], none: str) -> TraceLabel:
    compared = [_compared(one, row["label"]) for one in answers]
    delivered = next((one for one in reversed(compared) if one.delivered), None)
    agrees, why = (delivered.agrees, delivered.why) if delivered else (None, none)
    return TraceLabel(**_own(row), answers=compared, agrees=agrees, why=why)


def _compared(one: _RecordedAnswer, label: str) -> LabelledAnswer:
    agrees, why = right(one.grade, one.text, label) if one.grade else (None, OTHER_PIPELINE)
    return LabelledAnswer(
        tier=one.call["tier"],
        handler=one.call["handler"],
        call_id=one.call["call_id"],
        delivered=one.call["decision"] == "accepted",
        agrees=agrees,
        why=why or (NOT_RECORDED if one.text is None else ""),
    )


def _of_intent(row: Row, verdict: Row | None) -> TraceLabel:
    if verdict is None:
        return TraceLabel(**_own(row), agrees=None, why="the event has no verdict")
    found = next(iter(verdict["intents"]), UNSURE)
    agrees = intent_of(row["label"]) == found
    return TraceLabel(**_own(row), agrees=agrees, why="" if agrees else f"the deciding intent was {found}")


def _own(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("run", "aspect", "label", "source", "labelled_at")}

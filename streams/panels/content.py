"""The words and answers of cases, read from the audit and redacted: all that a rater sees of a case."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from streams.app.redaction import redaction_policy
from streams.audit.grading import recorded_answer
from streams.audit.query import Audit
from streams.core.exact_json import loads
from streams.core.fingerprint import canonical, digest
from streams.core.messages import PanelAnswer, PanelCase
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline

_WHERE: Final = """
    WHERE run IN {runs:Array(String)} AND event_id IN {ids:Array(String)}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
"""
_OUTCOMES: Final = "SELECT run, event_id, content_digest, call_id, answer FROM outcomes" + _WHERE  # noqa: S608 - our own words
_EVENTS: Final = "SELECT run, event_id, content_digest, text, data, image FROM verdicts" + _WHERE  # noqa: S608
_CALLS: Final = f"""
    SELECT toString(call_id) AS call_id, tier, handler, response, finish_reason FROM calls {_WHERE}
        AND tier IN ('worker', 'reasoner') AND status = 'answered'
"""  # noqa: S608 - our own words
_ERASED: Final = "SELECT event_id FROM erased_events WHERE event_id IN {ids:Array(String)}"
BATCH: Final = 500
"""Cases in one query: their ids are parts of its address."""
Redact = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseContent:
    """One case as a rater sees it."""

    text: str
    data: str
    """Further fields as indented JSON; empty without any."""
    image: str | None
    """SHA-256 of the image in the blob store."""
    answers: Mapping[str, str]
    """The answers by option: a text, or indented JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Rows about some events: outcomes and events by run and event id, calls by id."""

    outcomes: Mapping[tuple[str, str], Mapping[str, Any]]
    events: Mapping[tuple[str, str, str], Mapping[str, Any]]
    calls: Mapping[str, Mapping[str, Any]]


def read_contents(audit: Audit, pipeline: Pipeline, cases: Sequence[PanelCase]) -> dict[str, CaseContent]:
    """Return the contents of cases by case id, redacted by the pipeline's policy.

    Cases are missing whose event was erased, and those of which the audit no longer has the event or an answer.
    """
    policy = redaction_policy(pipeline)
    redact: Redact = policy.text if policy is not None else str
    found: dict[str, CaseContent] = {}
    ordered = sorted(cases, key=lambda case: case.event_time)
    for first in range(0, len(ordered), BATCH):
        some = ordered[first : first + BATCH]
        erased, rows = _rows(audit, some)
        for case in some:
            content = None if case.event_id in erased else _content(case, rows, pipeline, redact)
            if content is not None:
                found[case.case_id] = content
    return found


def content_digest(content: CaseContent) -> str:
    """Return the hash of a case's content, as 32 hexadecimal digits."""
    return digest("case content", content.text, content.data, content.image, canonical(dict(content.answers)))


def shown(answer: str) -> str:
    """Return an answer as people read it: of JSON, a text without quotes, or objects and lists indented."""
    try:
        value = loads(answer)
    except (ValueError, RecursionError):
        return answer
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=False, indent=2)
    # JSON may escape half a character, as where an answer was cut off. No page and no hash can hold that.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else answer


def handler_of(pipeline: Pipeline, tier: str, name: str) -> Handler | None:
    """Return a worker or reasoner of the pipeline; None if it has none of that name."""
    return (pipeline.workers if tier == "worker" else pipeline.reasoners).get(name)


def _rows(audit: Audit, cases: Sequence[PanelCase]) -> tuple[set[str], _Found]:
    """Read all about some cases, which are in the order of their events' times."""
    asked = {
        "runs": sorted({case.run for case in cases} | {one.run for case in cases for one in case.answers}),
        "ids": sorted({case.event_id for case in cases}),
        "since": cases[0].event_time,
        "until": cases[-1].event_time + timedelta(microseconds=1),
    }
    outcomes, events, calls = (audit.query(sql, asked).records() for sql in (_OUTCOMES, _EVENTS, _CALLS))
    erased = {row[0] for row in audit.query(_ERASED, {"ids": asked["ids"]}).rows}
    return erased, _Found(
        outcomes={(row["run"], row["event_id"]): row for row in outcomes},
        events={(row["run"], row["event_id"], row["content_digest"]): row for row in events},
        calls={row["call_id"]: row for row in calls},
    )


def _content(case: PanelCase, rows: _Found, pipeline: Pipeline, redact: Redact) -> CaseContent | None:
    outcome = rows.outcomes.get((case.run, case.event_id))
    event = outcome and rows.events.get((case.run, case.event_id, outcome["content_digest"]))
    if event is None or not (event["text"] or event["data"] or event["image"]):
        return None
    answers = {one.option: _answer(case.event_id, one, rows, pipeline) for one in case.answers}
    known = {option: shown(redact(answer)) for option, answer in answers.items() if answer is not None}
    if len(known) < len(answers):
        return None
    return CaseContent(
        text=redact(event["text"]),
        data=shown(redact(event["data"])) if event["data"] else "",
        image=event["image"],
        answers=known,
    )


def _answer(event_id: str, one: PanelAnswer, rows: _Found, pipeline: Pipeline) -> str | None:
    """Return an answer that left the stream from its outcome, any other one from its call."""
    outcome = rows.outcomes.get((one.run, event_id))
    left = outcome is not None and (one.delivered or (outcome["call_id"] or "") == one.call_id)
    if left and outcome is not None and outcome["answer"] is not None:
        return str(outcome["answer"])
    call = rows.calls.get(one.call_id)
    if call is None:
        return None
    handler = handler_of(pipeline, call["tier"], call["handler"])
    return recorded_answer(handler, call["response"], call["finish_reason"])

"""Check labels before they are published: is the event known, and could an answer have such a shape?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from streams.app.providers import comparison
from streams.audit.grading import grader, markers_of
from streams.audit.query import Audit
from streams.core.grading import Grader
from streams.core.messages import Label
from streams.pipeline.load import Pipeline

IDS_PER_QUERY: Final = 1_000
_KNOWN: Final = """
    SELECT event_id, argMax(handler, from_verdict) AS handler FROM
    (
        SELECT event_id, 1 AS from_verdict,
            multiIf(action = 'work', 'workers.', action = 'reason', 'reasoners.', '') || handler AS handler
        FROM verdicts WHERE run = {run:String} AND event_id IN {ids:Array(String)}
        UNION ALL
        SELECT event_id, 0 AS from_verdict, tier || 's.' || handler AS handler
        FROM outcomes WHERE run = {run:String} AND event_id IN {ids:Array(String)}
    )
    GROUP BY event_id
"""
KnownEvents = Mapping[tuple[str, str], str]
"""By run and event id, the handler that the event was routed to, as in `workers.answer`; empty if none."""


def known_events(audit: Audit, labels: Sequence[Label]) -> KnownEvents:
    """Return the labelled events that the audit knows."""
    ids: dict[str, list[str]] = {}
    for one in labels:
        ids.setdefault(one.run, []).append(one.event_id)
    return {(run, event_id): handler for run, some in ids.items() for event_id, handler in _known(audit, run, some)}


def _known(audit: Audit, run: str, ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), IDS_PER_QUERY):
        some = list(ids[start : start + IDS_PER_QUERY])
        yield from audit.query(_KNOWN, {"run": run, "ids": some}).rows


@dataclass(frozen=True, slots=True)
class LabelShapes:
    """The shapes that answers of a pipeline's workers and reasoners can have."""

    graders: Mapping[str, Grader]
    """By handler, as in `workers.answer`."""

    @classmethod
    def of(cls, pipeline: Pipeline) -> LabelShapes:
        markers = markers_of(pipeline)
        named = [*pipeline.workers.values(), *pipeline.reasoners.values()]
        return cls({f"{one.tier}s.{one.name}": grader(one, comparison(one.correct), markers) for one in named})

    def fault(self, label: Label) -> str:
        """Explain why no handler could give an answer that agrees with a label; empty if one could."""
        if label.aspect != "answer" or not self.graders:
            return ""
        faults = {name: one.label_fault(label.label) for name, one in self.graders.items()}
        if not all(faults.values()):
            return ""
        name = next((name for name, fault in faults.items() if "(is it " in fault), next(iter(faults)))
        return f"no handler can give such an answer; {name}: {faults[name]}"

    def unfit(self, labels: Sequence[Label], known: KnownEvents) -> Mapping[tuple[str, str], Sequence[Label]]:
        """Return, by handler and reason, the labels with which no answer of their event's own handler could agree."""
        found: dict[tuple[str, str], list[Label]] = {}
        for one in labels:
            name = known.get((one.run, one.event_id), "")
            grade = self.graders.get(name) if one.aspect == "answer" else None
            if grade and (fault := grade.label_fault(one.label)):
                found.setdefault((name, fault), []).append(one)
        return found

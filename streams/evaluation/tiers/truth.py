"""The sources of truth in the audit: labels by their source, and judgements of people and models by their panel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.evaluation.cases import MAX_CASES
from streams.evaluation.compare.diff import Aspect

SourceKind = Literal["people", "system", "label", "panel", "judge"]
"""`label` is a label whose source does not say whether a person or a system gave it."""
_KINDS: Final[Mapping[str, SourceKind]] = {
    "people": "people",
    "person": "people",
    "system": "system",
    "panel": "panel",
    "judge": "judge",
}
NO_SOURCE: Final = "(no source)"
MAX_SOURCES: Final = 20
"""Sources that are kept apart, those with the most labels."""


@dataclass(frozen=True, slots=True)
class TruthSource:
    """One source of truth: its name and its kind."""

    name: str
    kind: SourceKind


def source_named(name: str) -> TruthSource:
    """Return a source by its name, whose part before a colon gives its kind, as in `people:ann` or `system:crm`."""
    return TruthSource(name or NO_SOURCE, _KINDS.get(name.partition(":")[0], "label"))


EventLabels = Mapping[str, Mapping[TruthSource, str]]
"""By event id, the latest label of each source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedPart:
    """The part of the audit to evaluate: one run, from `since` until before `until`.

    Labels count that were published for the run, or for `base`, the run of live traffic.
    """

    run: str
    base: str
    since: datetime
    until: datetime

    def parameters(self) -> dict[str, Any]:
        return {"run": self.run, "base": self.base, "since": self.since, "until": self.until}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerValue:
    """The value that a panel's people, or one of its models, gave to one answer: `wrong` is 0 to 1."""

    source: TruthSource
    call_id: str
    wrong: float


@dataclass(frozen=True, slots=True)
class AnswerValues:
    """By call id, whether each panel or judge holds the answer for right. Undecided answers are left out."""

    by_call: Mapping[str, Mapping[TruthSource, bool]] = field(default_factory=dict)

    @classmethod
    def of(cls, answers: Iterable[AnswerValue]) -> AnswerValues:
        found: dict[str, dict[TruthSource, bool]] = {}
        for one in answers:
            if one.wrong != 0.5:
                found.setdefault(one.call_id, {})[one.source] = one.wrong < 0.5
        return cls(found)


OTHERS: Final = TruthSource("(other sources)", "label")
_LABELS: Final = """
    SELECT event_id, source, argMax(label, (labelled_at, run = {run:String})) AS label
    FROM labels
    WHERE run IN ({run:String}, {base:String}) AND aspect = {aspect:String} AND labels.label != ''
    GROUP BY event_id, source
    ORDER BY max(labelled_at), event_id, source
"""


def read_event_labels(audit: Audit, part: EvaluatedPart, aspect: Aspect) -> EventLabels:
    """Read the labels of one aspect. Raises ConfigError if there are more than MAX_CASES."""
    rows = audit.query(_LABELS, {"run": part.run, "base": part.base, "aspect": aspect}).rows
    if len(rows) >= MAX_CASES:
        raise ConfigError(f"the run has more than {MAX_CASES:,} labels.", "Evaluate a replay of a part.", "run")
    names = [name for name, _ in Counter(row[1] for row in rows).most_common(MAX_SOURCES)]
    sources = {name: source_named(name) for name in names}
    found: dict[str, dict[TruthSource, str]] = {}
    for event_id, source, label in rows:
        found.setdefault(event_id, {})[sources.get(source, OTHERS)] = label
    return found

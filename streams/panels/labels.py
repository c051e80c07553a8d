"""Read the judgements of panels as a source of truth about answers.

They are never published as labels: a label is the right answer, and a panel that finds an answer wrong does not give
the right one. Only answers that were judged right would get a label, and every rate would be biased (decision 29).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Any, Final

from streams.audit.grading import recorded_answer
from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.core.fingerprint import digest
from streams.core.messages import Panel, PanelCase
from streams.core.time_range import EARLIEST
from streams.evaluation.panel_labels import JudgedAnswer, PanelLabels
from streams.panels.estimation.uniform import uniform_start
from streams.panels.evidence import PanelEvidence, case_values, read_panel
from streams.pipeline.load import Pipeline

_PANELS: Final = """
    SELECT panel FROM panels WHERE run IN {runs:Array(String)} AND until > {since:DateTime64(6, 'UTC')}
    ORDER BY created_at DESC, panel
"""
_CALLS: Final = """
    SELECT run, event_id, toString(call_id) AS call_id, tier, handler, handler_version, response, finish_reason
    FROM calls WHERE run IN {runs:Array(String)} AND call_id IN {ids:Array(String)}
"""
_BATCH: Final = 500
"""Calls in one query: their ids are parts of its address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSample:
    """The cases of one panel's finished beginning that make a uniform sample of its tasks, in random order.

    `verdicts` says of each of their answers by case and option if it is right; skipped ones are missing.
    """

    panel: Panel
    cases: tuple[PanelCase, ...]
    verdicts: Mapping[tuple[str, str], bool]
    tasks: int
    judged: int
    skipped: int

    @property
    def share(self) -> float:
        """The share of the panel's tasks that is in the sample."""
        return len(self.cases) / self.tasks


def read_panel_labels(audit: Audit, pipeline: Pipeline, runs: Collection[str], since: datetime) -> PanelLabels:
    """Read the judged answers of all panels on some runs whose range ends after `since`.

    Raises ConfigError if none of them has a finished case.
    """
    names = [str(row[0]) for row in audit.query(_PANELS, {"runs": sorted({*runs}), "since": since}).rows]
    samples = [one for name in names if (one := judged_sample(read_panel(audit, name))) is not None]
    if not samples:
        what = f"no panel on {' or '.join(sorted({*runs}))} has a case that all its raters judged."
        remedy = "Its rubric needs a question with means_right; see docs/panel.md."
        raise ConfigError(what, remedy, "labels")
    used = without_overlap(with_equal_shares(samples))
    return PanelLabels(
        answers=tuple(_answers(audit, pipeline, used)),
        panels=tuple(one.panel.panel for one in used),
        ranges=tuple((one.panel.since or EARLIEST, one.panel.until) for one in used),
        judged=sum(one.judged for one in used),
        used=sum(len(one.cases) for one in used),
        skipped=sum(one.skipped for one in used),
    )


def judged_sample(evidence: PanelEvidence) -> JudgedSample | None:
    """Return a uniform sample of the tasks that a panel has judged; None if there is none.

    It begins with the first case of the draw and ends before the first case that lacks a rating. An answer is right if
    more raters say so than not, or the adjudicator does: on a tie it counts as wrong, so that no error is understated.
    """
    question, panel = evidence.rubric.right_question, evidence.panel
    if question is None:
        return None
    said = {option: case_values(evidence, question, option) for option in panel.options}
    unfinished = {one.case.case_id for values in said.values() for one in values if not one.complete}
    done = list(takewhile(lambda case: case.case_id not in unfinished, evidence.sample))
    if not done:
        return None
    cases = _uniform(panel, done)
    verdicts = {
        (one.case.case_id, option): one.value < 0.5
        for option, values in said.items()
        for one in values
        if one.value is not None
    }
    return JudgedSample(
        panel=panel,
        cases=cases,
        verdicts=verdicts,
        tasks=sum(stratum.tasks for stratum in panel.population),
        judged=len(done),
        skipped=sum(not any((case.case_id, option) in verdicts for option in panel.options) for case in cases),
    )


def _uniform(panel: Panel, cases: Sequence[PanelCase]) -> tuple[PanelCase, ...]:
    """Return those cases that begin a uniformly random order of the panel's tasks."""
    import numpy as np

    weight = sum(stratum.weight for stratum in panel.population)
    tasks = sum(stratum.tasks for stratum in panel.population)
    seed = int(digest("uniform", panel.panel, panel.seed), 16)
    kept = uniform_start(np.array([case.weight for case in cases]), weight, tasks, seed)
    return tuple(cases[index] for index in kept)


def with_equal_shares(samples: Sequence[JudgedSample]) -> list[JudgedSample]:
    """Return samples that hold the same share of their panels' tasks, so that together they are uniform, too.

    Each is cut to the least share. A panel is left out if the others would lose more by its low share than it adds.
    """
    ordered = sorted(samples, key=lambda one: -one.share)
    sizes = [
        ordered[count - 1].share * sum(one.tasks for one in ordered[:count]) for count in range(1, 1 + len(ordered))
    ]
    used = ordered[: 1 + sizes.index(max(sizes))]
    share = used[-1].share
    return [replace(one, cases=one.cases[: round(share * one.tasks)]) for one in used]


def without_overlap(samples: Sequence[JudgedSample]) -> list[JudgedSample]:
    """Return the samples, the newest panel's first, each without events in the range of a newer panel on the same run.

    So each event has one panel, and the same chance as all others.
    """
    newest = sorted(samples, key=lambda one: one.panel.created_at, reverse=True)
    found = []
    for place, one in enumerate(newest):
        newer = [(other.panel.run, other.panel.since or EARLIEST, other.panel.until) for other in newest[:place]]
        own = tuple(
            case
            for case in one.cases
            if not any(run == case.run and since <= case.event_time < until for run, since, until in newer)
        )
        found.append(replace(one, cases=own))
    return found


def _answers(audit: Audit, pipeline: Pipeline, samples: Sequence[JudgedSample]) -> Iterator[JudgedAnswer]:
    judged = {
        answer.call_id: sample.verdicts[case.case_id, answer.option]
        for sample in reversed(samples)  # the newest verdict on a call counts
        for case in sample.cases
        for answer in case.answers
        if (case.case_id, answer.option) in sample.verdicts
    }
    runs = sorted({answer.run for sample in samples for case in sample.cases for answer in case.answers})
    ids = sorted(judged)
    for first in range(0, len(ids), _BATCH):
        for row in audit.query(_CALLS, {"runs": runs, "ids": ids[first : first + _BATCH]}).records():
            yield _judged(row, pipeline, judged[row["call_id"]])


def _judged(row: Mapping[str, Any], pipeline: Pipeline, right: bool) -> JudgedAnswer:
    handler = (pipeline.workers if row["tier"] == "worker" else pipeline.reasoners).get(row["handler"])
    names = ("event_id", "run", "call_id", "handler", "handler_version")
    answer = recorded_answer(handler, row["response"], row["finish_reason"])
    return JudgedAnswer(**{name: row[name] for name in names}, answer=answer, right=right)

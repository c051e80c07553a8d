"""Make a panel: read its population, draw its cases, and add those that check the raters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from streams.audit.query import Audit
from streams.core.errors import ConfigError, ServiceError
from streams.core.messages import Panel, PanelCase
from streams.core.time_range import EARLIEST
from streams.panels.checks import gold_cases, read_truths, repeat_cases
from streams.panels.claims import read_claim
from streams.panels.content import content_digest, read_contents
from streams.panels.population import OUTCOME, TIERS, PopulationScope, WhyExcluded
from streams.panels.population_reader import read_population
from streams.panels.rubric import Rubric
from streams.panels.selection import CaseSelection, DrawSettings, select_cases
from streams.pipeline.load import Pipeline

USUAL_SECONDS: Final = 40.0
"""The assumed time for a case before anybody has judged by a rubric."""
LEAST_JUDGED: Final = 5
"""The fewest cases whose median time replaces the assumption."""
USUAL_CASES: Final = 50
MAX_CASES: Final = 20_000
JUDGE_CASES: Final = 4
"""The cases drawn for a model alone, for each case of the people."""
MAX_JUDGE_CASES: Final = 1000
RESERVED_NAMES: Final = ("tie", "both bad", "delivered", "outcome", "worker", "reasoner")
"""Words of judgements, reports and other panels that no compared run may have as its name."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PACE: Final = """
    SELECT median(taken) AS seconds, count() AS judged FROM
    (
        SELECT max(seconds) AS taken FROM judgements
        WHERE rubric = {rubric:String} AND judge_kind = 'person' AND kind = 'rating' AND seconds > 0
        GROUP BY panel, case_id, judge
    )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRequest:
    """The panel that an operator asks for.

    `cases` and `minutes` exclude each other; `minutes` are those of each of `raters` people. `judge_cases` None is the
    usual number. `since` None is the beginning of the audit.
    """

    name: str
    options: tuple[str, ...] = (OUTCOME,)
    run: str = "live"
    since: datetime | None = None
    until: datetime
    cases: int | None = None
    minutes: float | None = None
    raters: int = 2
    judge_cases: int | None = None
    seed: int
    random: float
    stop: str = ""
    operator: str = ""

    @property
    def scope(self) -> PopulationScope:
        return PopulationScope(run=self.run, options=self.options, since=self.since or EARLIEST, until=self.until)


@dataclass(frozen=True, slots=True)
class Pace:
    """The median seconds that a person takes for a case, from so many earlier ones; 0 if it is an assumption."""

    seconds: float
    judged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePanel:
    """A panel that is not published yet, its cases, and what there is to say about them."""

    panel: Panel
    cases: tuple[PanelCase, ...]
    reasons: Mapping[str, int]
    """The number of tasks in the population that have each reason."""
    excluded: Mapping[WhyExcluded, int]
    pace: Pace

    def count(self, purpose: str) -> int:
        """Return the number of cases of a purpose."""
        return sum(case.purpose == purpose for case in self.cases)

    @property
    def minutes(self) -> float:
        """The expected minutes of each person, if as many people judge as each case has raters."""
        shown = sum(case.purpose != "judge" for case in self.cases)
        return shown * self.pace.seconds / 60


def options_of(compare: str, run: str) -> tuple[str, tuple[str, ...]]:
    """Return the judged run, and the options, from what an operator wrote for --compare and --run.

    Raises ConfigError for anything but `worker,reasoner`, one run, or two different runs.
    """
    runs = tuple(one.strip() for one in run.split(","))
    if not all(runs) or len(runs) > 2 or len(set(runs)) < len(runs):
        raise ConfigError(f"{run!r} names neither one run nor two.", "Write for example --run live,candidate.", "run")
    if len(runs) == 2 and (reserved := next((one for one in runs if one in RESERVED_NAMES), None)):
        raise ConfigError(
            f"a run named {reserved!r} cannot be compared.", "Repeat the replay under another name.", "run"
        )
    if not compare:
        return runs[0], runs if len(runs) == 2 else (OUTCOME,)
    tiers = sorted(one.strip() for one in compare.split(","))
    if tiers != ["reasoner", "worker"]:
        remedy = "Write --compare worker,reasoner; --run A,B compares two runs."
        raise ConfigError(f"{compare!r} cannot be compared.", remedy, "compare")
    if len(runs) == 2:
        raise ConfigError("a panel compares tiers or runs, not both.", "Remove --compare, or name one run.", "compare")
    return runs[0], TIERS


def check_request(request: PanelRequest, rubric: Rubric) -> None:
    """Raise ConfigError if the request is wrong by itself, or does not fit the rubric."""
    if not _NAME.fullmatch(request.name):
        remedy = "Use letters, digits, dots, dashes and underscores, at most 64."
        raise ConfigError(f"{request.name!r:.80} is not a name for a panel.", remedy, "name")
    if request.cases is not None and request.minutes is not None:
        raise ConfigError("it is given beside --cases.", "Give one of the two.", "minutes")
    if request.since is not None and request.since >= request.until:
        raise ConfigError("it is not before --until.", "Choose an earlier time.", "since")
    picks = [one for one in rubric.questions if one.type == "pick"]
    if len(picks) == len(rubric.questions) and len(request.options) < 2:
        what = "all its questions compare two answers, and the panel shows one."
        raise ConfigError(what, "Add --compare worker,reasoner or --run A,B, or ask another question.", "rubric")
    if request.stop:
        asks_error = rubric.right_question is not None
        read_claim(request.stop, request.options, asks_error=asks_error, asks_pick=bool(picks))


def make_panel(audit: Audit, pipeline: Pipeline, rubric: Rubric, request: PanelRequest, now: datetime) -> MadePanel:
    """Draw a panel's cases. Raises ConfigError if the request is wrong or nothing can be judged.

    The same audit, pipeline, rubric and request give the same cases.
    """
    check_request(request, rubric)
    pace = read_pace(audit, rubric)
    population = read_population(audit, pipeline, request.scope)
    settings = _draw_settings(request, rubric, pace, now)
    selection = select_cases(population, settings)
    truths = read_truths(audit, pipeline, request.scope, request.seed) if rubric.gold else []
    cases = (
        *selection.cases,
        *gold_cases(population, selection, truths, rubric, settings),
        *repeat_cases(selection, rubric, settings),
    )
    return MadePanel(
        panel=_panel(request, rubric, pipeline, selection, now),
        cases=_with_digests(audit, pipeline, cases),
        reasons=selection.reasons,
        excluded=population.excluded,
        pace=pace,
    )


def read_pace(audit: Audit, rubric: Rubric) -> Pace:
    """Return the median seconds of earlier judgements by this rubric, or an assumption."""
    (row,) = audit.query(_PACE, {"rubric": rubric.id}).records()
    return Pace(row["seconds"], row["judged"]) if row["judged"] >= LEAST_JUDGED else Pace(USUAL_SECONDS, 0)


def _draw_settings(request: PanelRequest, rubric: Rubric, pace: Pace, now: datetime) -> DrawSettings:
    count = USUAL_CASES if request.cases is None else request.cases
    if request.minutes is not None:
        seconds = pace.seconds * (1 + rubric.gold + rubric.repeats)
        count = max(1, int(round(request.minutes * 60 / seconds, 6)))
    if count > MAX_CASES:
        raise ConfigError(f"a panel has at most {MAX_CASES:,} cases.", "Ask for fewer.", "cases")
    usual = min(JUDGE_CASES * count, MAX_JUDGE_CASES)
    return DrawSettings(
        panel=request.name,
        count=count,
        judge_count=usual if request.judge_cases is None else request.judge_cases,
        seed=request.seed,
        random=request.random,
        created_at=now,
    )


def _panel(request: PanelRequest, rubric: Rubric, pipeline: Pipeline, drawn: CaseSelection, now: datetime) -> Panel:
    return Panel(
        panel=request.name,
        run=request.run,
        options=request.options,
        rubric=rubric.text,
        rubric_id=rubric.id,
        raters_per_case=request.raters,
        cases=len(drawn.sample),
        seed=request.seed,
        since=request.since,
        until=request.until,
        population=drawn.strata,
        stop=request.stop,
        pipeline=pipeline.hash,
        operator=request.operator,
        created_at=now,
        updated_at=now,
    )


def _with_digests(audit: Audit, pipeline: Pipeline, cases: tuple[PanelCase, ...]) -> tuple[PanelCase, ...]:
    contents = read_contents(audit, pipeline, cases)
    missing = next((case for case in cases if case.case_id not in contents), None)
    if missing is not None:
        what = f"The audit no longer has event {missing.event_id}, which was drawn a moment ago."
        raise ServiceError(what, "Run the command again.")
    return tuple(replace(case, content_digest=content_digest(contents[case.case_id])) for case in cases)

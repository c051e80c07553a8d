"""escalon panel new."""

from __future__ import annotations

import secrets
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from streams.app.operator_name import operator_name
from streams.app.settings import Settings, read_settings
from streams.cli.console import note, out, print_json, table
from streams.cli.context import find_pipeline, require_clickhouse
from streams.cli.options import JsonOption, PipelineOption, SinceOption, UntilOption
from streams.cli.panel_rubric import rubric_file
from streams.cli.times import parse_time, utc_now
from streams.core.errors import ConfigError, ServiceError
from streams.panels.estimation.draw import RANDOM_SHARE

if TYPE_CHECKING:
    from streams.audit.query import Audit
    from streams.panels.making import MadePanel, PanelRequest
    from streams.panels.rubric import Rubric
    from streams.pipeline.load import Pipeline

AUDIT_SECONDS: Final = 15.0
"""The wait until RECORD has copied the panel into the audit."""
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name for the panel, for example week-48.")]
RubricOption = Annotated[Path, typer.Option(help="The rubric: a TOML file with the questions.")]
CompareOption = Annotated[str, typer.Option(help="Show both answers: worker,reasoner. Default: the one that left.")]
RunsOption = Annotated[str, typer.Option(help="The run to judge; with A,B the answers of two runs are compared.")]
CasesOption = Annotated[int | None, typer.Option(min=1, help="The number of cases for people. Default: 50.")]
MinutesOption = Annotated[
    float | None, typer.Option(min=1, help="Instead of --cases: the minutes of each person, if RATERS people judge.")
]
RatersOption = Annotated[int, typer.Option(min=1, max=10, help="The number of people who judge each case.")]
StopOption = Annotated[
    str, typer.Option(help='A claim that ends the panel once it is decided, for example "error <= 0.05".')
]
JudgeCasesOption = Annotated[
    int | None,
    typer.Option(
        min=0, max=20_000, help="Further cases for a model alone. Default: 4 for each case of people, at most 1000."
    ),
]
SeedOption = Annotated[int | None, typer.Option(min=0, help="Repeat an earlier draw. Default: a random seed.")]
ShareOption = Annotated[float, typer.Option(help="The share of the draw that ignores all reasons.")]


def new_panel(
    name: NameArgument,
    rubric: RubricOption,
    compare: CompareOption = "",
    run: RunsOption = "live",
    cases: CasesOption = None,
    minutes: MinutesOption = None,
    raters: RatersOption = 2,
    since: SinceOption = None,
    until: UntilOption = None,
    stop: StopOption = "",
    judge_cases: JudgeCasesOption = None,
    seed: SeedOption = None,
    random: ShareOption = RANDOM_SHARE,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw cases for people to judge, and publish them as a panel.

    Cases near a threshold, where tiers disagree, after needless refusals, of new intents and of expensive events are
    drawn more often than others. Each case keeps its chance of being drawn, so that rates hold for the whole stream.
    """
    from streams.panels.making import PanelRequest, options_of

    settings, asked = read_settings(), rubric_file(rubric)
    judged, options = options_of(compare, run)
    first = None if since is None else parse_time(since)
    last = utc_now() if until is None else parse_time(until, key="until")
    chosen = secrets.randbelow(2**31) if seed is None else seed
    request = PanelRequest(
        name=name, options=options, run=judged, since=first, until=last, cases=cases, minutes=minutes, raters=raters,
        judge_cases=judge_cases, seed=chosen, random=random, stop=stop, operator=operator_name(),
    )  # fmt: skip
    made = _publish(settings, find_pipeline(settings, pipeline), asked, request)
    if as_json:
        print_json(_document(made))
    else:
        _print(made, asked, request)


def _publish(settings: Settings, pipeline: Pipeline, rubric: Rubric, request: PanelRequest) -> MadePanel:
    from streams.audit.query import Audit
    from streams.embedded.recording import recording_servers
    from streams.panels.making import check_request, make_panel
    from streams.panels.population_tasks import MAX_TASKS
    from streams.panels.publication import await_recorded, publish

    check_request(request, rubric)
    with recording_servers(settings, pipeline, note) as servers:
        with closing(Audit(require_clickhouse(servers), max_rows=MAX_TASKS)) as audit:
            _check_unused(servers, audit, request.name)
            made = make_panel(audit, pipeline, rubric, request, utc_now())
        publish(servers, [*made.cases, made.panel])  # the panel last, so that it never appears without its cases
        try:
            await_recorded(servers, AUDIT_SECONDS)
        except ServiceError as error:  # it is safe in Kafka
            note(f"The audit does not show the panel yet: {error}")
    return made


def _check_unused(settings: Settings, audit: Audit, name: str) -> None:
    """Raise ConfigError if the audit or the topic has a panel of that name."""
    from streams.panels.panel_log import current_panel

    try:
        current_panel(settings, audit, name)
    except ConfigError:
        return
    what = f"there is a panel {name!r} already."
    raise ConfigError(what, "Choose another name; `escalon panel list` shows all.", "name")


def _document(made: MadePanel) -> dict[str, Any]:
    panel = made.panel
    return {
        "panel": panel.panel,
        "run": panel.run,
        "options": panel.options,
        "rubric": panel.rubric_id,
        "seed": panel.seed,
        "tasks": sum(one.tasks for one in panel.population),
        "cases": {purpose: made.count(purpose) for purpose in ("sample", "gold", "repeat", "judge")},
        "raters_per_case": panel.raters_per_case,
        "reasons": made.reasons,
        "excluded": made.excluded,
        "seconds_per_case": made.pace.seconds,
        "minutes": round(made.minutes, 1),
        "stop": panel.stop,
    }


def _print(made: MadePanel, rubric: Rubric, request: PanelRequest) -> None:
    panel, tasks = made.panel, sum(one.tasks for one in made.panel.population)
    out.print(f"[bold]{panel.panel}[/bold]: {panel.cases} cases drawn from {tasks:,} tasks, seed {panel.seed}.")
    drawn = Counter(reason for case in made.cases if case.purpose == "sample" for reason in case.reasons)
    rows = [(name, count, drawn[name]) for name, count in made.reasons.items()]
    rows.append(("any", tasks, panel.cases))
    out.print(table(["reason", "tasks", "drawn"], rows))
    for why, count in made.excluded.items():
        out.print(f"Not in the draw: {count:,} events {why}.", highlight=False)
    _print_remarks(made, rubric, request)
    out.print("Next, make a link for each person:", highlight=False)
    people = " ".join(("anna", "ben", "chris", "dora")[: max(2, min(panel.raters_per_case, 4))])
    out.print(f"  escalon panel link {panel.panel} {people}", markup=False, highlight=False, soft_wrap=True)


def _print_remarks(made: MadePanel, rubric: Rubric, request: PanelRequest) -> None:
    panel, pace = made.panel, made.pace
    checks = f"Added to check the raters: {made.count('gold')} gold cases, {made.count('repeat')} repeats."
    out.print(f"{checks} For a model alone: {made.count('judge')} cases.", highlight=False)
    if rubric.gold and not made.count("gold"):
        why = (
            "no question has means_right"
            if rubric.right_question is None
            else "no label is on an event outside the draw"
        )
        out.print(f"There are no gold cases, because {why}.", style="yellow", highlight=False)
    if panel.cases < (request.cases or 0):
        out.print(f"These are all tasks that there are, fewer than {request.cases}.", style="yellow", highlight=False)
    if len(panel.options) == 2 and not any(len(case.answers) == 2 for case in made.cases):
        out.print("No case has both answers, so nothing is compared.", style="yellow", highlight=False)
    time = "1 minute" if made.minutes < 1.5 else f"{made.minutes:.0f} minutes"
    known = f"the median of {pace.judged} earlier cases" if pace.judged else "an assumption"
    out.print(
        f"About {time} for each of {panel.raters_per_case} people, with {pace.seconds:.0f} s a case ({known}).",
        highlight=False,
    )

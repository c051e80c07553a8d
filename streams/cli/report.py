"""The command that sums a run up: report."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.text import Text

from streams.app.providers import comparison
from streams.app.settings import read_settings
from streams.audit.advice import Advice
from streams.audit.query import Audit
from streams.audit.report import StreamReport, make_report
from streams.cli.console import err, out, print_json, table, usd
from streams.cli.context import audit_database, pipeline_of
from streams.cli.options import PipelineOption
from streams.core.errors import ConfigError
from streams.evaluation.calibration_status import CalibrationStatus, standings
from streams.evaluation.cases import MAX_CASES, Since, read_cases
from streams.pipeline.load import Pipeline


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog="Example: escalon report --json")(report)


def report(
    run: Annotated[str, typer.Option(help="live, or the name of a replay.")] = "live",
    advice: Annotated[bool, typer.Option("--advice", help="Say whether tiering pays, and what to change.")] = False,
    upkeep: Annotated[float, typer.Option(help="US dollars a day that running the tiers costs you.")] = 10.0,
    pipeline: PipelineOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")] = False,
) -> None:
    """Say where the events, the time and the money went, and whether the calibrations still hold."""
    settings = read_settings()
    try:
        loaded = pipeline_of(settings, pipeline)
    except ConfigError as error:
        if pipeline is not None:
            raise
        if error.key != "pipeline":  # a file that is there and wrong; where none is, there is nothing to say
            err.print(f"No budgets and calibrations: {error}", style="red", markup=False, highlight=False)
        loaded = None
    with audit_database() as database:
        audit = Audit(database)
        made = make_report(audit, run, loaded)
        standing = _standings(Audit(database, max_rows=MAX_CASES), loaded, run) if loaded else []
        audit.close()
    advised = made.advice(Decimal(str(upkeep))) if advice else None
    if as_json:
        document = {"run": made.run, **made.parts, "over_budget": made.over_budget()}
        document["calibrations"] = [asdict(one) | {"holds": one.holds} for one in standing]
        print_json(document | ({"advice": asdict(advised)} if advised else {}))
        return
    print_report(made)
    _print_standings(standing)
    if advised:
        _print_advice(advised)


def _standings(audit: Audit, pipeline: Pipeline, run: str) -> list[CalibrationStatus]:
    calibrated = [name for name, one in pipeline.workers.items() if one.trust and one.trust.artifact]
    if not calibrated:
        return []
    agrees = {name: comparison(pipeline.workers[name].spec.correct) for name in calibrated}
    since = min(artifact.created for one in pipeline.workers.values() if one.trust and (artifact := one.trust.artifact))
    part = Since(run=run, since=datetime.fromisoformat(since).replace(tzinfo=UTC) - timedelta(days=1))
    return standings(pipeline, read_cases(audit, pipeline, agrees, calibrated, part))


def _print_standings(standing: list[CalibrationStatus]) -> None:
    rows = [
        (one.worker, one.calibration, one.scores, one.scores_evidence, one.labels, one.wrong, one.labels_evidence,
         "holds" if one.holds else "NO LONGER HOLDS")
        for one in standing
    ]  # fmt: skip
    columns = ["worker", "calibration", "scores", "evidence", "labels", "wrong", "evidence ", ""]
    if rows:
        out.print(table(columns, rows, "Calibrations (evidence against them as a betting factor)"))
    for one in standing:
        if one.not_graded:
            out.print(f"{one.worker}: {one.not_graded} labelled answers cannot be compared with their label.")
        if not one.scores_hold:
            what = "its scores no longer look like those it was calibrated on"
            out.print(f"{one.worker}: {what}. Label recent cases and run escalon calibrate again.", style="red")
        if not one.labels_hold:
            what = f"more than {one.max_error:.0%} of what it accepted was wrong ({one.wrong} of {one.labels})"
            out.print(f"{one.worker}: {what}. Run escalon calibrate again.", style="red")


def _print_advice(advice: Advice) -> None:
    columns = ["worker", "events", "passed on", "spent", "wasted", "saved"]
    rows = [
        (one.worker, one.events, f"{one.escalated:.0%}", usd(one.worker_usd), usd(one.wasted_usd), usd(one.saved_usd))
        for one in advice.workers
    ]
    out.print(table(columns, rows, "Is tiering worth it?"))
    for line in advice.lines:
        out.print(f"- {line}", markup=False)


# The report's tables: part, title, and the columns with the names people see.
_SHOWN: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("outcomes", "How the events ended", {"state": "state", "tier": "by", "events": "events"}),
    (
        "tiers",
        "Calls, tokens and cost",
        {
            "tier": "tier",
            "handler": "handler",
            "calls": "calls",
            "cached": "cached",
            "refused": "refused",
            "escalated": "escalated",
            "broken": "broken",
            "tokens_in": "in",
            "tokens_out": "out",
            "usd": "USD",
        },
    ),
    (
        "escalations",
        "Why events reached a reasoner",
        {"reason": "reason", "handler": "worker", "refusal_class": "class of refusal", "events": "events"},
    ),
    (
        "refusal_quality",
        "Refusals, by what the reasoner made of the same events",
        {
            "handler": "worker",
            "class": "class",
            "refused": "refused",
            "needless": "needless",
            "rightful": "rightful",
            "missed": "missed",
        },
    ),
    (
        "latency",
        "Seconds waiting and calling (cache hits left out)",
        {
            "tier": "tier",
            "calls": "calls",
            "queue_p50": "wait p50",
            "queue_p95": "p95",
            "call_p50": "call p50",
            "call_p95": "p95 ",
            "call_p99": "p99",
        },
    ),
    ("dead_letters", "Dead letters", {"topic": "topic", "reason": "reason", "messages": "messages"}),
)


def print_report(report: StreamReport) -> None:
    """The report for people."""
    for row in report.parts["outages"]:
        seen = f"{row['calls']} calls for {row['events']} events, the latest at {row['latest']:%Y-%m-%d %H:%M} UTC"
        what = f"{row['model']} was refused ({row['fault']}): {seen}. {row['said']}"
        out.print(what, style="bold red", markup=False, highlight=False, soft_wrap=True)
    for part, title, columns in _SHOWN:
        rows = report.parts[part]
        if rows:
            out.print(table(list(columns.values()), [[row[column] for column in columns] for row in rows], title))
            out.print()
    for line in sorted({_model(row) for row in report.parts["tiers"] if row["priced_as"]}):
        out.print(line, style="dim", soft_wrap=True)
    out.print(_money(report))
    for row in report.parts["unknown_labels"]:
        source = f" from {row['source']}" if row["source"] else ""
        what = f"{row['labels']} labels{source} are about {row['events']} events that the audit does not know"
        out.print(f"{what} (for one, {row['example']}). Check their event_id and run.", style="red", markup=False)
    for row in report.over_budget():
        spent = f"{row['tier']}s spent {usd(row['usd'])} of {usd(row['budget_usd'])}"
        out.print(f"Over budget on {row['day']}: {spent}.", style="red")


def _model(row: dict[str, Any]) -> str:
    priced = "" if row["priced_as"] == row["model"] else f", counted at the list price of {row['priced_as']}"
    return f"{row['tier']}s ask {row['model']}{priced}"


def _money(report: StreamReport) -> Text:
    money = report.money
    text = Text("Money\n", "bold")
    _line(text, "spent", usd(money["spent_usd"]))
    _line(text, "saved by the cache", usd(money["saved_by_cache_usd"]))
    mean = f"{money['asking_events']} that asked a model × {usd(money['reasoner_call_usd'])}, the mean"
    _line(text, "all at the reasoner", usd(money["all_reasoner_usd"]), mean)
    _line(text, "the same with tiers", usd(money["tiered_usd"]), "listeners included, exploration not")
    if (times := money["times_cheaper"]) is not None:
        _line(text, "tiering", _factor(times), _interval(money))
    if money["calls_without_price"]:
        unknown = f"{money['calls_without_price']} of {money['calls_made']} calls"
        _line(text, "of no known cost", unknown, f"{money['left_out']} events are left out of the comparison")
    return text


def _factor(times: float) -> str:
    """How many times cheaper, or dearer."""
    return f"{times:.1f} times cheaper" if times >= 1 or not times else f"{1 / times:.1f} times dearer"


def _interval(money: dict[str, Any]) -> str:
    low, high = money["times_cheaper_low"], money["times_cheaper_high"]
    if low is None:
        return f"{money['reasoned_events']} events at the reasoner are too few for an interval"
    return f"95 % interval {low:.1f} to {high:.1f}"


def _line(text: Text, what: str, value: str, note: str = "") -> None:
    text.append(f"  {what:<28}{value}", "not bold")
    text.append(f"   {note}\n" if note else "\n", "not bold dim")

"""Commands about the audit: query, report."""

from __future__ import annotations

import csv
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from streams.app.settings import read_settings
from streams.audit.query import Answer, Audit, named_sql, names
from streams.audit.report import Report, make_report
from streams.cli.console import out, print_json, table, usd
from streams.cli.context import audit_database, pipeline_of
from streams.core.errors import ConfigError


class Format(StrEnum):
    """How a query's answer is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(
        epilog='Examples: escalon query "SELECT tier, count() FROM calls GROUP BY tier" · escalon query --name money'
    )(query)
    app.command(epilog="Example: escalon report --json")(report)


def query(
    sql: Annotated[
        str | None, typer.Argument(help="Any SQL of ClickHouse; the tables are calls, outcomes, verdicts …")
    ] = None,
    name: Annotated[str | None, typer.Option(help=f"A named query: {', '.join(names())}.")] = None,
    run: Annotated[str, typer.Option(help="The run a named query asks about.")] = "live",
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Ask the audit anything, read-only, with limits on time and rows."""
    if (sql is None) == (name is None):
        raise ConfigError("give either SQL or --name.", "See escalon query --help.", "query")
    with audit_database() as database:
        audit = Audit(database)
        answer = audit.query(named_sql(name) if name else str(sql), {"run": run} if name else None)
        audit.close()
    _PRINTERS[Format.JSON if as_json else form](answer)


def _print_table(answer: Answer) -> None:
    out.print(table(answer.columns, answer.rows))


def _print_json(answer: Answer) -> None:
    for record in answer.records():
        print_json(record)


def _print_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(answer.columns)
    writer.writerows(answer.rows)


_PRINTERS = {Format.TABLE: _print_table, Format.JSON: _print_json, Format.CSV: _print_csv}


def report(
    run: Annotated[str, typer.Option(help="live, or the name of a replay.")] = "live",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")] = False,
) -> None:
    """Say where the events, the time and the money went."""
    settings = read_settings()
    try:
        pipeline = pipeline_of(settings, None)
    except ConfigError:
        pipeline = None  # without the file there are no budgets to hold the spending against
    with audit_database() as database:
        audit = Audit(database)
        made = make_report(audit, run, pipeline)
        audit.close()
    if as_json:
        print_json({"run": made.run, **made.parts, "over_budget": made.over_budget()})
    else:
        print_report(made)


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


def print_report(report: Report) -> None:
    """The report for people."""
    for part, title, columns in _SHOWN:
        rows = report.parts[part]
        if rows:
            out.print(table(list(columns.values()), [[row[column] for column in columns] for row in rows], title))
            out.print()
    for line in sorted({_model(row) for row in report.parts["tiers"] if row["priced_as"]}):
        out.print(line, style="dim", soft_wrap=True)
    out.print(_money(report))
    for row in report.over_budget():
        spent = f"{row['tier']}s spent {usd(row['usd'])} of {usd(row['budget_usd'])}"
        out.print(f"Over budget on {row['day']}: {spent}.", style="red")


def _model(row: dict[str, Any]) -> str:
    priced = "" if row["priced_as"] == row["model"] else f", counted at the list price of {row['priced_as']}"
    return f"{row['tier']}s ask {row['model']}{priced}"


def _money(report: Report) -> Text:
    money = report.money
    text = Text("Money\n", "bold")
    _line(text, "spent", usd(money["spent_usd"]))
    _line(text, "saved by the cache", usd(money["saved_by_cache_usd"]))
    mean = f"{money['events']} events at the mean of a reasoner call here, {usd(money['reasoner_call_usd'])}"
    _line(text, "every event at the reasoner", usd(money["all_reasoner_usd"]), mean)
    if (times := money["times_cheaper"]) is not None:
        _line(text, "tiering", f"{float(times):.1f} times cheaper", f"{1 / float(times):.0%} of that")
    if money["calls_without_price"]:
        _line(text, "calls without a known price", str(money["calls_without_price"]))
    return text


def _line(text: Text, what: str, value: str, note: str = "") -> None:
    text.append(f"  {what:<28}{value}", "not bold")
    text.append(f"   {note}\n" if note else "\n", "not bold dim")

"""A report as tables and lines on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Column, Table

from streams.audit.advice import Advice
from streams.audit.report import StreamReport
from streams.cli.console import out, table, usd
from streams.core.counted import counted
from streams.evaluation.calibration_status import CalibrationState, CalibrationStatus

# The tables of a report: part, title, and the heading of each column.
_TABLES: tuple[tuple[str, str, dict[str, str]], ...] = (
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
            "off_schema": "off schema",
            "tokens_in": "in",
            "tokens_out": "out",
            "usd": "USD",
        },
    ),
    (
        "escalations",
        "Why events reached a reasoner",
        {"reason": "reason", "handler": "worker", "refusal_class": "refusal class", "events": "events"},
    ),
    (
        "refusal_quality",
        "Refusals, judged by the reasoner's results",
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
        "Seconds waiting and calling (without cache hits)",
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

_STATES: Mapping[CalibrationState, str] = {
    "holds": "holds",
    "drifted": "NO LONGER HOLDS",
    "broken": "NO LONGER HOLDS",
    "not enough evidence": "not known yet",
}


def print_report(report: StreamReport) -> None:
    """Print the tables, the cost comparison and the warnings."""
    for row in report.parts["outages"]:
        seen = f"{counted(row['calls'], 'call')} for {counted(row['events'], 'event')}"
        seen += f", the latest at {row['latest']:%Y-%m-%d %H:%M} UTC"
        what = f"{row['model']} was refused ({row['fault']}): {seen}. {row['said']}"
        out.print(what, style="bold red", markup=False, highlight=False, soft_wrap=True)
    for part, title, columns in _TABLES:
        rows = report.parts[part]
        if rows:
            out.print(table(list(columns.values()), [[row[column] for column in columns] for row in rows], title))
            out.print()
    for line in sorted({_model(row) for row in report.parts["tiers"] if row["priced_as"]}):
        out.print(line, style="dim")
    out.print("Money", style="bold")
    out.print(_money(report))
    out.print()
    for row in report.parts["unknown_labels"]:
        source = f" from {row['source']}" if row["source"] else ""
        what = f"The audit does not know {counted(row['events'], 'event')} of {counted(row['labels'], 'label')}{source}"
        out.print(f"{what} (for example {row['example']}). Check their event_id and run.", style="red", markup=False)
    for row in report.over_budget():
        spent = f"{row['tier']}s spent {usd(row['usd'])} of {usd(row['budget_usd'])}"
        out.print(f"Over budget on {row['day']}: {spent}.", style="red")


def _model(row: dict[str, Any]) -> str:
    priced = "" if row["priced_as"] == row["model"] else f", counted at the list price of {row['priced_as']}"
    return f"{row['tier']}s ask {row['model']}{priced}"


def _money(report: StreamReport) -> Table:
    """Return an amount a line, with a remark that wraps in its own column."""
    money = report.money
    shown = Table.grid("", "", Column(style="dim"), padding=(0, 3, 0, 0))
    shown.add_row("  spent", usd(money["spent_usd"]))
    shown.add_row("  saved by the cache", usd(money["saved_by_cache_usd"]))
    mean = f"{money['asking_events']} asked a model × {usd(money['reasoner_call_usd'])} (mean)"
    shown.add_row("  all at the reasoner", usd(money["all_reasoner_usd"]), mean)
    shown.add_row("  the same with tiers", usd(money["tiered_usd"]), "listeners included, exploration not")
    if (times := money["times_cheaper"]) is not None:
        shown.add_row("  tiering", _factor(times), _interval(money))
    if money["calls_without_price"]:
        unknown = f"{money['calls_without_price']} of {money['calls_made']} calls"
        shown.add_row("  of no known cost", unknown, f"{money['left_out']} events are left out of the comparison")
    if money["judge_calls"]:
        calls = f"{counted(money['judge_calls'], 'call')} to rate cases of panels, in none of the sums above"
        shown.add_row("  judges", usd(money["judge_usd"]), calls)
    return shown


def _factor(times: float) -> str:
    return f"{times:.1f} times cheaper" if times >= 1 or not times else f"{1 / times:.1f} times dearer"


def _interval(money: dict[str, Any]) -> str:
    low, high = money["times_cheaper_low"], money["times_cheaper_high"]
    if low is None:
        return f"too few for an interval: {counted(money['reasoned_events'], 'event')} at the reasoner"
    return f"95 % interval {low:.1f} to {high:.1f}"


def print_standings(standing: Sequence[CalibrationStatus]) -> None:
    """Print whether each calibration still holds, and what to do if not."""
    rows = [
        (one.worker, one.calibration, one.scores, one.scores_evidence, one.labels, one.wrong, one.labels_evidence,
         _STATES[one.state])
        for one in standing
    ]  # fmt: skip
    columns = ["worker", "calibration", "scores", "evidence", "labels", "wrong", "evidence ", ""]
    if rows:
        out.print(table(columns, rows, "Calibrations (evidence against each, as a betting factor)"))
    for one in standing:
        if one.not_graded:
            out.print(f"{one.worker}: {one.not_graded} labelled answers cannot be compared with their labels.")
        if not one.scores_hold:
            what = "its scores no longer look like those it was calibrated on"
            out.print(f"{one.worker}: {what}. Label recent cases and run escalon calibrate again.", style="red")
        if not one.labels_hold:
            what = f"more than {one.max_error:.0%} of what it accepted was wrong ({one.wrong} of {one.labels})"
            out.print(f"{one.worker}: {what}. Run escalon calibrate again.", style="red")


def print_advice(advice: Advice) -> None:
    columns = ["worker", "events", "passed on", "spent", "wasted", "saved"]
    rows = [
        (one.worker, one.events, f"{one.escalated:.0%}", usd(one.worker_usd), usd(one.wasted_usd), usd(one.saved_usd))
        for one in advice.workers
    ]
    out.print(table(columns, rows, "Is tiering worth it?"))
    for line in advice.lines:
        out.print(f"- {line}", markup=False)

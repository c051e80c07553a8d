"""escalon replay."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams.adapters.clickhouse import row_of
from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.app.settings import Settings
from streams.audit.query import Audit
from streams.cli.commands import new_app
from streams.cli.console import err, out, print_json, usd
from streams.cli.context import find_pipeline, require_clickhouse, require_kafka, server_settings
from streams.cli.options import JsonOption, SinceOption, UntilOption
from streams.cli.times import parse_time
from streams.core.counted import counted
from streams.core.errors import ConfigError
from streams.core.messages import Run
from streams.replay.batch_prices import MeanCost, batch_shares, expected_costs
from streams.replay.condition import events_where
from streams.replay.run import Rehearsal
from streams.replay.selection import EventSelection, parse_offsets
from streams.replay.setup import ReplayDependencies, ReplayOrder, Report
from streams.replay.source import Chosen

WhereOption = Annotated[
    str | None, typer.Option(help="Only events that meet this SQL condition in the audit: \"intent = 'order'\".")
]
BatchOption = Annotated[
    bool, typer.Option("--batch", help="Make the calls in the provider's batches: half the price, within a day.")
]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PLAIN_INTERVAL_SECONDS = 10.0
"""Time between two lines if the output is not a terminal."""
_MEAN_COST = """
    SELECT
        concat(tier, '.', handler) AS name,
        sumIf(cost_usd, batch_id IS NULL) / nullIf(countIf(cost_usd IS NOT NULL AND batch_id IS NULL), 0) AS at_once,
        sumIf(cost_usd, batch_id IS NOT NULL) / nullIf(countIf(cost_usd IS NOT NULL AND batch_id IS NOT NULL), 0)
            AS in_batch
    FROM calls
    WHERE run = {run:String} AND NOT cache_hit
    GROUP BY name
"""
app = new_app()


@app.command(epilog="Example: escalon replay --since 7d --pipeline candidate.toml --run shorter-prompt --max-cost 5")
def replay(
    run: Annotated[str, typer.Option(help="The replay's name; the name of an unfinished replay resumes it.")],
    pipeline: Annotated[Path, typer.Option("--pipeline", "-p", help="The candidate pipeline file.")],
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    event: Annotated[list[str] | None, typer.Option(help="Only the event with this id; may be repeated.")] = None,
    offsets: Annotated[
        list[str] | None, typer.Option(metavar="PARTITION:FIRST-STOP", help="Only these offsets; once a partition.")
    ] = None,
    sample: Annotated[float, typer.Option(min=0.0, max=1.0, help="A random share of the events.")] = 1.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only this many events, the earliest.")] = None,
    topic: Annotated[str | None, typer.Option(help="The full name of the topic, if it is not events.")] = None,
    max_cost: Annotated[str | None, typer.Option(help="Stop when this many US dollars are spent.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report the calls that it would make; make none.")] = False,
    batch: BatchOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run past events through a candidate pipeline. Unchanged calls are answered from the audit, at no cost.

    Nothing is written to Kafka. Calls, verdicts and outcomes go to the audit under the replay's name.
    """
    settings = server_settings()
    if _NAME.fullmatch(run) is None or run == settings.run:
        what = f"{run!r} cannot be the name of a replay."
        raise ConfigError(what, f"Use letters, digits, points and dashes, and not {settings.run}.", "run")
    place = ReplayDependencies(
        settings=settings, kafka=require_kafka(settings), clickhouse=require_clickhouse(settings)
    )
    filters = _Filters(since, until, where, event, offsets, sample, limit)
    order = ReplayOrder(
        run=run,
        pipeline=find_pipeline(settings, pipeline),
        selection=place.as_before(run, _selection(filters, settings, place.clickhouse)),
        topic=topic or f"{settings.topic_prefix}events",
        max_cost_usd=_money(max_cost),
        batch=batch,
    )
    _replay(place, order, dry_run=dry_run, as_json=as_json)


def _replay(place: ReplayDependencies, order: ReplayOrder, *, dry_run: bool, as_json: bool) -> None:
    source = place.source(order)
    chosen = source.choose(order.selection)
    if not as_json:
        _print_chosen(order, chosen)
    if dry_run:
        rehearsal = place.rehearse(order, source, chosen)
        means = _mean_costs(place.clickhouse, place.settings.run)
        shares = batch_shares(order.pipeline, place.settings)
        costs = expected_costs(means, shares, batch=order.batch)
        _print_rehearsal(rehearsal, costs, as_json=as_json)
        return
    with _progress(len(chosen), quiet=as_json) as report:
        done = place.replay(order, source, chosen, report)
    _print_done(done, as_json=as_json)


class _Filters(NamedTuple):
    """The options that select events, as given on the command line."""

    since: str | None
    until: str | None
    where: str | None
    events: list[str] | None
    offsets: list[str] | None
    sample: float
    limit: int | None


def _selection(filters: _Filters, settings: Settings, clickhouse: ClickHouseConfig) -> EventSelection:
    named = frozenset(filters.events) if filters.events else None
    if filters.where is not None:
        met = events_where(clickhouse, filters.where, settings.run)
        named = met if named is None else named & met
    return EventSelection(
        since=parse_time(filters.since, settings.now) if filters.since else None,
        until=parse_time(filters.until, settings.now) if filters.until else None,
        offsets=parse_offsets(filters.offsets) if filters.offsets else None,
        events=named,
        condition=", ".join(filter(None, [f"where {filters.where}" if filters.where else "", *_ids(filters.events)])),
        share=filters.sample,
        limit=filters.limit,
        words=repr(tuple(filters)),
    )


def _ids(events: list[str] | None) -> list[str]:
    return [f"event {event_id}" for event_id in sorted(events or [])]


def _money(text: str | None) -> Decimal | None:
    """Parse an exact amount above 0."""
    try:
        amount = None if text is None else Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if amount is not None and (not amount.is_finite() or amount <= 0):
        raise ConfigError(f"{text!r} is not an amount.", "Write US dollars above 0, such as 2.50.", "max-cost")
    return amount


def _print_chosen(order: ReplayOrder, chosen: Chosen) -> None:
    events = counted(len(chosen), "event")
    out.print(f"{events} of the topic {order.topic} ({order.selection}).", markup=False, soft_wrap=True)
    if chosen.unreadable:
        out.print(f"{chosen.unreadable:,} records are not readable events and are left out.")
    if chosen.skipped:
        out.print(f"{chosen.skipped:,} records are skipped by [source].", markup=False)
    for partition, first in sorted(chosen.begins.items()):
        what = f"Partition {partition} begins at offset {first}: Kafka no longer has what was before."
        out.print(what, style="yellow")


def _mean_costs(clickhouse: ClickHouseConfig, run: str) -> list[MeanCost]:
    with closing(Audit(clickhouse)) as audit:
        return [MeanCost(**row) for row in audit.query(_MEAN_COST, {"run": run}).records()]


def _print_rehearsal(rehearsal: Rehearsal, costs: dict[str, Decimal], *, as_json: bool) -> None:
    known = {name: number * costs[name] for name, number in rehearsal.asked.items() if name in costs}
    total = sum(known.values(), Decimal(0)) if len(known) == len(rehearsal.asked) else None
    if as_json:
        asked = dict(rehearsal.asked)
        print_json({"events": rehearsal.events, "unchanged": rehearsal.unchanged, "asked": asked, "usd": total})
        return
    out.print(f"{rehearsal.unchanged:,} of them need no call.")
    for name, number in rehearsal.asked.most_common():
        price = f"for about {usd(known[name])}" if name in known else "at an unknown cost"
        out.print(f"For the others {name} would be called {number:,} times, {price}.", markup=False)
    if rehearsal.asked:
        out.print(
            f"Total: {usd(total)}, at the mean cost of the live calls. Calls that follow from new answers, such as "
            "those of a reasoner after a refusal, are not included."
        )


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Report]:
    """Show a bar on a terminal; elsewhere print a line every PLAIN_INTERVAL_SECONDS."""
    columns = (
        TextColumn("replaying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[spent]}"),
    )
    printed_at = time.monotonic()
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as bar:
        task = bar.add_task("", total=total, spent="")

        def report(run: Run, waiting: int) -> None:
            nonlocal printed_at
            spent = f"calls {run.paid_calls:,}, {usd(run.cost_usd)}"
            spent += f", {waiting:,} wait in batches" if waiting else ""
            bar.update(task, completed=run.events, spent=spent)
            if not quiet and not err.is_terminal and time.monotonic() - printed_at > PLAIN_INTERVAL_SECONDS:
                printed_at = time.monotonic()
                err.print(f"{run.events:,} of {total:,} events, {spent} so far")

        yield report


def _print_done(run: Run, *, as_json: bool) -> None:
    if as_json:
        print_json(row_of(run))
        return
    out.print(
        f"{run.run} in total: {run.events:,} events, {run.paid_calls:,} calls made, {run.reused_calls:,} answers "
        f"reused from {run.base}, {usd(run.cost_usd)} spent.",
        markup=False,
    )
    out.print(f"See what changed: escalon compare {run.base} {run.run}", markup=False, soft_wrap=True)

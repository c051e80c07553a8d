"""The command replay: past events through a candidate pipeline, before anything goes live."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams.adapters.clickhouse import ClickHouseConfig, row_of
from streams.audit.query import Audit
from streams.cli.console import err, out, print_json, usd
from streams.cli.context import clickhouse_of, kafka_of, located, pipeline_of
from streams.cli.times import moment
from streams.core.errors import ConfigError
from streams.core.messages import Run

if TYPE_CHECKING:
    from streams.app.settings import Settings
    from streams.replay.place import Order
    from streams.replay.run import Rehearsal
    from streams.replay.selection import Selection
    from streams.replay.source import Chosen

Tell = Callable[[Run], None]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
QUIET_SECONDS = 10.0
_MEAN_COST = """
    SELECT concat(tier, '.', handler) AS name, sum(cost_usd) / countIf(cost_usd IS NOT NULL) AS usd
    FROM calls
    WHERE run = {run:String} AND NOT cache_hit
    GROUP BY name
    HAVING countIf(cost_usd IS NOT NULL) > 0
"""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(
        epilog="Example: escalon replay --since 7d --pipeline candidate.toml --run shorter-prompt --max-cost 5"
    )(replay)


def replay(
    run: Annotated[str, typer.Option(help="A name for this replay; the same again goes on where it stopped.")],
    pipeline: Annotated[Path, typer.Option("--pipeline", "-p", help="The candidate pipeline.")],
    since: Annotated[str | None, typer.Option(help="Events from then on: a date, a time with its offset, 7d.")] = None,
    until: Annotated[str | None, typer.Option(help="Events before then.")] = None,
    where: Annotated[
        str | None, typer.Option(help="Only events of which this holds in the audit: \"intent = 'order'\".")
    ] = None,
    event: Annotated[list[str] | None, typer.Option(help="Only this event, by its id; may be repeated.")] = None,
    offsets: Annotated[list[str] | None, typer.Option(help="PARTITION:FIRST-STOP; once a partition.")] = None,
    sample: Annotated[float, typer.Option(min=0.0, max=1.0, help="A random share of them.")] = 1.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the earliest so many.")] = None,
    topic: Annotated[str | None, typer.Option(help="Another topic than events, by its whole name.")] = None,
    max_cost: Annotated[str | None, typer.Option(help="Stop when so many US dollars are spent.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would have to be asked, and ask nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")] = False,
) -> None:
    """Run past events through a candidate pipeline. What did not change is answered from what live calls said.

    Nothing is written to Kafka. The calls, verdicts and outcomes land in the audit under the run's name.
    """
    from streams.replay.place import Order, Place

    settings = located()
    if _NAME.fullmatch(run) is None or run == settings.run:
        raise ConfigError(f"{run!r} is no name for a replay.", "Use letters, digits, points and dashes.", "run")
    place = Place(settings=settings, kafka=kafka_of(settings), clickhouse=clickhouse_of(settings))
    asked = _Asked(since, until, where, event, offsets, sample, limit)
    order = Order(
        run=run,
        pipeline=pipeline_of(settings, pipeline),
        selection=place.as_before(run, _selection(asked, settings, place.clickhouse)),
        topic=topic or f"{settings.topic_prefix}events",
        max_cost_usd=_money(max_cost),
    )
    source = place.source(order)
    chosen = source.choose(order.selection)
    if not as_json:
        _say_chosen(order, chosen)
    if dry_run:
        rehearsal = place.rehearse(order, source, chosen)
        _say_rehearsal(rehearsal, _mean_costs(place.clickhouse, settings.run), as_json=as_json)
        return
    with _progress(len(chosen), quiet=as_json) as tell:
        done = place.replay(order, source, chosen, tell)
    _say_done(done, as_json=as_json)


class _Asked(NamedTuple):
    """Which events were asked for, in the words of the command line."""

    since: str | None
    until: str | None
    where: str | None
    events: list[str] | None
    offsets: list[str] | None
    sample: float
    limit: int | None


def _selection(asked: _Asked, settings: Settings, clickhouse: ClickHouseConfig) -> Selection:
    from streams.replay.condition import events_where
    from streams.replay.selection import Selection, parse_offsets

    named = frozenset(asked.events) if asked.events else None
    if asked.where is not None:
        met = events_where(clickhouse, asked.where, settings.run)
        named = met if named is None else named & met
    return Selection(
        since=moment(asked.since, settings.now) if asked.since else None,
        until=moment(asked.until, settings.now) if asked.until else None,
        offsets=parse_offsets(asked.offsets) if asked.offsets else None,
        events=named,
        condition=", ".join(filter(None, [f"where {asked.where}" if asked.where else "", *_ids(asked.events)])),
        share=asked.sample,
        limit=asked.limit,
        words=repr(tuple(asked)),
    )


def _ids(events: list[str] | None) -> list[str]:
    return [f"event {event_id}" for event_id in sorted(events or [])]


def _money(text: str | None) -> Decimal | None:
    """Exact money above 0."""
    try:
        amount = None if text is None else Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if amount is not None and (not amount.is_finite() or amount <= 0):
        raise ConfigError(f"{text!r} is no amount.", "Write US dollars above 0, such as 2.50.", "max-cost")
    return amount


def _say_chosen(order: Order, chosen: Chosen) -> None:
    out.print(f"{len(chosen):,} events of the topic {order.topic} ({order.selection}).", markup=False, soft_wrap=True)
    if chosen.unreadable:
        out.print(f"{chosen.unreadable:,} records hold no readable event; they are left out.")
    for partition, first in sorted(chosen.begins.items()):
        what = f"Partition {partition} begins at offset {first}: Kafka no longer holds what was before."
        out.print(what, style="yellow")


def _mean_costs(clickhouse: ClickHouseConfig, run: str) -> dict[str, Decimal]:
    audit = Audit(clickhouse)
    try:
        return {row["name"]: row["usd"] for row in audit.query(_MEAN_COST, {"run": run}).records()}
    finally:
        audit.close()


def _say_rehearsal(rehearsal: Rehearsal, costs: dict[str, Decimal], *, as_json: bool) -> None:
    known = {name: number * costs[name] for name, number in rehearsal.asked.items() if name in costs}
    total = sum(known.values(), Decimal(0)) if len(known) == len(rehearsal.asked) else None
    if as_json:
        asked = dict(rehearsal.asked)
        print_json({"events": rehearsal.events, "unchanged": rehearsal.unchanged, "asked": asked, "usd": total})
        return
    out.print(f"{rehearsal.unchanged:,} of them need no call.")
    for name, number in rehearsal.asked.most_common():
        price = f"about {usd(known[name])}" if name in known else "at a cost that is not known"
        out.print(f"For the others {name} would be asked {number:,} times, {price}.", markup=False)
    if rehearsal.asked:
        out.print(
            f"In all {usd(total)}, by what a call of each cost live. What the new answers lead to is not in it: a "
            "reasoner may have to be asked as well."
        )


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Tell]:
    """A bar on a terminal; elsewhere a line now and then."""
    columns = (
        TextColumn("replaying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[spent]}"),
    )
    said = time.monotonic()
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as bar:
        task = bar.add_task("", total=total, spent="")

        def tell(run: Run) -> None:
            nonlocal said
            bar.update(task, completed=run.events, spent=f"calls {run.paid_calls:,}, {usd(run.cost_usd)}")
            if not quiet and not err.is_terminal and time.monotonic() - said > QUIET_SECONDS:
                said = time.monotonic()
                err.print(f"{run.events:,} of {total:,} events, calls {run.paid_calls:,}, {usd(run.cost_usd)} so far")

        yield tell


def _say_done(run: Run, *, as_json: bool) -> None:
    if as_json:
        print_json(row_of(run))
        return
    out.print(
        f"{run.run} in all: events {run.events:,}, calls made {run.paid_calls:,}, answers taken from {run.base} "
        f"{run.reused_calls:,}, spent {usd(run.cost_usd)}.",
        markup=False,
    )
    out.print(f"See what changed: escalon compare {run.base} {run.run}", markup=False, soft_wrap=True)

"""escalon panel judge."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from streams.app.settings import read_settings
from streams.cli.console import note, out, print_json, usd
from streams.cli.context import find_pipeline, require_clickhouse
from streams.cli.options import JsonOption, PipelineOption
from streams.core.errors import ServiceError

if TYPE_CHECKING:
    from streams.panels.judge.judging import JudgingTally
    from streams.panels.judge.panel import Judged

Cases = Literal["sample", "all"]
INTERVAL_SECONDS = 10.0
"""The least time between two lines about the progress."""


def judge(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The panel's name.")],
    model: Annotated[str, typer.Option(help="The model that judges: a name from the pipeline file's table of models.")],
    cases: Annotated[
        Cases, typer.Option(help="sample: the people's cases; all: those that were drawn for a model alone as well.")
    ] = "all",
    max_cost: Annotated[float, typer.Option(min=0.0, help="The most US dollars that the calls may cost.")] = 1.0,
    both_orders: Annotated[
        bool, typer.Option("--both-orders", help="Show each pair a second time with its answers swapped.")
    ] = False,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a model judge a panel's cases by the same rubric.

    Its judgements never count as a person's. The report compares it with the people, and uses it to narrow their
    intervals. No case is paid for twice: the same command goes on where it stopped.
    """
    from streams.embedded.recording import recording_servers
    from streams.panels.judge.judging import JudgeOrder
    from streams.panels.judge.panel import judge_panel

    settings = read_settings()
    found = find_pipeline(settings, pipeline)
    limit = Decimal(str(max_cost))
    order = JudgeOrder(model=model, max_cost_usd=limit, further=cases == "all", both_orders=both_orders)
    with recording_servers(settings, found, note) as running:
        judged = judge_panel(running, require_clickhouse(running), found, name, order, JudgeProgress().show)
    if as_json:
        print_json(_document(judged))
    else:
        _print(name, limit, judged)
    if judged.tally.stopped and judged.tally.failed:
        raise ServiceError(judged.tally.stopped, "Correct that and run the same command again: it goes on from here.")


@dataclass(slots=True)
class JudgeProgress:
    """Prints how far the work is, to standard error."""

    printed_at: float = field(default_factory=time.monotonic)

    def show(self, tally: JudgingTally) -> None:
        """Print a line unless the last one is less than INTERVAL_SECONDS old."""
        if time.monotonic() - self.printed_at >= INTERVAL_SECONDS:
            self.printed_at = time.monotonic()
            done = tally.judged + tally.skipped + tally.failed
            note(f"{done} of {tally.showings} calls, {usd(tally.usd)} so far")


def _document(judged: Judged) -> dict[str, object]:
    orders = asdict(judged.orders) if judged.orders is not None else None
    return {"judge": judged.judge, **asdict(judged.tally), "both_orders": orders}


def _print(name: str, limit: Decimal, judged: Judged) -> None:
    tally = judged.tally
    already = f"; {tally.already} were judged before" if tally.already else ""
    _say(f"{judged.judge} has judged {tally.judged} of {tally.showings} cases of the panel {name}{already}.")
    _say(f"It has cost {usd(tally.usd)} of at most {usd(limit)}.")
    for count, what in (
        (tally.skipped, "got no valid judgement; the trace of the event has the model's reply"),
        (tally.failed, "failed; the same command tries them again"),
        (tally.unseen, "have an image, which no model of a pipeline can see"),
        (tally.gone, "were erased or have expired"),
    ):
        if count:
            _say(f"{count} {what}.")
    if (orders := judged.orders) is not None:
        _say(
            f"In both orders it chose alike for {orders.alike} of {orders.pairs} pairs; for {orders.first} it chose the"
            f" answer that was first both times, for {orders.second} the second one."
        )
    if tally.stopped and not tally.failed:
        _say(f"{tally.stopped} Give a higher --max-cost to go on.")
    _say(f"Next: escalon panel report {name}")


def _say(line: str) -> None:
    out.print(line, markup=False, highlight=False, soft_wrap=True)

"""The command that asks the audit anything: query."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from streams.audit.named_queries import STANDING, library, named_query, names
from streams.audit.query import MAX_ROWS, MAX_SECONDS, Audit, QueryResult
from streams.audit.sql_text import bound
from streams.cli.answers import CELL_CHARACTERS, Write, print_table, write_csv, write_json
from streams.cli.console import err, out, print_json
from streams.cli.context import audit_database
from streams.cli.options import RunOption, SinceOption
from streams.cli.printable import shown
from streams.cli.times import moment
from streams.core.errors import ConfigError

LONGEST_SECONDS = 280
"""The driver gives up on a silent server at 300."""


class Format(StrEnum):
    """How a query's answer is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


WRITERS: Mapping[Format, Write] = {Format.JSON: write_json, Format.CSV: write_csv}


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(
        epilog='Examples: escalon query "SELECT tier, count() FROM calls GROUP BY tier" · escalon query --name money'
        " --since 7d · escalon query --list"
    )(query)


def query(
    sql: Annotated[
        str | None, typer.Argument(help="Any SQL of ClickHouse that reads; the tables are calls, outcomes, verdicts …")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A named query; --list shows them.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the named queries and their parameters.")] = False,
    run: RunOption = "live",
    since: SinceOption = None,
    until: Annotated[str | None, typer.Option(help="Only events before then, written as for --since.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for a {name:Type} in the query; repeat it.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Show cells whole in a table.")] = False,
    max_seconds: Annotated[int, typer.Option(min=1, max=LONGEST_SECONDS, help="Give up after so long.")] = MAX_SECONDS,
    max_rows: Annotated[int, typer.Option(min=1, max=10_000_000, help="Take no more rows.")] = MAX_ROWS,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Ask the audit anything, read-only, with limits on time, memory and rows."""
    form = Format.JSON if as_json else form
    if show:
        _list(form)
        return
    if (sql is None) == (name is None):
        raise ConfigError("give either SQL or --name.", "See escalon query --help, or --list.", "query")
    if form is Format.PARQUET and output is None:
        raise ConfigError("Parquet goes to a file.", "Add --out FILE.parquet.", "format")
    standing = _standing(run, since, until)
    named = named_query(name) if name else None
    text = named.sql if named else str(sql)
    values = bound(text, _given(param or []), {**named.defaults, **standing} if named else {**STANDING, **standing})
    with audit_database() as database:
        audit = Audit(database, max_seconds, max_rows)
        try:
            if form is Format.PARQUET and output is not None:
                size = audit.write_parquet(text, values, output)
                err.print(f"Wrote {output} ({size} bytes).", markup=False, highlight=False)
                return
            answer = audit.query(text, values) if named else audit.ask(text, values)
        finally:
            audit.close()
    _print(answer, form, output, None if full else CELL_CHARACTERS)
    if answer.cut:
        err.print(f"Cut short: there are more than {max_rows} rows. Ask for less, or raise --max-rows.", style="yellow")


def _print(answer: QueryResult, form: Format, output: Path | None, limit: int | None) -> None:
    write = WRITERS.get(form)
    if output is None:
        if write is None:
            print_table(answer, out, limit)
        else:
            write(answer, shown(sys.stdout))
        return
    if write is None:
        raise ConfigError("a table is for the terminal.", "Add --format csv, json or parquet.", "format")
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            write(answer, file)
    except OSError as error:
        raise ConfigError(f"{output} cannot be written ({error.strerror}).", "Name another file.", "out") from error


def _standing(run: str, since: str | None, until: str | None) -> dict[str, str]:
    """The values of the parameters that most queries share, as ClickHouse reads them."""
    told = {"since": since, "until": until}
    times = {name: moment(text, lambda: datetime.now(UTC)) for name, text in told.items() if text is not None}
    return {"run": run} | {name: time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") for name, time in times.items()}


def _given(pairs: Sequence[str]) -> dict[str, str]:
    given = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(given) < len(pairs):
        raise ConfigError("a parameter is written twice, or not as NAME=VALUE.", "As in --param limit=50.", "param")
    return given


def _list(form: Format) -> None:
    if form is Format.JSON:
        for one in library().values():
            print_json({"name": one.name, "about": one.about, "parameters": one.parameters, "defaults": one.defaults})
        return
    shown = Table(header_style="dim", box=None, padding=(0, 1, 0, 0))
    shown.add_column("query")
    shown.add_column("what it answers", overflow="fold")
    for name in names():
        one = named_query(name)
        own = [f"{key}={one.defaults.get(key, '')}" for key in one.parameters if key not in STANDING]
        shown.add_row(name, one.about + (f" [dim](--param {', '.join(own)})[/dim]" if own else ""))
    out.print(shown)

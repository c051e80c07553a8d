"""escalon query."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from streams.audit.named_queries import DEFAULTS, library, named_query
from streams.audit.query import MAX_ROWS, MAX_SECONDS, QueryResult
from streams.audit.result_text import write_csv
from streams.audit.sql_text import bound
from streams.cli.audit_access import open_audit
from streams.cli.commands import new_app
from streams.cli.console import err, out, print_json
from streams.cli.options import RunOption, SinceOption, UntilOption
from streams.cli.printable import shown
from streams.cli.result_output import CELL_CHARACTERS, Write, print_table, write_json
from streams.cli.times import parse_time
from streams.core.errors import ConfigError

LONGEST_SECONDS = 280
"""The driver gives up on a silent server after 300 s."""


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


WRITERS: Mapping[Format, Write] = {Format.JSON: write_json, Format.CSV: write_csv}
app = new_app()


@app.command(
    epilog='Examples: escalon query "SELECT tier, count() FROM calls GROUP BY tier" · escalon query --name money'
    " --since 7d · escalon query --list"
)
def query(
    sql: Annotated[
        str | None,
        typer.Argument(metavar="SQL", help="A SELECT in ClickHouse's SQL, on calls, outcomes, verdicts and others."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A named query; --list shows them.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the named queries and their parameters.")] = False,
    run: RunOption = "live",
    since: SinceOption = None,
    until: UntilOption = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="The value of {NAME:Type}; may be repeated.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="The output format.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Show every cell whole in a table.")] = False,
    max_seconds: Annotated[int, typer.Option(min=1, max=LONGEST_SECONDS, help="Time limit.")] = MAX_SECONDS,
    max_rows: Annotated[int, typer.Option(min=1, max=10_000_000, help="Row limit.")] = MAX_ROWS,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Query the audit, read-only, with limits on time, memory and rows."""
    form = Format.JSON if as_json else form
    if show:
        _list(form)
        return
    if form is Format.PARQUET and output is None:
        raise ConfigError("Parquet cannot be printed.", "Add --out FILE.parquet.", "format")
    text, values = _statement(sql, name, param or [], _shared_parameters(run, since, until))
    with open_audit(max_seconds, max_rows) as audit:
        if form is Format.PARQUET and output is not None:
            size = audit.write_parquet(text, values, output)
            err.print(f"Wrote {output} ({size} bytes).", markup=False, highlight=False)
            return
        answer = audit.query(text, values) if name else audit.ask(text, values)
    _print(answer, form, output, None if full else CELL_CHARACTERS)
    if answer.cut:
        err.print(
            f"Cut off: there are more than {max_rows} rows. Narrow the query, or raise --max-rows.", style="yellow"
        )


def _statement(
    sql: str | None, name: str | None, pairs: Sequence[str], shared: dict[str, str]
) -> tuple[str, dict[str, str]]:
    """Return the SQL and the values of its parameters."""
    if (sql is None) == (name is None):
        raise ConfigError("give either SQL or --name.", "See escalon query --help, or --list.", "query")
    if sql is not None and (word := sql.strip()).isidentifier():
        if word in library():
            raise ConfigError("that is a named query.", f"Run it with: escalon query --name {word}", "query")
        remedy = 'Write a SELECT, such as "SELECT * FROM calls LIMIT 5", or see escalon query --list.'
        raise ConfigError(f"{word!r} is not SQL.", remedy, "query")
    if name is None:
        return str(sql), bound(str(sql), _parameters(pairs), {**DEFAULTS, **shared})
    named = named_query(name)
    return named.sql, bound(named.sql, _parameters(pairs), {**named.defaults, **shared})


def _print(answer: QueryResult, form: Format, output: Path | None, limit: int | None) -> None:
    write = WRITERS.get(form)
    if output is None:
        if write is None:
            print_table(answer, out, limit)
        else:
            write(answer, shown(sys.stdout))
        return
    if write is None:
        raise ConfigError("a table cannot be written to a file.", "Add --format csv, json or parquet.", "format")
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            write(answer, file)
    except OSError as error:
        raise ConfigError(f"{output} cannot be written ({error.strerror}).", "Name another file.", "out") from error


def _shared_parameters(run: str, since: str | None, until: str | None) -> dict[str, str]:
    """Return the parameters that most queries share, as ClickHouse reads them."""
    given = {"since": since, "until": until}
    times = {name: parse_time(text, key=name) for name, text in given.items() if text is not None}
    return {"run": run} | {name: time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") for name, time in times.items()}


def _parameters(pairs: Sequence[str]) -> dict[str, str]:
    given = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(given) < len(pairs):
        raise ConfigError("a parameter is given twice, or not as NAME=VALUE.", "Write --param limit=50.", "param")
    return given


def _list(form: Format) -> None:
    if form is Format.JSON:
        for one in library().values():
            print_json({"name": one.name, "about": one.about, "parameters": one.parameters, "defaults": one.defaults})
        return
    listed = Table(header_style="dim", box=None, padding=(0, 1, 0, 0))
    listed.add_column("query")
    listed.add_column("answers", overflow="fold")
    for name in library():
        one = named_query(name)
        own = [f"{key}={one.defaults.get(key, '')}" for key in one.parameters if key not in DEFAULTS]
        listed.add_row(name, one.about + (f" [dim](--param {', '.join(own)})[/dim]" if own else ""))
    out.print(listed)
    out.print("\nRun one with escalon query --name NAME.", style="dim")

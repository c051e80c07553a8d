"""Prints which models of a pipeline file work, for escalon check --connect."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import typer

from streams.app.connections import Connection, connections
from streams.app.settings import Settings
from streams.cli.console import err, out, print_json, table
from streams.pipeline.load import Pipeline

_COLUMNS = {  # short, so that only a long name wraps in a terminal of 80 columns
    "model": "model",
    "name": "name",
    "answered": "answers",
    "schema": "schema",
    "usage": "tokens",
    "logprobs": "logprobs",
    "images": "images",
    "cost_usd": "USD",
    "first_token_seconds": "first s",
    "seconds": "all s",
}


def show_connections(pipeline: Pipeline, settings: Settings, *, as_json: bool) -> None:
    """Call each model once and print what it showed; exit code 1 if anything that the file says does not work."""
    found = asyncio.run(connections(pipeline, settings))
    ok = all(one.ok for one in found)
    if as_json:
        print_json({"ok": ok, "models": [asdict(one) for one in found]})
    else:
        _print(found)
    if not ok:
        raise typer.Exit(1)


def _print(found: list[Connection]) -> None:
    rows = [[getattr(one, name) for name in _COLUMNS] for one in found]
    out.print(table(list(_COLUMNS.values()), rows, "One call to each model", limit=40))
    for one in found:
        for problem in one.problems:
            err.print(f"models.{one.model}: {problem}", style="red", markup=False, highlight=False, soft_wrap=True)

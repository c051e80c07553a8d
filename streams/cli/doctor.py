"""escalon doctor."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from functools import partial

import typer

from streams.cli.commands import new_app
from streams.cli.console import out, print_json
from streams.cli.context import DEFAULT_PIPELINE, find_pipeline, server_settings
from streams.cli.doctor_checks import Diagnosis, State, findings
from streams.cli.options import JsonOption, PipelineOption

COLOURS: dict[State, str] = {"ok": "green", "warn": "yellow", "fail": "red"}
app = new_app()


@app.command(epilog="Example: escalon doctor -p desk/pipeline.toml")
def doctor(pipeline: PipelineOption = None, as_json: JsonOption = False) -> None:
    """Say what is installed, reachable, migrated, priced and missing, each with its remedy.

    Each line is ok, a warning, or a failure. The exit code is 1 after a failure. The directories in use are listed
    with their sizes.
    """
    settings = server_settings()
    named = pipeline or settings.pipeline or (DEFAULT_PIPELINE if DEFAULT_PIPELINE.is_file() else None)
    load = partial(find_pipeline, settings, named) if named is not None else None
    found = []
    for one in findings(settings, load):
        found.append(one)
        if not as_json:
            _print(one)
    states = Counter(one.state for one in found)
    if as_json:
        print_json({"ok": not states["fail"], "findings": [asdict(one) for one in found]})
    else:
        out.print(f"{states['ok']} ok, {states['warn']} warnings, {states['fail']} failures.")
    if states["fail"]:
        raise typer.Exit(1)


def _print(one: Diagnosis) -> None:
    out.print(one.state.ljust(5), style=COLOURS[one.state], end="", highlight=False)
    out.print(f"{one.area}: {one.what}".rstrip("."), end="", markup=False, highlight=False, soft_wrap=True)
    out.print(f". {one.remedy}" if one.remedy else "", markup=False, highlight=False, soft_wrap=True)

"""escalon panel new and list."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli.options import JsonLinesOption


def new_panel(name: Annotated[str, typer.Argument(metavar="NAME", help="The panel's name.")]) -> None:
    """Draw cases from the stream for people to judge, and publish them as a panel."""
    raise NotImplementedError


def list_panels(as_json: JsonLinesOption = False) -> None:
    """List the panels, the newest first."""
    raise NotImplementedError

"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PipelineOption = Annotated[
    Path | None,
    typer.Option("--pipeline", "-p", help="The pipeline file; else ESCALON_PIPELINE, else ./pipeline.toml."),
]
RunOption = Annotated[str, typer.Option(help="live, or the name of a replay.")]
SinceOption = Annotated[
    str | None, typer.Option(help="Only events from then on: a date, a time with its offset, or how long ago (7d).")
]
LabelsOption = Annotated[
    str, typer.Option(help="Who says what is right: people (the topic labels) or the reasoner (needs explore).")
]

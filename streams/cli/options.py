"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PipelineOption = Annotated[
    Path | None,
    typer.Option("--pipeline", "-p", help="The pipeline file. Default: ESCALON_PIPELINE, or ./pipeline.toml."),
]
RunOption = Annotated[str, typer.Option(help="The run: live, or the name of a replay.")]
SinceOption = Annotated[
    str | None, typer.Option(help="Only events since then: a date, a time with its offset, or an age such as 7d.")
]
UntilOption = Annotated[str | None, typer.Option(help="Only events before then, written as for --since.")]
LabelsOption = Annotated[
    str,
    typer.Option(
        help="The truth about answers: people (the topic labels), reasoner (needs explore) or panel (judgements)."
    ),
]
CassetteOption = Annotated[
    Path | None, typer.Option(help="Take the answers of language models from this recording; no network is used.")
]
RecordOption = Annotated[Path | None, typer.Option(help="Add the answers of language models to this recording.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for programs.")]

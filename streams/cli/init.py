"""escalon init."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.classifier_training import train_classifier
from streams.cli.commands import new_app
from streams.cli.console import out
from streams.core.errors import ConfigError
from streams.demo.starter import MODELS, write_starter

app = new_app()


@app.command(epilog="Example: escalon init desk && escalon up -p desk/pipeline.toml")
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty directory.")],
    models: Annotated[str, typer.Option(help=f"The models to use: {' or '.join(MODELS)}.")] = "local",
) -> None:
    """Write a commented starter pipeline that runs: a support desk with prompts, schemas and training rows."""
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty.", "Name a new directory.", "DIR")
    path = write_starter(directory, models)
    train_classifier(directory / "intents.jsonl", directory / "intents.npz")
    out.print(f"Wrote {path}. Next: escalon up -p {path}, then escalon publish {directory / 'sample.jsonl'}")

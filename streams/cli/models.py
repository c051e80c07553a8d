"""escalon models list, pull."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.app.settings import read_settings
from streams.cli.commands import new_app
from streams.cli.console import out, table
from streams.models.weights import store

app = new_app("List and download the weights of local language models.")


@app.command("list")
def list_models() -> None:
    """List the weights that escalon knows, and which are installed."""
    directory = read_settings().weights_dir
    installed = store.installed(directory)
    rows = [
        (name, f"{one.size / 1e6:,.0f} MB", "installed" if name in installed else "")
        for name, one in store.KNOWN.items()
    ]
    out.print(table(["name", "size", ""], rows))
    out.print(f"Directory: {directory}", style="dim")


@app.command("pull", epilog="Example: escalon models pull qwen2.5-coder-1.5b-instruct-q4_k_m")
def pull_model(name: Annotated[str, typer.Argument(metavar="NAME", help="As in `escalon models list`.")]) -> None:
    """Download weights and verify them; an interrupted download resumes."""
    out.print(f"{store.pull(name, read_settings().weights_dir)} is verified.", soft_wrap=True)

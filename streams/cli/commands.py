"""The table of commands. A command's module is imported only when that command runs, so `escalon --help` starts fast.

Each command is a file of this package with the command's name. It defines `app`, a Typer application.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

COMMANDS: Final[dict[str, dict[str, str]]] = {
    "Run": {
        "demo": "Run a sample support desk through the three tiers.",
        "init": "Write a commented starter pipeline that runs.",
        "check": "Check a pipeline file and every file it names.",
        "doctor": "Say what is installed, reachable and missing.",
        "up": "Run a whole pipeline on this machine until Ctrl-C.",
        "publish": "Publish events from JSONL, text or images.",
        "watch": "Watch events pass through the tiers, live.",
        "outcomes": "Print the outcome of every event.",
    },
    "Ask": {
        "report": "Summarise events, time, money and calibrations.",
        "trace": "Show everything that happened to one event.",
        "query": "Query the audit with SQL or a named query.",
        "ui": "Serve the operator's pages, and those for judging.",
        "evaluate": "Measure every tier by each source of truth.",
        "verify": "Prove that no event and no record was lost.",
        "certify": "Certify the stream's quality and completeness.",
    },
    "Improve": {
        "label": "Publish labels: the correct answers to events.",
        "panel": "Let people judge a sample of the stream by a rubric.",
        "train": "Train listeners, verifiers and routers.",
        "calibrate": "Set a worker's threshold from labels, with a guarantee.",
        "what-if": "Estimate the effect of a change from the audit alone.",
        "replay": "Run past events through a candidate pipeline.",
        "compare": "Compare two runs on the same events.",
    },
    "Operate": {
        "worker": "Run one tier in this process.",
        "dead-letters": "List, show, retry or drop dead letters.",
        "erase": "Erase the contents of events.",
        "topics": "List or create the Kafka topics.",
        "schemas": "List, print or register the Avro schemas.",
        "migrate": "Create or upgrade the ClickHouse tables.",
        "models": "List and download the weights of local models.",
        "kafka": "Install Apache Kafka on this machine.",
    },
}
"""One line for each command, by panel of the help page."""


def new_app(help: str | None = None, *, completion: bool = False) -> typer.Typer:  # noqa: A002 - as Typer names it
    """Return a Typer application with the settings that all commands share; `help` describes a group of commands."""
    return typer.Typer(
        help=help,
        no_args_is_help=help is not None and not completion,
        add_completion=completion,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )


class LazyCommand(TyperCommand):
    """A command known by its name and one line of help, whose module is imported when it runs."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the arguments with the imported command."""
        return load(str(self.name)).make_context(*args, **options)


class CommandTable(TyperGroup):
    """The group of all commands in COMMANDS."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for panel, lines in COMMANDS.items():
            for name, line in lines.items():
                self.commands[name] = LazyCommand(name=name, help=line, rich_help_panel=panel)


def load(name: str) -> Any:
    """Import the module of a command and return its command or group."""
    command = typer.main.get_command(import_module(f"streams.cli.{name.replace('-', '_')}").app)
    command.name = name
    for one in [command, *getattr(command, "commands", {}).values()]:
        one.help = _unwrapped(one.help)
    return command


def _unwrapped(text: str | None) -> str | None:
    """Join the lines of each paragraph, because the help page wraps text itself."""
    return text and "\n\n".join(paragraph.replace("\n", " ") for paragraph in text.split("\n\n"))

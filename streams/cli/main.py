"""The command `escalon`.

Exit codes: 0 success; 1 something is broken or cannot be reached; 2 the command, a setting or the pipeline file is
wrong; 3 a tier has reached its limit on dead letters; 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from streams.app.log_redaction import Hider, environment_hider, hide_everywhere
from streams.cli.commands import COMMANDS, CommandTable, new_app
from streams.cli.extras import EXTRA_OF
from streams.core.errors import DEAD_LETTER_LIMIT_EXIT, DeadLetterLimitError, EscalonError, ServiceError

BROKEN, WRONG, INTERRUPTED = 1, 2, 130

WELCOME = """\
escalon runs AI on event streams in three tiers. What to do next:

  escalon demo                          see a sample support desk run
  escalon init desk                     write a commented pipeline of your own
  escalon doctor -p desk/pipeline.toml  find its mistakes, and what is missing
  escalon up -p desk/pipeline.toml      run it on this machine until Ctrl-C

docs/tutorial.md leads from labelled rows to a threshold with a guarantee.

{groups}

`escalon --help` says what each command does.
`escalon --install-completion` makes this shell complete them.
"""

app = new_app(
    "AI on event streams in three tiers: listeners on every event, workers for routine, reasoners for the rest.",
    completion=True,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"escalon {version('escalon')}\n")
        raise typer.Exit


@app.callback(cls=CommandTable, epilog="Start with: escalon demo", invoke_without_command=True)
def escalon(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback has used it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        groups = "\n".join(f"{group:<9}{', '.join(lines)}" for group, lines in COMMANDS.items())
        sys.stdout.write(WELCOME.format(groups=groups))


def run() -> None:
    """Run the command line; every error of escalon ends as one message and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop cleanly, as on Ctrl-C
    hide = environment_hider()
    hide_everywhere(hide)
    try:
        app(prog_name="escalon", standalone_mode=True)
    except EscalonError as error:
        _print_error(error, hide)
        if isinstance(error, DeadLetterLimitError):
            sys.exit(DEAD_LETTER_LIMIT_EXIT)
        sys.exit(WRONG if error.fault in ("operator", "producer") else BROKEN)
    except ModuleNotFoundError as error:
        extra = EXTRA_OF.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        what = f"This command needs the module {error.name}, which is not installed."
        _print_error(ServiceError(what, f"Install the extra `{extra}`: `pip install '.[{extra}]'`."), hide)
        sys.exit(BROKEN)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(BROKEN)


def _print_error(error: EscalonError, hide: Hider) -> None:
    from streams.cli.console import err

    err.print(f"escalon: {hide(str(error))}", style="red", markup=False, highlight=False)

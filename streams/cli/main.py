"""The command `escalon`.

Exit codes: 0 done, 1 something is broken or away, 2 the command or the pipeline file is wrong, 130 interrupted.
"""

from __future__ import annotations

import signal
import sys

import typer

from streams.app.hiding import hide_everywhere
from streams.app.settings import hider
from streams.cli import (
    building,
    calibrate,
    compare,
    dead_letters,
    erase,
    events,
    label,
    query,
    replay,
    report,
    serving,
    trace,
    train,
    verify,
    what_if,
)
from streams.cli.console import err
from streams.core.errors import EscalonError

BROKEN, WRONG, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="escalon",
    help="AI on event streams in three tiers: listeners on every event, workers for routine, reasoners for the rest.",
    epilog="Start with: escalon demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (
    serving,
    events,
    label,
    report,
    query,
    trace,
    calibrate,
    train,
    verify,
    dead_letters,
    replay,
    what_if,
    compare,
    erase,
    building,
):
    module.register(app)


def run() -> None:
    """The entry point: every error of ours ends as one message and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop in good order, as on Ctrl-C
    hide = hider()
    hide_everywhere(hide)
    try:
        app(standalone_mode=True)
    except EscalonError as error:
        err.print(f"escalon: {hide(str(error))}", style="red", markup=False, highlight=False)
        sys.exit(WRONG if error.fault in ("operator", "producer") else BROKEN)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(BROKEN)

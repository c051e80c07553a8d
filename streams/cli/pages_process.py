"""The process of the pages beside `up` and `demo`: `python -m streams.cli.pages_process SOCKET PIPELINE`.

SOCKET is the descriptor of a listening socket, so that no other process can take the port of a link that is printed. It
answers before Kafka and ClickHouse run, and shows what is ready.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from streams.app.settings import Settings, read_settings
from streams.cli.console import note, out
from streams.cli.extras import EXTRA_OF
from streams.cli.logs import log_to_stderr
from streams.embedded.supervisor import Child, Supervisor, module_command, module_environment
from streams.pipeline.code import SETTING

HOST = "127.0.0.1"


def main() -> None:
    """Serve the pages until SIGTERM."""
    from streams.ui.address import announced
    from streams.ui.app import make_app
    from streams.ui.deployment import StartingDeployment, operator_of
    from streams.ui.security import allowed_hosts
    from streams.ui.server import PagesServer, address_of

    pipeline = Path(sys.argv[2])
    settings = read_settings()
    log_to_stderr(logging.WARNING, logging.CRITICAL)
    site = operator_of(settings, None)
    deployment = StartingDeployment(settings=settings, pipeline=pipeline, site=site)
    site.steps = deployment.steps
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        port = listener.getsockname()[1]
        application = make_app(allowed_hosts(HOST, port, settings.ui_url), None, site, deployment)
        with announced(settings, settings.ui_url or address_of(listener)), suppress(KeyboardInterrupt):
            PagesServer(application, site.live.close).run(sockets=[listener])


@contextmanager
def pages_beside(settings: Settings, pipeline: Path) -> Iterator[Callable[[], None]]:
    """Run the pages of a pipeline in a process of their own, print the operator's link, and yield how to restart them.

    `pipeline` may be written later: the pages wait for it, and for the servers; a restart reads it again, at the same
    address. Without the extra `ui` there are no pages, which a note says; if another process serves them already, its
    link is printed. If the process ends, the pipeline goes on.
    """
    if any(find_spec(module) is None for module, extra in EXTRA_OF.items() if extra == "ui"):
        note("There are no pages: install the extra `ui` to have them.")
        yield lambda: None
        return
    from streams.ui.address import DEFAULT_PORT, address_of_pages, are_served
    from streams.ui.links import operator_link
    from streams.ui.server import address_of, listening_near

    if are_served(settings):
        _print_link(operator_link(settings, address_of_pages(settings)))
        yield lambda: note("The pages are another process's: start it again, so that they show the new pipeline.")
        return
    with listening_near(HOST, DEFAULT_PORT) as listener, Supervisor(settings.data_dir / "logs") as supervisor:
        child = _start(supervisor, settings, pipeline, listener)

        def restart() -> None:
            nonlocal child
            supervisor.stop(child)
            child = _start(supervisor, settings, pipeline, listener)

        _print_link(operator_link(settings, address_of(listener)))
        yield restart


def _print_link(link: str) -> None:
    out.print(f"Pages: {link}", highlight=False, soft_wrap=True)


def _start(supervisor: Supervisor, settings: Settings, pipeline: Path, listener: socket.socket) -> Child:
    command = [*module_command("streams.cli.pages_process"), str(listener.fileno()), str(pipeline.absolute())]
    environment = {
        **module_environment(), "ESCALON_DATA": str(settings.data_dir), SETTING: str(settings.python)
    }  # fmt: skip
    return supervisor.spawn("ui", command, environment, grace=3.0, files=[listener.fileno()])


if __name__ == "__main__":
    main()

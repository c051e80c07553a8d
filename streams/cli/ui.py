"""escalon ui."""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack
from dataclasses import replace
from typing import Annotated

import typer

from streams.app.settings import Settings
from streams.cli.commands import new_app
from streams.cli.console import err, note, out
from streams.cli.context import find_pipeline, server_settings
from streams.cli.logs import log_to_stderr
from streams.cli.options import PipelineOption
from streams.core.errors import ConfigError
from streams.embedded.recording import recording_servers
from streams.pipeline.load import Pipeline
from streams.ui.address import DEFAULT_PORT, address_of_pages, announced, are_served

app = new_app()


@app.command(epilog="Example: escalon ui -p desk/pipeline.toml")
def ui(
    pipeline: PipelineOption = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help=f"The port to listen on; {DEFAULT_PORT}, or a free one if it is in use.")
    ] = None,
) -> None:
    """Serve the operator's pages and those on which a panel's raters judge, until Ctrl-C.

    `escalon panel link` makes the personal links. The pages have no TLS: put a proxy before them if raters use other
    machines, and set ESCALON_UI_URL to its address. If `escalon up` or `escalon demo` serves them already, this prints
    their link.
    """
    settings = server_settings()
    if are_served(settings):
        address = address_of_pages(settings)
        out.print(f"The pages are served already, on {address}.", highlight=False, soft_wrap=True)
        print_links(settings, address)
        return
    loaded = find_pipeline(settings, pipeline)
    if host not in ("127.0.0.1", "localhost", "::1") and not settings.ui_url:
        what = "the address that raters use is unknown."
        raise ConfigError(what, "Set it, for example to https://panel.example.com.", "ESCALON_UI_URL")
    log_to_stderr(logging.WARNING, logging.CRITICAL)
    from streams.ui.server import listening, listening_near

    with (
        listening_near(host, DEFAULT_PORT) if port is None else listening(host, port) as listener,
        ExitStack() as open_,
    ):
        with err.status("Starting") as status:
            recording = open_.enter_context(recording_servers(settings, loaded, note, status.update))
        try:
            serve(recording, loaded, listener)
        except KeyboardInterrupt:
            out.print("Stopping.")


def serve(settings: Settings, pipeline: Pipeline, listener: socket.socket) -> None:
    """Serve the pages on a listening socket until SIGINT or SIGTERM, which raise KeyboardInterrupt."""
    from streams.ui.app import make_app
    from streams.ui.deployment import operator_of
    from streams.ui.panel.site import PanelSite
    from streams.ui.security import allowed_hosts
    from streams.ui.server import PagesServer, address_of

    address = address_of(listener)
    panel = PanelSite(settings, pipeline)
    panel.load()
    operator = operator_of(replace(settings, pipeline=pipeline.path), pipeline)
    host, port = listener.getsockname()[:2]
    application = make_app(allowed_hosts(host, port, settings.ui_url), panel, operator)
    with announced(settings, settings.ui_url or address):
        out.print(f"The pages are served on {address}. Ctrl-C stops them.", highlight=False, soft_wrap=True)
        print_links(settings, address)
        PagesServer(application, operator.live.close).run(sockets=[listener])


def print_links(settings: Settings, address: str) -> None:
    """Print the operator's link, and the source of the raters'."""
    from streams.ui.links import operator_link

    out.print(f"Operator: {operator_link(settings, address)}", highlight=False, soft_wrap=True)
    out.print("Raters: links by `escalon panel link`.", highlight=False, soft_wrap=True)

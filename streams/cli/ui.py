"""escalon ui."""

from __future__ import annotations

import logging
import socket
from typing import Annotated

import typer

from streams.app.settings import Settings
from streams.cli.commands import new_app
from streams.cli.console import note, out
from streams.cli.context import find_pipeline, require_clickhouse, server_settings
from streams.cli.logs import log_to_stderr
from streams.cli.options import PipelineOption
from streams.core.errors import ConfigError, ServiceError
from streams.embedded.recording import recording_servers
from streams.pipeline.load import Pipeline
from streams.ui.address import DEFAULT_PORT, announced

app = new_app()


@app.command(epilog="Example: escalon ui -p desk/pipeline.toml")
def ui(
    pipeline: PipelineOption = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for any free one.")] = DEFAULT_PORT,
) -> None:
    """Serve the pages on which a panel's raters judge, until Ctrl-C.

    `escalon panel link` makes the personal links. The pages have no TLS: put a proxy before them if raters use other
    machines, and set ESCALON_UI_URL to its address.
    """
    settings = server_settings()
    loaded = find_pipeline(settings, pipeline)
    if host not in ("127.0.0.1", "localhost", "::1") and not settings.ui_url:
        what = "the address that raters use is unknown."
        raise ConfigError(what, "Set it, for example to https://panel.example.com.", "ESCALON_UI_URL")
    log_to_stderr(logging.WARNING, logging.CRITICAL)
    with _listening(host, port) as listener, recording_servers(settings, loaded, note) as recording:
        try:
            serve(recording, loaded, listener)
        except KeyboardInterrupt:
            out.print("Stopping.")


def serve(settings: Settings, pipeline: Pipeline, listener: socket.socket) -> None:
    """Serve the pages on a listening socket until SIGINT or SIGTERM, which raise KeyboardInterrupt."""
    import uvicorn

    from streams.audit.query import Audit
    from streams.ui.app import make_app
    from streams.ui.links import LinkSigner, operator_link, signing_key
    from streams.ui.operator.pages import make_operator_site
    from streams.ui.operator.reads import AuditReads
    from streams.ui.panel.site import PanelSite
    from streams.ui.security import allowed_hosts

    host, port = listener.getsockname()[:2]
    site = PanelSite(settings, pipeline)
    site.load()
    reads = AuditReads(lambda: Audit(require_clickhouse(settings)))
    operator = make_operator_site(settings, pipeline, reads, LinkSigner(signing_key(settings)))
    application = make_app(allowed_hosts(host, port, settings.ui_url), site, operator)
    # Without access logs, as an address may hold a token.
    config = uvicorn.Config(application, log_config=None, access_log=False, server_header=False, proxy_headers=False)
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    with announced(settings, settings.ui_url or address):
        out.print(f"Open {operator_link(settings, settings.ui_url or address)}", highlight=False, soft_wrap=True)
        out.print(f"The panel's pages are served on {address}. Ctrl-C stops them.", highlight=False, soft_wrap=True)
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ServiceError if the address is in use or does not exist."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
        # A response is written in two parts, and without this the second one waits for the client's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        what = f"{host}:{port} cannot be listened on ({error.strerror})."
        raise ServiceError(what, "Name another one by --host and --port.") from error

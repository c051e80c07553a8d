"""escalon watch."""

from __future__ import annotations

from streams.cli.commands import new_app
from streams.cli.context import require_kafka, server_settings
from streams.cli.live_view import follow

app = new_app()


@app.command(epilog="Example: escalon watch")
def watch() -> None:
    """Watch events pass through the tiers, live, until Ctrl-C."""
    settings = server_settings()
    follow(settings, require_kafka(settings), lambda: True)

"""escalon migrate."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from streams.adapters.clickhouse_migrations import migrate as apply_migrations
from streams.adapters.clickhouse_migrations import script
from streams.cli.commands import new_app
from streams.cli.console import out
from streams.cli.context import require_clickhouse, server_settings

app = new_app()


@app.command(epilog="Example: ESCALON_CLICKHOUSE=http://clickhouse:8123 escalon migrate")
def migrate(
    cluster: Annotated[
        str | None,
        typer.Option(help="Distribute the tables over this cluster, named as in ClickHouse's configuration."),
    ] = None,
    show: Annotated[bool, typer.Option("--print", help="Print the SQL instead; no server is needed.")] = False,
) -> None:
    """Create ClickHouse's database and tables, or bring them and their retention up to date."""
    settings = server_settings()
    if show:
        database = settings.clickhouse.database if settings.clickhouse else "escalon"
        sys.stdout.write(script(database, cluster=cluster, retention=settings.audit_retention))
        return
    done = apply_migrations(require_clickhouse(settings), cluster=cluster, retention=settings.audit_retention)
    out.print(f"Applied {', '.join(done)}." if done else "Nothing to do: the database is up to date.")

"""escalon schemas."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from streams.adapters.reachable import check_registry
from streams.adapters.schemas import current
from streams.cli.commands import new_app
from streams.cli.console import out, print_json, table
from streams.cli.context import server_settings
from streams.core.errors import ConfigError

app = new_app()


@app.command(epilog="Example: ESCALON_SCHEMA_REGISTRY=http://registry:8081 escalon schemas --register")
def schemas(
    register: Annotated[bool, typer.Option("--register", help="Register the schemas that are missing.")] = False,
    show: Annotated[
        bool, typer.Option("--print", help="Print subjects and schemas as JSONL; needs no server.")
    ] = False,
) -> None:
    """List the subjects of escalon's own schemas with their ids at the schema registry, print or register them.

    Tiers register them too, unless ESCALON_SCHEMA_REGISTRY_REGISTER forbids it. The exit code is 1 if one is missing.
    """
    from streams.adapters.schema_registry import SchemaRegistry, subject_of, text_of

    if show:
        for schema in current().values():
            print_json({"subject": subject_of(schema), "schemaType": "AVRO", "schema": text_of(schema)})
        return
    config = server_settings().schema_registry
    if config is None:
        raise ConfigError("no schema registry is configured.", "Set its address.", "ESCALON_SCHEMA_REGISTRY")
    check_registry(config)
    registry = SchemaRegistry(replace(config, register=True))
    get = registry.id_of if register else registry.registered_id
    rows = [(subject_of(schema), get(schema)) for schema in current().values()]
    out.print(table(["subject", "id"], rows))
    if any(number is None for _, number in rows):
        raise typer.Exit(1)

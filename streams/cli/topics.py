"""escalon topics."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.adapters.kafka_admin import create_topics, describe_cluster
from streams.cli.commands import new_app
from streams.cli.console import out, table
from streams.cli.context import require_kafka, server_settings
from streams.core.topics import TOPICS

app = new_app()


@app.command(epilog="Example: ESCALON_KAFKA=kafka:9092 escalon topics --create")
def topics(create: Annotated[bool, typer.Option("--create", help="Create the missing topics.")] = False) -> None:
    """List the Kafka topics that escalon uses, or create them."""
    settings = server_settings()
    kafka = require_kafka(settings)
    wanted = (settings.topic_prefix, settings.partitions, settings.replication, settings.topic_retention_seconds)
    created = create_topics(kafka, *wanted) if create else []
    present = describe_cluster(kafka).partitions
    rows = [
        (settings.topic_prefix + spec.name, present.get(settings.topic_prefix + spec.name), spec.message.__name__)
        for spec in TOPICS
    ]
    out.print(table(["topic", "partitions", "message"], rows))
    if created:
        out.print(f"Created {', '.join(created)}.")

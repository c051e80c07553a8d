"""Commands that set things up: init, check, models, migrate, topics, kafka."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from streams.adapters.clickhouse_migrations import migrate as apply_migrations
from streams.adapters.clickhouse_migrations import script
from streams.adapters.kafka_admin import create_topics, describe_cluster
from streams.app.language_models import lacking
from streams.app.provider_limits import little_room, not_held_to
from streams.app.providers import Providers
from streams.app.redaction import policy_of
from streams.app.settings import read_settings
from streams.cli.console import err, out, table
from streams.cli.context import clickhouse_of, kafka_of, located, pipeline_of
from streams.cli.train import train_classifier
from streams.core.errors import ConfigError
from streams.core.topics import TOPICS
from streams.demo.starter import MODELS, write_starter
from streams.embedded.kafka_install import install
from streams.models.weights import store
from streams.pipeline.handlers import TABLES, Handler
from streams.resources import resource

models_app = typer.Typer(help="Weights of local language models.", no_args_is_help=True)
kafka_app = typer.Typer(help="Apache Kafka for the embedded default.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(epilog="Example: escalon init desk && escalon up -p desk/pipeline.toml")(init)
    app.command(epilog="Example: escalon check pipeline.toml")(check)
    app.command(epilog="Example: ESCALON_CLICKHOUSE=http://clickhouse:8123 escalon migrate")(migrate)
    app.command(epilog="Example: ESCALON_KAFKA=kafka:9092 escalon topics --create")(topics)
    models_app.command("list")(list_models)
    models_app.command("pull", epilog="Example: escalon models pull qwen2.5-coder-1.5b-instruct-q4_k_m")(pull_model)
    kafka_app.command("install", epilog="Example: escalon kafka install")(install_kafka)
    app.add_typer(models_app, name="models")
    app.add_typer(kafka_app, name="kafka")


def init(
    directory: Annotated[Path, typer.Argument(help="An empty or new directory.")],
    models: Annotated[str, typer.Option(help=f"Which models it uses: {' or '.join(MODELS)}.")] = "local",
) -> None:
    """Write a commented starter pipeline that runs: a support desk with prompts, schemas and training rows."""
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty.", "Name a new directory.", "DIR")
    path = write_starter(directory, models)
    train_classifier(directory / "intents.jsonl", directory / "intents.npz")
    out.print(f"Wrote {path}. Next: escalon up -p {path}, then escalon publish {directory / 'sample.jsonl'}")


def check(file: Annotated[Path, typer.Argument(help="A pipeline file.")]) -> None:
    """Check a pipeline file and everything it names; exit code 2 with the key and the remedy when it is wrong.

    It warns where a prompt puts an event's words outside a fence, where a model's thinking may leave nothing of
    max_tokens for the answer, and of weights and keys that are not here. It notes what of a schema a provider does not
    enforce.
    """
    settings = read_settings()
    pipeline = pipeline_of(settings, file)
    handlers = [*pipeline.listeners.values(), *pipeline.workers.values(), *pipeline.reasoners.values()]
    Providers(pipeline, settings).check(handlers)
    policy_of(pipeline)
    rows = [(one.tier, one.name, _what(one), one.version[:12]) for one in handlers]
    out.print(table(["tier", "handler", "what", "version"], rows))
    routes = [(intent, route.action, route.handler) for intent, route in pipeline.routes.items()]
    out.print(table(["intent", "action", "handler"], routes))
    for warning in [
        *unfenced_words(handlers),
        *little_room(handlers, pipeline),
        *lacking(pipeline, settings),
    ]:
        err.print(f"Warning: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for note in not_held_to(handlers, pipeline):
        err.print(f"Note: {note}", style="dim", markup=False, highlight=False, soft_wrap=True)
    out.print(f"{file} is in order. Pipeline {pipeline.name}, hash {pipeline.hash[:12]}.")


def _what(handler: Handler) -> str:
    """What a handler is: a kind of listener, a function, or a model and what stands in for it."""
    what = getattr(handler.spec, "kind", None) or handler.spec.model or handler.function
    return f"{what}, else {handler.fallback.spec.model}" if handler.fallback else str(what)


def unfenced_words(handlers: Iterable[Handler]) -> Iterator[str]:
    """What a prompt prints as it is though somebody else wrote it, with the remedy."""
    for handler in handlers:
        if handler.prompting is None:
            continue
        for found in handler.prompting.template.unfenced:
            where = f"{TABLES[handler.tier]}.{handler.name}: {handler.prompting.template.name}, line {found.line}"
            what = f"prints {found.name} outside a fence, so its words may pass for instructions"
            yield f"{where}, {what}. Write {{{{ {found.name} | fenced }}}}."


def list_models() -> None:
    """The weights escalon knows, and which are here."""
    directory = read_settings().weights_dir
    here = store.installed(directory)
    rows = [(name, f"{one.size / 1e6:,.0f} MB", "here" if name in here else "") for name, one in store.KNOWN.items()]
    out.print(table(["name", "size", ""], rows))
    out.print(f"In {directory}", style="dim")


def pull_model(name: Annotated[str, typer.Argument(help="A name from `escalon models list`.")]) -> None:
    """Fetch weights, resuming where it left off, and verify them."""
    out.print(f"{pull(name)} is verified.", soft_wrap=True)


def pull(name: str) -> Path:
    """Fetch weights; huggingface_hub shows the progress."""
    return store.pull(name, read_settings().weights_dir)


def migrate(
    cluster: Annotated[
        str | None, typer.Option(help="Spread the tables over this cluster of ClickHouse's configuration.")
    ] = None,
    show: Annotated[bool, typer.Option("--print", help="Print the SQL instead; no server is needed.")] = False,
) -> None:
    """Create ClickHouse's database and tables, or bring them and their retention up to date."""
    settings = located()
    if show:
        database = settings.clickhouse.database if settings.clickhouse else "escalon"
        sys.stdout.write(script(database, cluster=cluster, retention=settings.audit_retention))
        return
    done = apply_migrations(clickhouse_of(settings), cluster=cluster, retention=settings.audit_retention)
    out.print(f"Applied {', '.join(done)}." if done else "Nothing to do: the database is up to date.")


def topics(create: Annotated[bool, typer.Option("--create", help="Create those that are missing.")] = False) -> None:
    """List Kafka's topics of this pipeline, or create them."""
    settings = located()
    kafka = kafka_of(settings)
    asked = (settings.topic_prefix, settings.partitions, settings.replication, settings.topic_retention_seconds)
    created = create_topics(kafka, *asked) if create else []
    present = describe_cluster(kafka).partitions
    rows = [
        (settings.topic_prefix + spec.name, present.get(settings.topic_prefix + spec.name), spec.message.__name__)
        for spec in TOPICS
    ]
    out.print(table(["topic", "partitions", "message"], rows))
    if created:
        out.print(f"Created {', '.join(created)}.")


def install_kafka() -> None:
    """Fetch Apache Kafka once through Maven; the embedded default then uses it, and topics survive a restart."""
    home = install(
        read_settings().cache_dir, lambda line: err.print(line, style="dim", markup=False), resource("kafka")
    )
    out.print(f"Apache Kafka is in {home}.", soft_wrap=True)

"""escalon check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from streams.adapters.source_topics import SourceTopics
from streams.app.language_models import lacking
from streams.app.provider_limits import little_room, not_held_to, unpriced, unseen_images
from streams.app.providers import Providers
from streams.app.redaction import redaction_policy
from streams.app.settings import Settings, read_settings
from streams.cli.commands import new_app
from streams.cli.console import err, out, print_json, table
from streams.cli.context import find_pipeline, server_settings
from streams.cli.model_connections import show_connections
from streams.cli.options import JsonOption
from streams.cli.source_sample import show_sample, show_topic
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import TaskHandler

app = new_app()
_File = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="The pipeline file. Default: ESCALON_PIPELINE, or ./pipeline.toml."),
]
_Sample = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Show what [source] makes of these records: JSON lines, values or {key, value, headers}.",
    ),
]
_Topic = Annotated[
    str | None,
    typer.Option(help="The topic of the sample; or, alone, show what [source] makes of its newest records."),
]
_Connect = Annotated[bool, typer.Option("--connect", help="Also call each model once, and say what works.")]


@app.command(epilog="Examples: escalon check pipeline.toml · escalon check pipeline.toml --topic shop.orders")
def check(
    file: _File = None,
    sample: _Sample = None,
    topic: _Topic = None,
    connect: _Connect = False,
    as_json: JsonOption = False,
) -> None:
    """Check a pipeline file and every file it names.

    If something is wrong, the exit code is 2 and the message names the key and the fix. With --connect it is 1 if a
    model does not do what the file says; the calls cost a few tokens each. --json prints only what they showed.

    Warnings: a prompt prints an event's text outside a fence, thinking may use up max_tokens before the answer, a
    model is not shown the image that its handler asks for, a model has no price, or weights or keys are missing.
    Notes: parts of a schema that the provider does not enforce.

    With --sample or --topic it reads the file, and shows what [source] makes of records, and nothing else.
    """
    settings = read_settings()
    pipeline = find_pipeline(settings, file)
    if sample is not None or topic is not None:
        if sample is not None:
            show_sample(settings, pipeline.spec.source, sample, topic)
        else:
            show_topic(server_settings(), pipeline.spec.source, topic or "")
        return
    handlers = [*pipeline.listeners.values(), *pipeline.workers.values(), *pipeline.reasoners.values()]
    Providers(pipeline, settings).check(handlers)
    redaction_policy(pipeline)
    reads = SourceTopics(pipeline.spec.source, settings.topic_prefix)
    if not as_json:
        _describe(pipeline, reads, settings, handlers, file)
    if connect:
        show_connections(pipeline, settings, as_json=as_json)
    elif as_json:
        print_json({"ok": True, "pipeline": pipeline.name, "hash": pipeline.hash})


def _describe(
    pipeline: Pipeline, reads: SourceTopics, settings: Settings, handlers: Sequence[Handler], file: Path | None
) -> None:
    rows = [(one.tier, one.name, _description(one), one.version[:12]) for one in handlers]
    out.print(table(["tier", "handler", "model or kind", "version"], rows))
    routes = [(intent, route.action, route.handler) for intent, route in pipeline.routes.items()]
    out.print(table(["intent", "action", "handler"], routes))
    if reads:
        out.print(f"It reads {reads}, besides escalon's topic events.", markup=False, soft_wrap=True)
    warnings = [
        *unfenced_text(handlers),
        *little_room(handlers, pipeline),
        *unseen_images(handlers),
        *unpriced(handlers, pipeline),
        *map(str, lacking(pipeline, settings)),
    ]
    for warning in warnings:
        err.print(f"Warning: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for note in not_held_to(handlers, pipeline):
        err.print(f"Note: {note}", style="dim", markup=False, highlight=False, soft_wrap=True)
    out.print(f"{file or pipeline.path} is valid. Pipeline {pipeline.name}, hash {pipeline.hash[:12]}.")


def _description(handler: Handler) -> str:
    spec = handler.spec
    what = spec.model or spec.handler if isinstance(spec, TaskHandler) else spec.kind
    return f"{what}, else {handler.fallback.prompts.model}" if handler.fallback else str(what)


def unfenced_text(handlers: Iterable[Handler]) -> Iterator[str]:
    """Yield a warning for each place where a prompt prints an event's text without a fence."""
    for handler in handlers:
        if handler.prompting is None:
            continue
        for found in handler.prompting.template.unfenced:
            where = f"{handler.tier}s.{handler.name}: {handler.prompting.template.name}, line {found.line}"
            what = f"prints {found.name} outside a fence, so the model may take its words for instructions"
            yield f"{where}, {what}. Write {{{{ {found.name} | fenced }}}}."

"""escalon worker."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.app.plain_tiers import run_scheduler, run_sink
from streams.app.process import BATCH, FAUST_TIERS, TIERS
from streams.app.settings import Settings, require_clickhouse, require_kafka
from streams.cli.commands import new_app
from streams.cli.context import DEFAULT_PIPELINE, find_pipeline, server_settings
from streams.cli.logs import log_to_stderr
from streams.cli.options import PipelineOption
from streams.core.errors import ConfigError

if TYPE_CHECKING:
    from streams.pipeline.load import Pipeline

app = new_app()


@app.command(epilog="Example: escalon worker listen")
def worker(
    tier: Annotated[str, typer.Argument(metavar="TIER", help=f"One of {', '.join((*TIERS, BATCH))}.")],
    pipeline: PipelineOption = None,
) -> None:
    """Run one tier in this process until SIGTERM or Ctrl-C.

    listen, work and reason are the three tiers; settle writes the outcomes, record the audit in ClickHouse, and
    resume publishes deferred tasks when they are due. batch is for pipelines with a handler that has `batch`: it
    gathers calls into the provider's batches.
    """
    log_to_stderr(logging.INFO, logging.WARNING)
    settings = server_settings()
    if tier == "record":
        loaded = _pipeline_if_any(settings, pipeline)
        run_sink(settings, require_kafka(settings), require_clickhouse(settings), loaded)
    elif tier == "resume":
        run_scheduler(settings, require_kafka(settings))
    elif tier == BATCH:
        from streams.app.batches import run_batches

        run_batches(settings, require_kafka(settings), find_pipeline(settings, pipeline))
    elif tier in FAUST_TIERS:
        from streams.app.worker import run_tier  # it imports Faust, which the sink and the scheduler do not use

        run_tier(tier, settings, require_kafka(settings), find_pipeline(settings, pipeline))
    else:
        raise ConfigError(f"there is no tier {tier!r}.", f"Use one of: {', '.join((*TIERS, BATCH))}.", "tier")


def _pipeline_if_any(settings: Settings, path: Path | None) -> Pipeline | None:
    """Return the pipeline whose redaction the sink applies; the sink also runs without one."""
    named = path or settings.pipeline
    return find_pipeline(settings, named) if named or DEFAULT_PIPELINE.is_file() else None

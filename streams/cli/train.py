"""escalon train listener, verifier, router."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from streams.app.settings import read_settings
from streams.calling.confidence import example_of
from streams.cli.audit_access import open_audit
from streams.cli.classifier_training import train_classifier
from streams.cli.commands import new_app
from streams.cli.console import out, print_json, table
from streams.cli.context import find_pipeline
from streams.cli.labelled_cases import cases_of, find_worker, labels_from, relative, report_left_out
from streams.cli.options import JsonOption, LabelsOption, PipelineOption, RunOption, SinceOption
from streams.cli.times import parse_time, today
from streams.cli.training_view import print_classifier, print_verifier
from streams.core.errors import ConfigError
from streams.evaluation.cases import AuditPart, labelled, left_out, one_of_each_task, read_ignored, set_aside
from streams.evaluation.router_training import TrainedRouter, reasoner_outcomes
from streams.evaluation.router_training import train_router as fit_router
from streams.models.verifier.artifact import TrainingShare
from streams.models.verifier.training import train_verifier as fit_verifier
from streams.pipeline.load import Pipeline, load_uncalibrated

app = new_app("Train the small models of tier 1: listeners, verifiers and routers.")
SeedOption = Annotated[int, typer.Option(help="The seed of the folds.")]


@app.command("listener", epilog="Example: escalon train listener intents.jsonl --out intents.npz")
def train_listener(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Labelled rows: JSON lines with text and label, or CSV.")
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="The artifact.")] = Path("intents.npz"),
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train a text classifier and print its cross-validated metrics."""
    metrics = train_classifier(file, output, seed, quiet=as_json)
    if as_json:
        print_json({"artifact": str(output), **metrics})
        return
    print_classifier(metrics)
    out.print(f"Wrote {output}. Name it in the pipeline file:", soft_wrap=True)
    out.print(f'[listeners.NAME]\nkind = "classifier"\nartifact = "{output}"', markup=False, soft_wrap=True)


@app.command("verifier", epilog="Example: escalon train verifier --handler answer --out verifier.npz")
def train_verifier(
    handler: Annotated[str, typer.Option(help="The worker whose answers it learns to judge.")],
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="The artifact. Default: verifier.npz beside the pipeline file.")
    ] = None,
    share: Annotated[
        float, typer.Option(help="The share of the labelled cases to learn from; calibrate uses the others.")
    ] = 0.5,
    since: SinceOption = None,
    labels: LabelsOption = "people",
    run: RunOption = "live",
    seed: SeedOption = 0,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model that reads a task and its answer and predicts whether the answer is right."""
    loaded = find_pipeline(read_settings(), pipeline, load_uncalibrated)
    find_worker(loaded, handler)
    part, source = AuditPart(run=run, since=parse_time(since)), labels_from(labels)
    cases, _ = set_aside(cases_of(loaded, [handler], part, source), handler, share)
    known = one_of_each_task(labelled(cases, source))
    examples = [example_of(case.task, case.attempt) for case, _ in known]
    thought = reasoner_outcomes([case for case, _ in known])
    made = fit_verifier(examples, [right for _, right in known], thought, seed=seed, date=today())
    made = replace(made, aside=TrainingShare(handler, share))
    report_left_out(left_out(cases, source))
    path = output or loaded.path.parent / "verifier.npz"
    made.save(path)
    metrics = dict(made.provenance.metrics)
    if as_json:
        print_json({"artifact": str(path), **metrics})
        return
    print_verifier(metrics)
    out.print(f"Wrote {path}.", soft_wrap=True)
    named = f'In [workers.{handler}] write verifier = "{relative(path, loaded)}" and add "verifier" to confidence.'
    out.print(named, markup=False, soft_wrap=True)


@app.command("router", epilog="Example: escalon train router --since 30d --out router.zip")
def train_router(
    since: SinceOption = None,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="The artifact. Default: router.zip beside the pipeline file.")
    ] = None,
    run: RunOption = "live",
    force: Annotated[bool, typer.Option("--force", help="Admit it even if the table routes as well.")] = False,
    seed: SeedOption = 0,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a router on the results of earlier events, and compare it with the routing table on held-out events."""
    loaded = find_pipeline(read_settings(), pipeline, load_uncalibrated)
    made = _fit_router(loaded, AuditPart(run=run, since=parse_time(since)), seed)
    router = replace(made.router, admitted=made.router.admitted or force)
    path = output or loaded.path.parent / "router.zip"
    router.save(path)
    if as_json:
        policies = [asdict(one) for one in made.policies]
        document = {"artifact": str(path), "admitted": router.admitted, "threshold": router.threshold}
        print_json(document | {"policies": policies})
        return
    rows = [(one.name, one.quality, one.usd, one.reasoner_share) for one in made.policies]
    columns = ["routing by", "answered well, share", "USD an event", "at the reasoner, share"]
    out.print(table(columns, rows, f"On {router.comparison['held_out']} held-out tasks"))
    if made.router.admitted:
        out.print(f"It is better than the table. Wrote {path}.", soft_wrap=True)
    else:
        loads = "will load" if force else "will not load"
        out.print(f"It is not better than the table. Wrote {path}, which the pipeline {loads}.", soft_wrap=True)


def _fit_router(pipeline: Pipeline, part: AuditPart, seed: int) -> TrainedRouter:
    if not pipeline.reasoners or not pipeline.workers:
        what = "a router needs workers and a reasoner to choose between."
        raise ConfigError(what, "Add them to the pipeline file.", "pipeline")
    cases = cases_of(pipeline, list(pipeline.workers), part)
    with open_audit() as audit:
        ignored = read_ignored(audit, part)
    reasoner = f"reasoners.{next(iter(pipeline.reasoners))}"
    return fit_router(cases, ignored, reasoner, date=today(), seed=seed)

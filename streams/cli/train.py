"""Commands that train tier-1 models: train listener, train verifier, train router."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from streams.app.settings import read_settings
from streams.audit.query import Audit
from streams.cli.calibrate import cases_of, labels_from, relative, tell_left_out, worker_of
from streams.cli.console import err, out, print_json, table
from streams.cli.context import audit_database, pipeline_of
from streams.cli.options import LabelsOption, PipelineOption, RunOption, SinceOption
from streams.cli.times import moment
from streams.core.errors import ConfigError
from streams.evaluation.cases import Since, labelled, left_out, one_of_each_task, read_ignored, set_aside
from streams.pipeline.load import load_uncalibrated
from streams.stages.assess import example_of

train_app = typer.Typer(help="Train tier-1 models: listeners, verifiers, routers.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="The figures as JSON.")]
SeedOption = Annotated[int, typer.Option(help="Of the folds.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    train_app.command("listener", epilog="Example: escalon train listener intents.jsonl --out intents.npz")(
        train_listener
    )
    train_app.command("verifier", epilog="Example: escalon train verifier --handler answer --out verifier.npz")(
        train_verifier
    )
    train_app.command("router", epilog="Example: escalon train router --since 30d --out router.zip")(train_router)
    app.add_typer(train_app, name="train")


def train_listener(
    file: Annotated[Path, typer.Argument(help="Labelled rows: JSONL with text and label, or CSV.")],
    output: Annotated[Path, typer.Option("--out", "-o", help="Where the artifact goes.")] = Path("intents.npz"),
    seed: Annotated[int, typer.Option(help="Of the folds.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
) -> None:
    """Train a tier-1 classifier and say how good it is on rows it has not seen (cross-validated)."""
    metrics = train_classifier(file, output, seed, quiet=as_json)
    if as_json:
        print_json({"artifact": str(output), **metrics})
        return
    shown = [(name, value) for name, value in metrics.items() if not isinstance(value, dict)]
    out.print(table(["out of fold", "value"], shown))
    out.print(f"Wrote {output}.")


def train_classifier(file: Path, output: Path, seed: int = 0, *, quiet: bool = False) -> dict[str, object]:
    """Train from a labelled file and write the artifact; returns the cross-validated figures."""
    from streams.models.listeners.training import read_labelled
    from streams.models.listeners.training import train as fit

    rows = read_labelled(file)
    with Progress(console=err, transient=True, disable=quiet or not err.is_terminal) as progress:
        bar = progress.add_task(f"training on {len(rows)} rows", total=None)
        classifier = fit(
            rows,
            seed=seed,
            date=datetime.now(UTC).date().isoformat(),
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    classifier.save(output)
    return dict(classifier.provenance.metrics)


def train_verifier(
    handler: Annotated[str, typer.Option(help="The worker whose answers it learns to judge.")],
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="The artifact; else verifier.npz beside the pipeline file.")
    ] = None,
    share: Annotated[float, typer.Option(help="Of the labelled cases to learn from; calibrate uses the others.")] = 0.5,
    since: SinceOption = None,
    labels: LabelsOption = "people",
    run: RunOption = "live",
    seed: SeedOption = 0,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model that reads task and answer and predicts whether the answer is right."""
    from streams.evaluation.router_training import reasoner_outcomes
    from streams.models.verifier.artifact import Aside
    from streams.models.verifier.training import train_verifier as fit

    loaded = pipeline_of(read_settings(), pipeline, load_uncalibrated)
    worker_of(loaded, handler)
    part = Since(run=run, since=moment(since, _now))
    cases, _ = set_aside(cases_of(loaded, [handler], part), handler, share)
    known = one_of_each_task(labelled(cases, labels_from(labels)))
    examples = [example_of(case.task, case.attempt) for case, _ in known]
    thought = reasoner_outcomes([case for case, _ in known])
    made = fit(examples, [right for _, right in known], thought, seed=seed, date=_now().date().isoformat())
    made = replace(made, aside=Aside(handler, share))
    tell_left_out(left_out(cases, labels_from(labels)))
    path = output or loaded.path.parent / "verifier.npz"
    made.save(path)
    metrics = dict(made.provenance.metrics)
    if as_json:
        print_json({"artifact": str(path), **metrics})
        return
    out.print(table(["out of fold", "value"], list(metrics.items())))
    out.print(f"Wrote {path}.", soft_wrap=True)
    named = f'In [workers.{handler}] write verifier = "{relative(path, loaded)}" and add "verifier" to confidence.'
    out.print(named, markup=False, soft_wrap=True)


def train_router(
    since: SinceOption = None,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="The artifact; else router.zip beside the pipeline file.")
    ] = None,
    run: RunOption = "live",
    force: Annotated[bool, typer.Option("--force", help="Admit it even if it does no better than the table.")] = False,
    seed: SeedOption = 0,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a router on what became of earlier events, and compare it with the table on events it has not seen."""
    from streams.evaluation.router_training import train_router as fit

    loaded = pipeline_of(read_settings(), pipeline, load_uncalibrated)
    if not loaded.reasoners or not loaded.workers:
        raise ConfigError(
            "a router needs workers and a reasoner to choose between.", "Add them to the file.", "pipeline"
        )
    part = Since(run=run, since=moment(since, _now))
    cases = cases_of(loaded, list(loaded.workers), part)
    with audit_database() as database:
        audit = Audit(database)
        nothing = read_ignored(audit, part)
        audit.close()
    reasoner = f"reasoners.{next(iter(loaded.reasoners))}"
    made = fit(cases, nothing, reasoner, date=_now().date().isoformat(), seed=seed)
    router = replace(made.router, admitted=made.router.admitted or force)
    path = output or loaded.path.parent / "router.zip"
    router.save(path)
    if as_json:
        print_json({"artifact": str(path), "admitted": router.admitted, "threshold": router.threshold,
                    "policies": [asdict(one) for one in made.policies]})  # fmt: skip
        return
    rows = [(one.name, one.quality, one.usd, one.reasoner_share) for one in made.policies]
    columns = ["routing by", "answered well", "USD an event", "share at the reasoner"]
    out.print(table(columns, rows, f"On {router.comparison['held_out']} held-out tasks"))
    if made.router.admitted:
        out.print(f"It does better than the table. Wrote {path}.", soft_wrap=True)
    else:
        out.print(
            f"It does no better than the table. Wrote {path}, which the pipeline will {'' if force else 'not '}load."
        )


def _now() -> datetime:
    return datetime.now(UTC)

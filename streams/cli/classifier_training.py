"""Train a tier-1 text classifier with a progress bar."""

from __future__ import annotations

from pathlib import Path

from rich.progress import Progress

from streams.cli.console import err
from streams.cli.times import today
from streams.models.listeners.training import read_labelled, train


def train_classifier(file: Path, output: Path, seed: int = 0, *, quiet: bool = False) -> dict[str, object]:
    """Train on the rows of a labelled file, write the artifact, and return the cross-validated metrics."""
    rows = read_labelled(file)
    with Progress(console=err, transient=True, disable=quiet or not err.is_terminal) as progress:
        bar = progress.add_task(f"training on {len(rows)} rows", total=None)
        classifier = train(
            rows,
            seed=seed,
            date=today(),
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    classifier.save(output)
    return dict(classifier.provenance.metrics)

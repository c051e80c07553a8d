"""The settings of a comparison by a pipeline's own rules for answers."""

from __future__ import annotations

from streams.app.providers import comparison
from streams.audit.grading import markers_of
from streams.evaluation.compare.comparison import CompareSettings
from streams.evaluation.compare.diff import Rules
from streams.pipeline.load import Pipeline


def compare_settings(loaded: Pipeline | None, margin: float = 0.02, examples: int = 200) -> CompareSettings:
    """Return how to compare answers: by the pipeline's rules, or as JSON values without a pipeline."""
    if loaded is None:
        return CompareSettings(rules={}, margin=margin, examples=examples)
    handlers = [*loaded.workers.values(), *loaded.reasoners.values()]
    rules: Rules = {(one.tier, one.name): comparison(one.correct) for one in handlers}
    return CompareSettings(
        rules=rules, rules_of=loaded.spec.name, margin=margin, examples=examples, markers=markers_of(loaded)
    )
